"""What an operation does not take is refused by name, and a clip that comes as no file is told how to come."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import Service, running

from gaitkeeper.service.app import create_app
from gaitkeeper.service.client.live import LiveStream
from gaitkeeper.service.errors import UnknownField
from gaitkeeper.service.http.unknown_fields import nearest
from gaitkeeper.service.settings import Settings

OPERATIONS = [
    (method.upper(), path, operation)
    for path, item in create_app(Settings()).openapi()["paths"].items()
    for method, operation in item.items()
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in which nobody is enrolled."""
    store = tmp_path_factory.mktemp("unknown") / "gallery.db"
    with running(Settings(store=f"sqlite:///{store}"), store) as made:
        yield made


def refused(reply: httpx.Response) -> dict[str, Any]:
    """The problem document of a refusal by name."""
    document: dict[str, Any] = reply.json()
    assert (reply.status_code, document["code"]) == (422, "unknown_field"), reply.text
    return document


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=lambda one: one if isinstance(one, str) else ""
)
def test_no_operation_takes_a_parameter_that_it_does_not_know(
    service: Service, method: str, path: str, operation: dict[str, Any]
) -> None:
    data = {"/learn": {"camera": "a"}}.get(path, {"subject": "a"})
    with_clips = ("/enroll", "/identify", "/verify", "/walkers", "/learn")
    form = {"files": {"clip": b"x"}, "data": data} if path in with_clips else {}
    address = service.url + path.replace("{", "").replace("}", "")
    document = refused(httpx.request(method, address, params={"colection": "door"}, timeout=60, **form))
    assert [error["field"] for error in document["errors"]] == ["colection"]
    if method in ("POST", "PUT", "PATCH") and not form:
        assert refused(httpx.request(method, address, json={"colection": "door"}, timeout=60))


@pytest.mark.parametrize("path", ["/enroll", "/identify", "/verify"])
def test_a_slip_of_the_pen_in_a_form_is_no_other_collection(service: Service, path: str) -> None:
    form = {"subject": "ann", "colection": "door"}
    if path == "/identify":
        del form["subject"]
    document = refused(httpx.post(service.url + path, data=form, files={"clip": b"x"}, timeout=60))
    (error,) = document["errors"]
    assert error["field"] == "colection" and error["nearest"] == "collection"
    assert "`collection`" in document["detail"]
    assert service.client.collections().collections[0].subjects == 0


def test_a_file_under_another_name_is_refused_and_one_like_nothing_gets_the_list(service: Service) -> None:
    (error,) = refused(httpx.post(f"{service.url}/identify", files={"zzzz": b"x"}, timeout=60))["errors"]
    assert error["nearest"] is None and "`clip`" in error["message"]


def test_a_value_that_comes_twice_is_refused_where_one_is_taken_and_taken_where_several_are(service: Service) -> None:
    twice = {"collection": ["a", "b"], "where": ["x=1", "y=2"]}
    reply = httpx.post(f"{service.url}/identify", data=twice, files={"clip": b"x"}, timeout=60)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in reply.json()["errors"]] == ["collection"]
    twice["collection"] = ["default"]
    assert (
        httpx.post(f"{service.url}/identify", data=twice, files={"clip": b"x"}, timeout=60).json()["code"]
        == "unsupported_media"
    )


def test_a_stream_refuses_what_it_does_not_know(service: Service) -> None:
    with pytest.raises(UnknownField, match="`collection`"), LiveStream(service.url, None, {"colection": "door"}):
        pass


@pytest.mark.parametrize("path", ["/enroll", "/identify", "/verify"])
def test_a_clip_that_comes_as_no_file_is_told_how_to_come(service: Service, path: str) -> None:
    text = base64.b64encode(bytes(300)).decode()
    url = service.url + path
    for reply in (
        httpx.post(url, json={"clip": text}, timeout=60),
        httpx.post(url, content=bytes(3000), headers={"content-type": "video/mp4"}, timeout=60),
        httpx.post(url, content=bytes(3000), timeout=60),
        httpx.post(url, content=iter([bytes(3000)]), timeout=60),
        httpx.post(url, data={"clip": text}, timeout=60),
        httpx.post(url, files={"clip": (None, text)}, timeout=60),
    ):
        document = reply.json()
        assert (reply.status_code, document["code"]) == (422, "not_multipart"), reply.text
        assert "multipart/form-data" in document["detail"] and "curl" in document["detail"]
        assert text not in reply.text


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/static/main.js"])
def test_head_is_get_without_a_body(service: Service, path: str) -> None:
    head, get = (httpx.request(method, service.url + path, timeout=60) for method in ("HEAD", "GET"))
    assert head.status_code == get.status_code == 200
    assert head.content == b"" != get.content
    for name in ("content-type", "etag"):
        assert head.headers.get(name) == get.headers.get(name)


def test_the_nearest_name_is_found_whatever_its_capitals() -> None:
    known = {"collection", "top_k", "min_quality"}
    assert [nearest(name, known) for name in ("Colection", "top-k", "minquality", "q")] == [
        "collection",
        "top_k",
        "min_quality",
        None,
    ]
