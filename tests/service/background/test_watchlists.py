"""Watch lists: kept, changed, emptied by erasure, shown to their collection's keys, and raising events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Clips, Start

from gaitkeeper.gallery.errors import BadSubject, Conflict, NotFound
from gaitkeeper.gallery.types import Verdict
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.background.webhooks import Webhooks
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import BadWatchlist, Forbidden
from gaitkeeper.service.http.openapi.examples import EXAMPLES
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.schemas import IdentifyReply
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


def test_a_list_is_kept_and_changed_and_holds_only_who_is_enrolled(start: Start, clip: Clips) -> None:
    service = start(network="gei")
    client = service.client
    client.enroll(clip("ann-1"), "ann")
    client.enroll(clip("bob-1"), "bob")
    made = client.add_watchlist("banned", ["ann"])
    assert (made.name, made.collection, made.subjects, made.unknown) == ("banned", "default", ["ann"], False)
    assert client.change_watchlist("banned", unknown=True).subjects == ["ann"]
    assert client.change_watchlist("banned", subjects=["bob", "ann", "bob"]).subjects == ["ann", "bob"]
    with pytest.raises(Conflict, match="banned"):
        client.add_watchlist("banned")
    with pytest.raises(NotFound, match="carol"):
        client.change_watchlist("banned", subjects=["carol"])
    with pytest.raises(NotFound, match="nowhere"):
        client.add_watchlist("other", collection="nowhere")
    with pytest.raises(BadSubject):
        client.add_watchlist("other", ["a/b"])
    for name in ("../x", "", "a b", ".a", "x" * 65, "ä"):
        with pytest.raises(BadWatchlist):
            client.add_watchlist(name)
    client.erase("ann")
    assert client.watchlist("banned").subjects == ["bob"] and client.watchlist("banned").unknown
    client.delete_collection("default")
    assert client.watchlist("banned").subjects == []
    assert client.remove_watchlist("banned").name == "banned"
    assert client.watchlists().watchlists == []
    for method in ("GET", "PATCH", "DELETE"):
        reply = httpx.request(method, f"{service.url}/watchlists/banned", json={}, timeout=60)
        assert reply.status_code == 404


def test_a_key_sees_the_lists_of_its_collections_and_a_viewer_changes_none(start: Start) -> None:
    service = start()
    service.client.create_collection("door")
    service.client.add_watchlist("north", collection="door")
    service.client.add_watchlist("south", unknown=True)
    keys = Keys(State(Settings(store=f"sqlite:///{service.store}").state_path))
    (_, door), (_, viewer) = keys.create([Scope.ADMIN], ["door"]), keys.create([Scope.VIEWER])
    with Client(service.url, key=door) as client:
        assert [one.name for one in client.watchlists().watchlists] == ["north"]
        with pytest.raises(NotFound):
            client.watchlist("south")
        with pytest.raises(NotFound):
            client.remove_watchlist("south")
        with pytest.raises(Forbidden):
            client.add_watchlist("west")
    with Client(service.url, key=viewer) as client:
        assert len(client.watchlists().watchlists) == 2
        with pytest.raises(Forbidden):
            client.remove_watchlist("north")


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("verdict", [Verdict.MATCH, Verdict.UNKNOWN, Verdict.INCONCLUSIVE])
def test_every_verdict_raises_the_events_of_its_lists(tmp_path: Path, verdict: Verdict, there: bool) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    asked: list[tuple[str, str | None]] = []

    def watching(collection: str, subject: str | None) -> list[str]:
        asked.append((collection, subject))
        return ["first", "second"]

    state = State(tmp_path / "state.db")
    hooks = Webhooks(
        state,
        [],
        b"",
        Metrics(),
        lambda *_: there,
        watching=watching,
        also=lambda event, data: told.append((event, data)),
    )
    reply = IdentifyReply.model_validate(EXAMPLES["IdentifyReply"])
    person = reply.people[0].model_copy(update={"verdict": verdict, "reason": None})
    hooks.judged(person, stream="s")
    hooks.close()
    state.close()
    subject = person.candidates[0].subject if verdict is Verdict.MATCH else None
    if verdict is Verdict.INCONCLUSIVE or (verdict is Verdict.MATCH and not there):
        assert told == []  # of no one, or of somebody who was erased meanwhile
        return
    assert asked == [("default", subject)]
    assert [event for event, _ in told] == [verdict, "watchlist", "watchlist"]
    assert [data.get("watchlist") for _, data in told] == [None, "first", "second"]
    assert all((data["subject"], data["stream"]) == (subject, "s") for _, data in told)
    assert {data["verdict"] for _, data in told[1:]} == {str(verdict)}
