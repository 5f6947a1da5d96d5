"""A Redis that goes away while a service runs on it, and comes back."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from redis_servers import DURABLE, RedisServer
from serving import Clips, running

from gaitkeeper.gallery.errors import StoreUnavailable
from gaitkeeper.service.errors import NotReady
from gaitkeeper.service.settings import Settings


def test_names_are_still_given_while_the_store_is_gone(tmp_path: Path, clip: Clips) -> None:
    redis = RedisServer(tmp_path / "redis", *DURABLE)
    try:
        with running(Settings(store=redis.url, state=str(tmp_path / "state.db")), tmp_path) as service:
            client = service.client
            client.enroll(clip("ann-1"), "ann")
            client.enroll(clip("bob-1"), "bob")
            (before,) = client.identify(clip("ann-2"), camera="door").people
            assert before.age is None and before.candidates[0].subject == "ann"
            redis.kill()
            (during,) = client.identify(clip("ann-2"), camera="door").people
            assert during.candidates == before.candidates and during.verdict == before.verdict
            assert during.age is not None and during.age > 0
            with clip("ann-2").open("rb") as file:
                refused = httpx.post(f"{service.url}/enroll", data={"subject": "ann"}, files={"clip": file}, timeout=60)
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
            assert int(refused.headers["Retry-After"]) >= 1
            with pytest.raises(StoreUnavailable):
                client.erase("ann")
            with pytest.raises(NotReady):
                client.ready()
            redis.start()
            client.erase("ann")
            (after,) = client.identify(clip("ann-2"), camera="door").people
            assert after.age is None and [c.subject for c in after.candidates] == ["bob"]
            client.ready()
    finally:
        redis.kill()
