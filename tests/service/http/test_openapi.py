"""The OpenAPI document is valid, and its examples are what the service speaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from pydantic import BaseModel
from serving import Service

from gaitkeeper.service import schemas
from gaitkeeper.service.app import create_app
from gaitkeeper.service.http.openapi.examples import EXAMPLES
from gaitkeeper.service.problems import MEDIA_TYPE, PROBLEMS
from gaitkeeper.service.settings import Settings

FILES = {
    ("/jobs/{job}/annotated.mp4", "200"),
    ("/jobs/{job}/people.csv", "200"),
    ("/cameras/{name}/picture", "200"),
    ("/sightings/{sighting}/thumbnail", "200"),
    ("/collections/{collection}/subjects/{subject}/picture", "200"),
}
"""Successes that are no JSON."""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = tmp_path_factory.mktemp("openapi") / "gallery.db"
    return create_app(Settings(store=f"sqlite:///{store}")).openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, it) for path, item in document["paths"].items() for method, it in item.items()]


def test_it_is_valid_and_served(document: dict[str, Any], service: Service) -> None:
    OpenAPI.model_validate(document)
    assert httpx.get(f"{service.url}/openapi.json", timeout=60).json() == document


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(_references(document)):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_the_routes_are_those_of_the_design(document: dict[str, Any]) -> None:
    assert {(method, path) for path, method, _ in operations(document)} == {
        ("post", "/enroll"),
        ("post", "/identify"),
        ("post", "/verify"),
        ("post", "/walkers"),
        ("get", "/walkers/{handle}"),
        ("delete", "/walkers/{handle}"),
        ("post", "/learn"),
        ("get", "/collections"),
        ("post", "/collections"),
        ("get", "/collections/{collection}"),
        ("patch", "/collections/{collection}"),
        ("delete", "/collections/{collection}"),
        ("get", "/collections/{collection}/subjects"),
        ("get", "/collections/{collection}/subjects/{subject}"),
        ("patch", "/collections/{collection}/subjects/{subject}"),
        ("delete", "/collections/{collection}/subjects/{subject}"),
        ("delete", "/collections/{collection}/subjects/{subject}/templates/{template}"),
        ("get", "/collections/{collection}/subjects/{subject}/templates/{template}/pictures"),
        ("get", "/collections/{collection}/cameras"),
        ("put", "/collections/{collection}/cameras"),
        ("delete", "/collections/{collection}/cameras/{camera}"),
        ("get", "/cameras"),
        ("post", "/cameras"),
        ("get", "/cameras/{name}"),
        ("patch", "/cameras/{name}"),
        ("delete", "/cameras/{name}"),
        ("get", "/cameras/{name}/picture"),
        ("get", "/watchlists"),
        ("post", "/watchlists"),
        ("get", "/watchlists/{name}"),
        ("patch", "/watchlists/{name}"),
        ("delete", "/watchlists/{name}"),
        ("get", "/collections/{collection}/strangers"),
        ("put", "/collections/{collection}/strangers"),
        ("delete", "/collections/{collection}/strangers"),
        ("post", "/collections/{collection}/strangers/{group}"),
        ("delete", "/collections/{collection}/strangers/{group}"),
        ("get", "/collections/{collection}/strangers/{stranger}/pictures"),
        ("get", "/collections/{collection}/subjects/{subject}/templates"),
        ("get", "/collections/{collection}/subjects/{subject}/templates/{template}/silhouettes"),
        ("get", "/collections/{collection}/subjects/{subject}/distances"),
        ("get", "/collections/{collection}/doubles"),
        ("post", "/collections/{collection}/subjects/{subject}/merge"),
        ("post", "/collections/{collection}/subjects/{subject}/apart"),
        ("get", "/collections/{collection}/subjects/{subject}/picture"),
        ("get", "/collections/{collection}/subjects/{subject}/earlier"),
        ("get", "/sightings"),
        ("delete", "/sightings"),
        ("get", "/sightings/{sighting}"),
        ("delete", "/sightings/{sighting}"),
        ("get", "/sightings/{sighting}/thumbnail"),
        ("get", "/jobs"),
        ("get", "/models"),
        ("get", "/key"),
        ("post", "/session"),
        ("delete", "/session"),
        ("get", "/system"),
        ("get", "/jobs/{job}"),
        ("delete", "/jobs/{job}"),
        ("get", "/jobs/{job}/annotated.mp4"),
        ("get", "/jobs/{job}/people.csv"),
        ("get", "/livez"),
        ("get", "/readyz"),
    }


def test_every_operation_is_described_and_its_failures_are_problem_documents(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        assert operation["summary"] and operation["description"]
        for status, reply in operation["responses"].items():
            if status.startswith("2"):
                continue
            assert list(reply["content"]) == [MEDIA_TYPE], (path, status)
            for code, example in reply["content"][MEDIA_TYPE]["examples"].items():
                parsed = schemas.ProblemDetails.model_validate(example["value"])
                assert (parsed.code, parsed.status) == (code, int(status)) == (code, PROBLEMS[code].status)


def test_every_operation_with_a_body_says_that_a_body_may_be_unreadable(document: dict[str, Any]) -> None:
    bodies = {(path, method): it["responses"] for path, method, it in operations(document) if "requestBody" in it}
    assert len(bodies) > 15
    for where, responses in bodies.items():
        assert "bad_request" in responses["400"]["content"][MEDIA_TYPE]["examples"], where


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_the_service_would_send(name: str) -> None:
    kind: type[BaseModel] = getattr(schemas, name)
    assert json.loads(kind.model_validate(EXAMPLES[name]).model_dump_json()) == json.loads(json.dumps(EXAMPLES[name]))


def test_every_success_shows_its_example(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for status, reply in operation["responses"].items():
            if status.startswith("2") and (path, status) not in FILES:
                content = reply["content"]["application/json"]
                assert content["example"] == EXAMPLES[content["schema"]["$ref"].rpartition("/")[2]]


def test_the_clip_is_a_file_in_a_multipart_form(document: dict[str, Any]) -> None:
    for path in ("/enroll", "/identify", "/verify", "/walkers", "/learn"):
        form = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        properties = document["components"]["schemas"][form["$ref"].rpartition("/")[2]]["properties"]
        clip = properties["clip"]
        if path == "/enroll":
            assert (clip["type"], clip["maxItems"]) == ("array", 16)
            clip = clip["items"]
        assert clip["type"] == "string"
        assert "contentMediaType" in clip or clip.get("format") == "binary"
        assert all(field["description"] for field in properties.values())


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return here + [r for child in node.values() for r in _references(child)]
    return [r for child in node for r in _references(child)] if isinstance(node, list) else []


def test_the_api_page_names_every_route(document: dict[str, Any]) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
    for path, method, _ in operations(document):
        short = path.replace("{collection}", "{c}").replace("{subject}", "{s}").replace("{template}", "{t}")
        assert f"`{method.upper()} {short}`" in page
