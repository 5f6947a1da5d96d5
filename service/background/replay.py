"""Replies to requests with an ``Idempotency-Key``, kept so that a repeated request is answered and not done again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import IO, Any, cast

from pydantic import BaseModel

from service.auth.access import CALLER
from service.background.work import Reply, named, still_there
from service.errors import IdempotencyMismatch, InProgress
from service.recognition.clip_walkers import sha256_of
from service.schemas import JobReply
from service.state import State


def digest(route: str, fields: dict[str, Any], clip: IO[bytes], more: Sequence[IO[bytes]] = ()) -> bytes:
    """What makes two requests the same: address, fields and the clips' bytes, not how the form was written."""
    digests = []
    for one in (clip, *more):
        one.seek(0)
        digests.append(sha256_of(one))
    return hashlib.sha256(json.dumps([route, ",".join(digests), fields], sort_keys=True).encode()).digest()


class Replays:
    """Kept replies of one service; safe under threads.

    Only successes are kept: a refusal is soon made again, and may hold pictures of people. Tokens of one API key are
    unknown to all others.

    Args:
        state: where they lie.
        keep: seconds to keep each.
    """

    def __init__(self, state: State, keep: float) -> None:
        self._state = state
        self._keep = keep
        with state.transaction() as db:  # what was being done when the service ended was not answered
            db.execute("DELETE FROM replies WHERE status IS NULL")

    def once(
        self,
        token: str,
        request: bytes,
        collection: str,
        work: Callable[[], tuple[int, Reply]],
        there: Callable[[str], bool],
        model: type[BaseModel],
    ) -> tuple[int, Reply]:
        """Status and reply of a request: the kept one, or that of ``work``, which is then kept.

        Args:
            token: the Idempotency-Key.
            request: what :func:`digest` says.
            collection: acted on.
            work: does it.
            there: whether a subject is there still; what names one that was erased meanwhile is not kept.
            model: of the reply to a request that has not become a job.

        Raises:
            IdempotencyMismatch: the token came with another request before.
            InProgress: the same request is being worked on now.
        """
        key = CALLER.get()
        owner = key.id if key else ""
        kept = self._begin(owner, token, request, collection)
        if kept is not None:
            return kept[0], cast(Reply, (JobReply if kept[0] == 202 else model).model_validate_json(kept[1]))
        try:
            status, reply = work()
        except BaseException:
            self._drop(owner, token)
            raise
        subjects = sorted(set(named(reply)))
        with self._state.transaction() as db:
            done = db.execute(
                "UPDATE replies SET status = ?, body = ? WHERE owner = ? AND token = ?",
                (status, reply.model_dump_json().encode(), owner, token),
            )
            if done.rowcount:  # the collection may have been erased meanwhile, and this with it
                db.executemany("INSERT INTO named VALUES (?, ?, ?)", [(owner, token, subject) for subject in subjects])
        # Kept first and looked at then: whoever erases now finds it, and whoever erased before is seen here.
        if not still_there(there, subjects):
            self._drop(owner, token)
        return status, reply

    def _begin(self, owner: str, token: str, request: bytes, collection: str) -> tuple[int, bytes] | None:
        now = time.time()
        with self._state.transaction() as db:
            db.execute("DELETE FROM replies WHERE expires < ? AND status IS NOT NULL", (now,))
            row = db.execute("SELECT * FROM replies WHERE owner = ? AND token = ?", (owner, token)).fetchone()
            if row is None:
                db.execute(
                    "INSERT INTO replies VALUES (?, ?, ?, ?, ?, NULL, NULL)",
                    (owner, token, request, collection, now + self._keep),
                )
                return None
        if row["request"] != request:
            raise IdempotencyMismatch("This Idempotency-Key came with another request before: take a new one.")
        if row["status"] is None:
            raise InProgress("The same request is being worked on: ask again for its reply.", retry_after=1)
        return row["status"], row["body"]

    def _drop(self, owner: str, token: str) -> None:
        with self._state.transaction() as db:
            db.execute("DELETE FROM replies WHERE owner = ? AND token = ?", (owner, token))
