"""Stores replies to requests with an ``Idempotency-Key``, so that a repeated request gets the same reply without being
processed again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from typing import cast

from pydantic import BaseModel

from gaitkeeper.service.auth.access import caller_id
from gaitkeeper.service.background.requests import ClipRequest
from gaitkeeper.service.background.work import Reply, named, still_there
from gaitkeeper.service.errors import IdempotencyMismatch, InProgress
from gaitkeeper.service.recognition.clip_walkers import OpenClip
from gaitkeeper.service.schemas import JobReply
from gaitkeeper.service.state import State


def digest(request: ClipRequest, clips: Iterable[OpenClip]) -> bytes:
    """Digest that identifies a request by its kind, its fields and the clips' bytes. The encoding of the form does not
    matter.
    """
    about = [request.kind, ",".join(clip.sha256 for clip in clips), request.fields]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).digest()


class Replays:
    """Stored replies of one service. Thread-safe.

    Only successful replies are stored: an error is cheap to produce again, and may contain pictures of people. Each API
    key has its own tokens.

    Args:
        state: storage of the replies.
        keep: seconds to keep each reply.
    """

    def __init__(self, state: State, keep: float) -> None:
        self._state = state
        self._keep = keep
        with state.transaction() as db:  # requests in progress when the service ended have no reply
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
        """Status and reply of a request: the stored ones, or those of ``work``, which are then stored.

        Args:
            token: the Idempotency-Key.
            request: the request's :func:`digest`.
            collection: the collection that the request uses.
            work: processes the request.
            there: tells whether a subject still exists. A reply that names a subject erased meanwhile is not stored.
            model: type of the reply, if the request has not become a job.

        Raises:
            IdempotencyMismatch: the token was used with another request.
            InProgress: the same request is being processed now.
        """
        owner = caller_id()
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
            if done.rowcount:  # else the collection and this reply were erased meanwhile
                db.executemany("INSERT INTO named VALUES (?, ?, ?)", [(owner, token, subject) for subject in subjects])
        # Store first, then check. A later erasure finds the stored reply; an earlier one is noticed by this check.
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
            raise IdempotencyMismatch("This Idempotency-Key was used with another request: use a new one.")
        if row["status"] is None:
            raise InProgress("The same request is still being processed: ask again for its reply.", retry_after=1)
        return row["status"], row["body"]

    def _drop(self, owner: str, token: str) -> None:
        with self._state.transaction() as db:
            db.execute("DELETE FROM replies WHERE owner = ? AND token = ?", (owner, token))
