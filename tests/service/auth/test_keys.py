"""API keys at the door of a real service: who gets in, where, how often; and what every reply carries."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from serving import Clips, Service, Start

from gaitkeeper.gallery.errors import BadCollection
from gaitkeeper.service.auth.access import rule_of
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.cli import main
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import BadSettings, Forbidden, KeyNotFound, RateLimited, Unauthorised
from gaitkeeper.service.http.admission import RateLimit
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

Issue = Callable[..., str]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path)


@pytest.fixture
def issue(state: State) -> Issue:
    """Make a key: ``issue("identify", "door")`` is its text."""
    return lambda scope, *collections: Keys(state).create([Scope(scope)], collections or None)[1]


def ask(service: Service, key: str | None, method: str, path: str, **content: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.request(method, service.url + path, headers=headers, timeout=60, **content)  # type: ignore[arg-type]


def test_a_key_is_kept_as_a_digest_and_found_again(state: State) -> None:
    key, text = Keys(state).create([Scope.ENROL, Scope.IDENTIFY], ["door"], "camera 1")
    assert Keys(state).check(text) == key
    assert len(text) == 63 and text.startswith(f"gk_{key.id}_")
    secret = text.rpartition("_")[2].encode()
    for file in state.path.parent.iterdir():
        assert secret not in file.read_bytes()
        assert file.stat().st_mode & 0o77 == 0
    assert Keys(state).create([Scope.ENROL])[1] != text


def test_any_other_text_is_no_key(state: State) -> None:
    _, text = Keys(state).create([Scope.ADMIN])
    other = Keys(state).create([Scope.ADMIN])[1]
    swapped = text[:20] + other[20:]
    for wrong in (
        "",
        "gk_",
        text[:-1],
        text + "A",
        text.upper(),
        f" {text}",
        swapped,
        "gk_0123456789abcdef_" + "A" * 43,
    ):
        with pytest.raises(Unauthorised):
            Keys(state).check(wrong)


def test_a_revoked_key_is_good_for_nothing_and_opens_nothing(state: State) -> None:
    keys = Keys(state)
    key, text = keys.create([Scope.ADMIN])
    revoked = keys.revoke(key.id)
    assert revoked.revoked is not None and keys.revoke(key.id) == revoked == keys.list()[0]
    with pytest.raises(Unauthorised):
        keys.check(text)
    assert keys.exist()
    with pytest.raises(KeyNotFound):
        keys.revoke("none")


def test_a_key_for_a_collection_that_cannot_be_is_not_made(state: State) -> None:
    with pytest.raises(BadCollection):
        Keys(state).create([Scope.ENROL], ["a b"])
    assert not Keys(state).exist()


def test_without_a_key_there_is_no_answer_but_to_probes(start: Start, issue: Issue) -> None:
    issue("admin")
    service = start()
    for method, path in (
        ("POST", "/enroll"), ("POST", "/identify"), ("GET", "/collections/default/subjects"),
        ("DELETE", "/collections/default/subjects/ann"), ("GET", "/nowhere"), ("GET", "/metrics"),
    ):  # fmt: skip
        for key in (None, "gk_0123456789abcdef_" + "A" * 43):
            reply = ask(service, key, method, path)
            assert (reply.status_code, reply.json()["code"]) == (401, "unauthorised")
            assert reply.headers["www-authenticate"] == "Bearer"
    for path in ("/livez", "/readyz", "/openapi.json"):
        assert ask(service, None, "GET", path).status_code == 200


def test_the_body_is_not_read_before_the_key(start: Start, issue: Issue) -> None:
    key = issue("identify")
    service = start()
    sent = []

    def body():
        for _ in range(3000):
            sent.append(1)
            yield bytes(65536)

    for given, status in ((None, 401), (key, 403)):
        sent.clear()
        headers = {"content-type": "multipart/form-data; boundary=x"}
        headers |= {"Authorization": f"Bearer {given}"} if given else {}
        try:
            reply = httpx.post(f"{service.url}/enroll", content=body(), headers=headers, timeout=60)
            assert reply.status_code == status
        except httpx.WriteError:
            pass  # the door was shut while the body was being written
        assert len(sent) < 1000


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        ("enrol", {"/enroll", "/walkers"}),
        ("identify", {"/identify", "/walkers"}),
        ("admin", {"/enroll", "/identify", "/walkers", "/collections/a/subjects"}),
    ],
)
def test_scopes(start: Start, issue: Issue, scope: str, may: set[str]) -> None:
    key, service = issue(scope), start()
    paths = ("/enroll", "/identify", "/walkers", "/collections/a/subjects")
    for method, path in zip(("POST", "POST", "POST", "GET"), paths, strict=True):
        reply = ask(service, key, method, path)
        assert (reply.status_code != 403) == (path in may), (path, reply.text)
        assert reply.status_code in (({422, 404}) if path in may else {403})


def test_a_key_of_one_collection_is_no_key_of_another(start: Start, issue: Issue, clip: Clips) -> None:
    door, everywhere, service = issue("admin", "door"), issue("admin"), start()
    with Client(service.url, key=everywhere) as all_, Client(service.url, key=door) as own:
        all_.enroll(clip("ann-1"), "ann", collection="hall")
        for there in ("hall", "nowhere"):  # whether there is such a collection makes no difference
            with pytest.raises(Forbidden, match="not for that collection"):
                own.subjects(collection=there)
            with pytest.raises(Forbidden, match="not for that collection"):
                own.identify(clip("ann-2"), collection=there)
            with pytest.raises(Forbidden, match="not for that collection"):
                own.enroll(clip("bob-1"), "bob", collection=there)
            with pytest.raises(Forbidden, match="not for that collection"):
                own.erase("ann", collection=there)
        with pytest.raises(Forbidden):
            own.enroll(clip("ann-1"), "ann")
        own.enroll(clip("ann-1"), "eve", collection="door")
        assert [s.subject for s in all_.subjects(collection="hall").subjects] == ["ann"]
        assert own.identify(clip("ann-2"), collection="door").people[0].candidates[0].subject == "eve"
        assert [found.name for found in own.collections().collections] == ["door"]
        assert {"door", "hall"} <= {found.name for found in all_.collections().collections}
        with pytest.raises(Forbidden, match="not for that collection"):
            own.create_collection("another")
        may = own.permissions()
        assert (may.scopes, may.collections) == (["admin"], ["door"]) and all_.permissions().collections is None
    for path in ("/system", "/anything/else", "/metrics"):
        assert ask(service, door, "GET", path).status_code == 403


def test_a_key_that_is_revoked_while_it_runs_is_refused_and_the_door_stays_shut(
    start: Start, issue: Issue, state: State
) -> None:
    service = start()
    assert ask(service, None, "GET", "/collections/default/subjects").status_code == 200
    key = issue("admin")
    assert ask(service, None, "GET", "/collections/default/subjects").status_code == 401
    assert ask(service, key, "GET", "/collections/default/subjects").status_code == 200
    Keys(state).revoke(key.split("_")[1])
    for given in (key, None):
        assert ask(service, given, "GET", "/collections/default/subjects").status_code == 401
    with sqlite3.connect(state.path) as other:
        other.execute("DELETE FROM keys")
    assert ask(service, None, "GET", "/collections/default/subjects").status_code == 401


def test_too_many_requests_with_a_key_are_refused_for_a_while(start: Start, issue: Issue) -> None:
    one, other, service = issue("admin"), issue("admin"), start(rate="3/minute")
    replies = [ask(service, one, "GET", "/collections/default/subjects") for _ in range(5)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
    document = replies[-1].json()
    assert (document["code"], str(document["retry_after"])) == ("rate_limited", replies[-1].headers["retry-after"])
    assert 0 < document["retry_after"] <= 60
    assert ask(service, other, "GET", "/collections/default/subjects").status_code == 200
    with pytest.raises(RateLimited), Client(service.url, key=one) as client:
        client.subjects()


@pytest.mark.parametrize("rate", ["", "often", "3 per fortnight"])
def test_what_is_no_rate_is_a_bad_setting(rate: str) -> None:
    with pytest.raises(BadSettings, match="is no rate"):
        RateLimit(rate)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:1"}, 200),
        ({"host": "[::1]:1"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8321"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "192.0.2.1"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),
        ({"host": "127.0.0.1:1", "origin": "http://127.0.0.1:1"}, 200),
    ],
)
def test_without_keys_no_page_of_another_host_gets_in(service: Service, headers: dict[str, str], status: int) -> None:
    reply = httpx.get(f"{service.url}/collections/default/subjects", headers=headers, timeout=60)
    assert reply.status_code == status
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_pages_of_other_hosts_ask_where_a_setting_says_so(start: Start) -> None:
    service = start(cors_origins=["https://good.example"])
    for origin, status in (("https://good.example", 200), ("https://evil.example", 403)):
        reply = httpx.get(f"{service.url}/collections/default/subjects", headers={"origin": origin}, timeout=60)
        assert reply.status_code == status
        allowed = reply.headers.get("access-control-allow-origin")
        assert allowed == (origin if status == 200 else None)


def test_every_reply_has_an_id_and_keeps_browsers_from_making_more_of_it(service: Service) -> None:
    for path in ("/livez", "/nowhere", "/collections/default/subjects"):
        reply = httpx.get(service.url + path, headers={"X-Request-ID": "mine-1"}, timeout=60)
        assert reply.headers["x-request-id"] == "mine-1"
        assert reply.headers["x-content-type-options"] == "nosniff" and reply.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        ids = {
            httpx.get(service.url + path, headers={"X-Request-ID": bad}, timeout=60).headers["x-request-id"]
            for bad in ("", "a b")
        }
        assert len(ids) == 2 and all(len(one) == 32 for one in ids)


@pytest.mark.parametrize(
    ("path", "public", "everywhere"),
    [("/livez", True, False), ("/livez/x", False, True), ("//livez", False, True), ("/collections", False, False),
     ("/collections/a", False, False), ("/metrics", False, True), ("/models", False, False)],
)  # fmt: skip
def test_an_address_that_nobody_thought_of_takes_the_key_of_all(path: str, public: bool, everywhere: bool) -> None:
    rule = rule_of(path)
    assert (rule.public, rule.everywhere) == (public, everywhere)


def test_the_command_makes_lists_and_revokes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], start: Start
) -> None:
    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gaitkeeper", *args])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out.strip(), captured.err

    store = ("--store", f"sqlite:///{tmp_path / 'gallery.db'}")
    assert run("keys", "exist", *store)[0] == 1
    code, key, err = run("keys", "create", "--scope", "admin", "-c", "door", "--name", "[x]", *store)
    assert run("keys", "exist", *store)[0] == 0
    assert json.loads(run("keys", "exist", "--json", *store)[1]) == {"exist": True}
    assert code == 0 and key.startswith("gk_") and "admin in door" in err
    listed = json.loads(run("keys", "list", "--json", *store)[1])
    assert [(k["scopes"], k["collections"], k["name"]) for k in listed] == [(["admin"], ["door"], "[x]")]
    assert "key" not in listed[0] and key.rpartition("_")[2] not in json.dumps(listed)
    assert "[x]" in run("keys", "list", *store)[1]

    service = start()
    asked = ("subjects", "list", "--server", service.url, "-c", "door")
    assert "[unauthorised]" in run(*asked)[2]
    assert "[not_found]" in run(*asked, "--key", key)[2]
    monkeypatch.setenv("GAITKEEPER_API_KEY", key)
    assert "[not_found]" in run(*asked)[2]
    assert "[forbidden]" in run("subjects", "list", "--server", service.url)[2]

    assert run("keys", "revoke", listed[0]["id"], *store)[0] == 0
    assert "revoked" in run("keys", "list", *store)[1]
    assert "[unauthorised]" in run(*asked)[2]
    refused, _, err = run("keys", "revoke", "none", *store)
    assert refused == 2 and "[key_not_found]" in err
    assert "[bad_settings]" in run("keys", "create", "--scope", "owner", *store)[2]
