"""Signing in with a key: a cookie that stands for the key, from the page itself alone, until the session ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Service, Start
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.auth.sessions import Sessions
from gaitkeeper.service.errors import Unauthorised
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

Ask = Callable[..., httpx.Response]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path)


@pytest.fixture
def keys(state: State) -> Keys:
    return Keys(state)


def asking(service: Service, root: str = "") -> Ask:
    """Ask as a browser does, whose page is the service."""

    def ask(method: str, path: str, cookie: str | None = None, own: bool = True, **content: Any) -> httpx.Response:
        headers = content.pop("headers", {})
        headers = ({"Origin": service.url} if own else {}) | ({"Cookie": cookie} if cookie else {}) | headers
        return httpx.request(method, service.url + root + path, headers=headers, timeout=60, **content)

    return ask


def cookie_of(reply: httpx.Response) -> str:
    """What a browser would send back."""
    [(name, morsel)] = SimpleCookie(reply.headers["set-cookie"]).items()
    return f"{name}={morsel.value}"


def about(reply: httpx.Response) -> tuple[str, set[str]]:
    """The cookie's text, and its attributes in lower case."""
    first, *rest = reply.headers["set-cookie"].split("; ")
    return first, {part.lower() for part in rest}


def test_a_key_is_changed_for_a_cookie_that_no_script_and_no_other_site_gets(start: Start, keys: Keys) -> None:
    key, text = keys.create([Scope.ADMIN], name="desk")
    service = start(session_seconds=600)
    ask = asking(service)
    refused = ask("POST", "/session", json={"key": f"{text[:-1]}!"})
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorised")
    assert "set-cookie" not in refused.headers and text[:-1] not in refused.text
    done = ask("POST", "/session", json={"key": text})
    assert done.status_code == 200 and (done.json()["key"], done.json()["name"]) == (key.id, "desk")
    first, attributes = about(done)
    assert attributes == {"httponly", "samesite=strict", "path=/", "max-age=600"}, "by http it is sent by http"
    assert text not in done.text and text.rpartition("_")[2] not in first
    port = service.url.rpartition(":")[2]
    assert first.startswith(f"gaitkeeper-{port}="), "services on other ports of this machine have cookies of their own"
    assert done.headers["cache-control"] == "no-store"
    cookie = cookie_of(done)
    seen = ask("GET", "/key", cookie)
    assert (seen.status_code, seen.json()["id"]) == (200, key.id)
    assert ask("GET", "/key", "gaitkeeper-1=" + cookie.partition("=")[2]).status_code == 401
    secret = cookie.partition("=")[2].encode()
    for file in service.store.parent.rglob("*"):
        assert not file.is_file() or secret not in file.read_bytes(), "only its digest is kept"


def test_by_https_the_cookie_is_sent_by_https_alone(start: Start, keys: Keys) -> None:
    _, text = keys.create([Scope.ADMIN])
    service = start()
    host = service.url.removeprefix("http://")
    done = asking(service)("POST", "/session", json={"key": text}, headers={"Origin": f"https://{host}"})
    assert "secure" in about(done)[1]
    out = asking(service)("DELETE", "/session", cookie_of(done), headers={"Origin": f"https://{host}"})
    assert {"secure", "max-age=0", "httponly"} <= about(out)[1]


def test_below_a_path_of_a_host_the_cookie_is_for_that_path(start: Start, keys: Keys) -> None:
    _, text = keys.create([Scope.ADMIN])
    ask = asking(start(root_path="/gait"), "/gait")
    done = ask("POST", "/session", json={"key": text})
    assert "path=/gait" in about(done)[1]
    assert ask("GET", "/key", cookie_of(done)).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_other_page_changes_anything_by_the_cookie(start: Start, keys: Keys, method: str) -> None:
    _, text = keys.create([Scope.ADMIN])
    service = start()
    ask = asking(service)
    cookie = cookie_of(ask("POST", "/session", json={"key": text}))
    host, port = service.url.removeprefix("http://").split(":")
    path = "/collections/door" if method == "DELETE" else "/collections"
    for origin in ("https://evil.example", "null", f"http://{host}:{int(port) + 1}", f"http://evil.{host}:{port}"):
        told = ask(method, path, cookie, headers={"Origin": origin})
        assert (told.status_code, told.json()["code"]) == (403, "forbidden"), origin
    # A form or a link of another page on the same site: an old browser sends no Origin with it.
    for headers in ({}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "cross-site"}):
        told = ask(method, path, cookie, own=False, headers=headers)
        assert (told.status_code, told.json()["code"]) == (403, "forbidden"), headers
    assert ask(method, path, cookie, own=False, headers={"Sec-Fetch-Site": "same-origin"}).status_code != 403
    assert ask(method, path, cookie).status_code != 403


def test_a_page_that_may_ask_with_keys_may_not_use_the_cookie(start: Start, keys: Keys) -> None:
    _, text = keys.create([Scope.ADMIN])
    friend = "https://friend.example"
    ask = asking(start(cors_origins=[friend]))
    cookie = cookie_of(ask("POST", "/session", json={"key": text}))
    assert ask("POST", "/collections", cookie, headers={"Origin": friend}, json={"name": "a"}).status_code == 403
    with_key = {"Origin": friend, "Authorization": f"Bearer {text}"}
    reply = ask("POST", "/collections", headers=with_key, json={"name": "a"})
    assert reply.status_code == 201 and "access-control-allow-credentials" not in reply.headers


def test_a_socket_takes_the_cookie_from_the_page_alone(start: Start, keys: Keys) -> None:
    _, text = keys.create([Scope.IDENTIFY])
    service = start()
    cookie = cookie_of(asking(service)("POST", "/session", json={"key": text}))
    address = service.url.replace("http", "ws", 1) + "/stream"
    with connect(address, additional_headers={"Cookie": cookie}, origin=service.url) as socket:  # type: ignore[arg-type]
        assert "credit" in str(socket.recv(timeout=60))
    for origin in (None, "https://evil.example"):
        with pytest.raises(InvalidStatus) as caught:
            connect(address, additional_headers={"Cookie": cookie}, origin=origin)  # type: ignore[arg-type]
        assert caught.value.response.status_code == 403


def test_a_session_ends_with_signing_out_with_its_time_and_with_its_key(start: Start, keys: Keys, state: State) -> None:
    key, text = keys.create([Scope.ADMIN])
    ask = asking(start())

    def signed_in() -> str:
        return cookie_of(ask("POST", "/session", json={"key": text}))

    one, other = signed_in(), signed_in()
    out = ask("DELETE", "/session", one)
    assert out.json() == {"signed_out": True} and "max-age=0" in about(out)[1]
    assert ask("GET", "/key", one).status_code == 401 and ask("GET", "/key", other).status_code == 200
    assert ask("DELETE", "/session").json() == {"signed_out": False}

    with state.transaction() as db:
        db.execute("UPDATE sessions SET expires = ?", (time.time() - 1,))
    told = ask("GET", "/key", other)
    assert (told.status_code, told.json()["code"]) == (401, "unauthorised") and "sign in" in told.json()["detail"]
    state.expire(0)
    assert state.rows("SELECT * FROM sessions") == []

    last = signed_in()
    keys.revoke(key.id)
    assert ask("GET", "/key", last).status_code == 401
    assert ask("POST", "/session", json={"key": text}).status_code == 401


def test_a_session_has_the_rights_and_the_limits_of_its_key(start: Start, keys: Keys) -> None:
    _, text = keys.create([Scope.VIEWER], ["door"])
    ask = asking(start(rate="5/minute"))
    cookie = cookie_of(ask("POST", "/session", json={"key": text}))
    assert ask("POST", "/identify", cookie).status_code == 403
    assert ask("GET", "/collections/hall", cookie).status_code == 403
    assert ask("GET", "/collections/door", cookie).status_code == 404
    codes = [ask("GET", "/key", cookie).status_code for _ in range(4)]
    assert codes == [200, 200, 429, 429]


def test_a_key_in_the_request_counts_more_than_the_cookie(start: Start, keys: Keys) -> None:
    (_, first), (second, text) = keys.create([Scope.VIEWER]), keys.create([Scope.ADMIN])
    ask = asking(start())
    cookie = cookie_of(ask("POST", "/session", json={"key": first}))
    with_key = {"Authorization": f"Bearer {text}"}
    assert ask("GET", "/key", cookie, headers=with_key).json()["id"] == second.id
    assert ask("POST", "/collections", cookie, own=False, headers=with_key, json={"name": "a"}).status_code == 201
    assert ask("GET", "/key", cookie, headers={"Authorization": "Bearer gk_no"}).status_code == 401


def test_no_other_page_signs_anybody_in(start: Start, keys: Keys) -> None:
    _, text = keys.create([Scope.ADMIN])
    ask = asking(start())
    foreign = ask("POST", "/session", json={"key": text}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403 and "set-cookie" not in foreign.headers
    form = ask("POST", "/session", content=f'{{"key": "{text}"}}', headers={"Content-Type": "text/plain"})
    assert form.status_code == 422 and "set-cookie" not in form.headers, "a form of another page sends no JSON"


def test_without_keys_nobody_signs_in(start: Start) -> None:
    ask = asking(start())
    assert ask("POST", "/session", json={"key": "gk_0123456789abcdef_" + "A" * 43}).status_code == 401
    assert ask("GET", "/key").json()["id"] is None


def test_any_other_text_is_no_session(state: State, keys: Keys) -> None:
    key, _ = keys.create([Scope.ADMIN])
    sessions = Sessions(state, keys, 600)
    text, expires = sessions.open(key)
    assert sessions.check(text) == key and expires.timestamp() > time.time()
    for wrong in ("", text[:-1], text + "A", text.swapcase(), f" {text}"):
        with pytest.raises(Unauthorised):
            sessions.check(wrong)
