"""Webhooks: signed messages to the targets in the settings, and to no others.

Messages follow the Standard Webhooks specification: ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``, which
is ``v1,`` and the base64 HMAC-SHA256 of "id.timestamp.body". They are queued in the service's state file, so none is
lost when the service ends. Erasing a subject deletes the messages that name it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from gaitkeeper.gallery.errors import StoreUnavailable
from gaitkeeper.gallery.types import Identification, Verdict
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.schemas import IdentifyReply, JobState
from gaitkeeper.service.settings import Webhook
from gaitkeeper.service.state import State

log = logging.getLogger("gaitkeeper")

MOST_WAITING = 1000
"""Maximum number of queued messages per target. Further ones are dropped and counted."""
EVENT_OF = {Verdict.MATCH: "match", Verdict.UNKNOWN: "unknown"}
SECONDS = 10.0  # time limit for a target's reply
GROWTH = 6  # 5 s, 30 s, 3 min, 18 min, 1.8 h
GONE = 410


class Webhooks:
    """The messages of one service. Thread-safe. Each target has its own thread, so a slow target does not delay others.

    Args:
        state: storage of the queued messages.
        targets: URLs, with the events that each receives.
        secret: signing key.
        metrics: records the result of each attempt.
        there: tells whether a subject of a collection still exists.
        attempts: maximum attempts per message.
        watching: gives the names of the watch lists of a collection that a subject is on; of an unknown walker if None.
        also: takes every verdict that is told of, and every event of a watch list, with the message's data.
        first_delay: seconds between the first attempt and the second. The delay grows by a factor of 6 per attempt.
    """

    def __init__(
        self,
        state: State,
        targets: Sequence[Webhook],
        secret: bytes,
        metrics: Metrics,
        there: Callable[[str, str], bool],
        *,
        attempts: int = 6,
        watching: Callable[[str, str | None], list[str]] = lambda *_: [],
        also: Callable[[str, dict[str, Any]], None] = lambda *_: None,
        first_delay: float = 5.0,
    ) -> None:
        self._state, self._targets, self._secret, self._metrics = state, tuple(targets), secret, metrics
        self._there, self._watching, self._also = there, watching, also
        self._attempts, self._first_delay = attempts, first_delay
        self._ending = threading.Event()
        self._news = {target.url: threading.Event() for target in targets}
        # Delete the messages to targets that are no longer in the settings.
        with state.transaction() as db:
            for row in db.execute("SELECT DISTINCT target FROM messages").fetchall():
                if row["target"] not in self._news:
                    db.execute("DELETE FROM messages WHERE target = ?", (row["target"],))
        self._threads = [threading.Thread(target=self._work, args=(url,), daemon=True) for url in self._news]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop sending. Queued messages are sent after the next start."""
        self._ending.set()
        for news in self._news.values():
            news.set()
        for thread in self._threads:
            thread.join()

    def identified(self, reply: IdentifyReply) -> None:
        """Queue a message for every walker of a clip who is a match or unknown."""
        for person in reply.people:
            self.judged(person, clip_sha256=reply.clip.sha256)

    def judged(self, person: Identification, *, clip_sha256: str | None = None, stream: str | None = None) -> None:
        """Queue a message if a verdict is a match or unknown.

        Args:
            person: the answer.
            clip_sha256: digest of the clip; None for a live stream.
            stream: id of the live stream; None for a clip.
        """
        if person.verdict not in EVENT_OF:
            return
        first = person.candidates[0]
        subject = first.subject if person.verdict is Verdict.MATCH else None
        data = {
            "collection": person.collection,
            "subject": subject,
            "distance": first.distance,
            "confidence": first.confidence if subject else None,
            "threshold": person.threshold.value,
            "fpir": person.threshold.fpir,
            "camera": person.seen.camera if person.seen else None,
            "clip_sha256": clip_sha256,
            "stream": stream,
            "track": person.track,
            "start": person.start,
            "end": person.end,
        }
        event = EVENT_OF[person.verdict]
        lists = self._watching(person.collection, subject)
        events = [(event, data), *(("watchlist", {"watchlist": one, "verdict": event, **data}) for one in lists)]
        for name, content in events:
            self._tell(name, person.collection, content, subject=subject)
        # Store first, then check. A later erasure finds the message; an earlier one is noticed by this check.
        if subject is not None and not self._is_there(person.collection, subject):
            with self._state.transaction() as db:
                gone = (person.collection, subject)
                db.execute("DELETE FROM messages WHERE collection = ? AND subject = ?", gone)
            return
        for name, content in events:
            self._also(name, content)

    def _is_there(self, collection: str, subject: str) -> bool:
        try:
            return self._there(collection, subject)
        except StoreUnavailable:
            return True  # nothing can be erased while the store is unreachable

    def ended(self, job: JobState) -> None:
        """Queue a message that a job has ended. It contains neither the job's result nor a subject."""
        self._tell("job.ended", job.collection, job.model_dump(mode="json", exclude={"outcome", "file"}))

    def waiting(self) -> int:
        """Number of messages that are not delivered yet."""
        return int(self._state.rows("SELECT count(*) FROM messages")[0][0])

    def _tell(self, event: str, collection: str, data: dict[str, Any], subject: str | None = None) -> None:
        """Queue a message for each target that receives this event. A failure does not affect the reported result."""
        now = time.time()
        sent = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
        body = json.dumps({"type": event, "timestamp": sent, "data": data}).encode()
        try:
            for target in self._targets:
                if event in target.events and (target.collections is None or collection in target.collections):
                    self._put(target.url, collection, subject, body, now)
        except StoreUnavailable as error:
            log.error("a webhook's message could not be kept: %s", error.detail)
            self._metrics.webhook("dropped")

    def _put(self, url: str, collection: str, subject: str | None, body: bytes, now: float) -> None:
        with self._state.transaction() as db:
            (waiting,) = db.execute("SELECT count(*) FROM messages WHERE target = ?", (url,)).fetchone()
            if waiting < MOST_WAITING:
                db.execute(
                    "INSERT INTO messages VALUES (?, ?, ?, ?, ?, 0, ?)",
                    (f"msg_{uuid.uuid4().hex}", url, collection, subject, body, now),
                )
        if waiting >= MOST_WAITING:
            log.warning("a webhook's target does not take its messages: one is dropped")
            self._metrics.webhook("dropped")
        self._news[url].set()

    def _work(self, url: str) -> None:
        news = self._news[url]
        # The operator listed this URL: use no proxy, and follow no redirects.
        with httpx.Client(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
            while not self._ending.is_set():
                news.clear()
                try:
                    rows = self._state.rows("SELECT * FROM messages WHERE target = ? ORDER BY due LIMIT 1", url)
                    wait = rows[0]["due"] - time.time() if rows else None
                    if wait is not None and wait <= 0:
                        self._try(client, rows[0])
                        continue
                except StoreUnavailable as error:
                    log.error("webhooks wait: %s", error.detail)
                    wait = self._first_delay
                news.wait(wait)

    def _try(self, client: httpx.Client, row: Any) -> None:
        at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "gaitkeeper",
            "webhook-id": row["id"],
            "webhook-timestamp": at,
            "webhook-signature": signature(self._secret, row["id"], at, row["body"]),
        }
        try:
            # Read only the status of the reply.
            with client.stream("POST", row["target"], content=row["body"], headers=headers) as reply:
                status: int | None = reply.status_code
        except httpx.HTTPError:
            status = None
        tries = row["tries"] + 1
        done = status is not None and 200 <= status < 300
        given_up = not done and (status == GONE or tries >= self._attempts)
        self._metrics.webhook("delivered" if done else "given_up" if given_up else "failed")
        if given_up:
            log.warning("a webhook's message was given up after %d tries, the last answer was %s", tries, status)
        with self._state.transaction() as db:
            if done or given_up:
                db.execute("DELETE FROM messages WHERE id = ?", (row["id"],))
            else:
                due = time.time() + self._first_delay * GROWTH ** (tries - 1)
                db.execute("UPDATE messages SET tries = ?, due = ? WHERE id = ?", (tries, due, row["id"]))


def signature(secret: bytes, message: str, timestamp: str, body: bytes) -> str:
    """The value of ``webhook-signature``, according to section "Symmetric" of the Standard Webhooks specification."""
    digest = hmac.digest(secret, f"{message}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
