"""Jobs: clips that are processed after their request was answered.

A table holds the jobs and their results. One thread processes them, oldest first. Jobs that were queued or running when
the service ended are processed after the next start. A job that was running at two ends of the service is given up.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.stores.audit import acting
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.auth.access import NOBODY, caller_id, working_for
from gaitkeeper.service.auth.keys import Keys
from gaitkeeper.service.background.ownership import visible, visible_result
from gaitkeeper.service.background.work import Reply, accused, named, outcome_of, still_there
from gaitkeeper.service.errors import JobCancelled, Overloaded
from gaitkeeper.service.problems import body
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.schemas import JobOutcome, JobReply, JobsReply, JobState
from gaitkeeper.service.state import State

Do = Callable[[str, Path, dict[str, Any], Progress], tuple[int, Reply]]
"""Function that processes a job: takes its kind, clip, fields and progress callback; returns status and reply."""

log = logging.getLogger("gaitkeeper")

LIVE = ("queued", "running")
RUNS = 2
PAUSE = 5.0
"""Seconds until the table is checked again without a new job, for example after an error."""
LISTENERS = 16
"""Maximum number of listeners per job. Each is an open socket."""


class Jobs:
    """The jobs of one service. Thread-safe.

    Args:
        state: database with the table. The folder of clips is next to it.
        work: processes a job.
        there: tells whether a subject of a collection still exists.
        bound: maximum number of queued jobs.
        keep: seconds to keep the result of a job.
        retry_after: seconds after which a caller should retry when the queue is full.
        annotated_bytes: maximum bytes of annotated clips that are kept.
        on_end: called with a job once it has ended.
        on_problem: called with the error code of a failed job.
    """

    def __init__(
        self,
        state: State,
        work: Do,
        there: Callable[[str, str], bool],
        *,
        bound: int,
        keep: float,
        retry_after: int,
        annotated_bytes: int = 2**31,
        on_end: Callable[[JobState], None] = lambda _: None,
        on_problem: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._state, self._work, self._there, self._keys = state, work, there, Keys(state)
        self._bound, self._keep, self._retry_after = bound, keep, retry_after
        self._annotated_bytes = annotated_bytes
        self._on_end, self._on_problem = on_end, on_problem
        self._folder = state.clips
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = threading.Lock()
        self._progress: dict[str, tuple[str, float]] = {}
        self._cancelled: set[str] = set()
        self._arriving: set[str] = set()
        self._listeners: dict[str, set[Callable[[], None]]] = {}
        self._stopping = False
        self._wake = threading.Event()
        self._recover()
        self._worker = threading.Thread(target=self._serve, name="jobs", daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Stop processing. A running job is repeated after the next start."""
        self._stopping = True
        self._wake.set()
        self._worker.join()

    def submit(
        self, kind: str, clip: IO[bytes], fields: dict[str, Any], collection: str, file: str | None = None
    ) -> JobReply:
        """Add a job. It is durable on return.

        Args:
            kind: "enroll", "identify" or "walkers".
            clip: the clip.
            fields: the request's options.
            collection: name of the collection.
            file: name of the clip's file, to tell jobs apart.

        Raises:
            Overloaded: the queue is full, or an annotated clip is asked for and no room is left for it.
        """
        self._expire()
        waiting = self.waiting()
        if waiting >= self._bound:
            raise Overloaded(
                f"{waiting} jobs are waiting, which is the limit: try again in {self._retry_after} s.",
                retry_after=self._retry_after,
            )
        # An annotated clip is about as large as the clip.
        kept = self._state.annotated_bytes() if fields.get("annotate") else 0
        if kept and kept + clip.seek(0, os.SEEK_END) > self._annotated_bytes:
            raise Overloaded(
                f"{kept} of {self._annotated_bytes} bytes for annotated clips are in use: send the clip without "
                "`annotate`, or try again when others have expired.",
                retry_after=self._retry_after,
            )
        job, now = uuid.uuid4().hex, time.time()
        clip.seek(0)
        self._arriving.add(job)
        try:
            with os.fdopen(os.open(self._clip(job), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
                shutil.copyfileobj(clip, copy)
                copy.flush()
                os.fsync(copy.fileno())
            with self._state.transaction() as db:
                db.execute(
                    "INSERT INTO jobs (id, owner, kind, collection, fields, state, runs, created, file) "
                    "VALUES (?, ?, ?, ?, ?, 'queued', 0, ?, ?)",
                    (job, caller_id(), kind, collection, json.dumps(fields), now, file),
                )
        except BaseException:  # for example a full disk: without a job, delete the clip
            self._clip(job).unlink(missing_ok=True)
            raise
        finally:
            self._arriving.discard(job)
        self._wake.set()
        return self.show(job)

    def waiting(self) -> int:
        """Number of jobs that have not started."""
        return int(self._state.rows("SELECT count(*) FROM jobs WHERE state = 'queued'")[0][0])

    def page(self, limit: int, after: str | None = None, collection: str | None = None) -> JobsReply:
        """A page of the jobs that the caller may see, newest first.

        Args:
            limit: maximum number of jobs.
            after: the last job of the page before.
            collection: list only jobs of this collection.
        """
        self._expire()
        rows = self._state.rows(
            "WITH visible AS (SELECT * FROM jobs WHERE owner = ?1 OR collection IN (SELECT value FROM json_each(?2)) "
            "OR ?3) SELECT * FROM visible WHERE coalesce(collection = ?4, TRUE) "
            "AND (?5 IS NULL OR (created, id) < (SELECT created, id FROM visible WHERE id = ?5)) "
            "ORDER BY created DESC, id DESC LIMIT ?6",
            *visible(),
            collection,
            after,
            limit + 1,
        )
        page = [self._stands(row) for row in rows[:limit]]
        return JobsReply(jobs=page, next=page[-1].id if len(rows) > limit else None)

    @contextmanager
    def listening(self, job: str, notify: Callable[[], None]) -> Iterator[None]:
        """Context manager: calls ``notify`` whenever the state of a job changes, possibly from another thread.

        Raises:
            Overloaded: the job has the maximum number of listeners.
        """
        with self._lock:
            if len(self._listeners.get(job, ())) >= LISTENERS:
                raise Overloaded(
                    f"{LISTENERS} connections follow this job, which is the limit.", retry_after=self._retry_after
                )
            self._listeners.setdefault(job, set()).add(notify)
        try:
            yield
        finally:
            with self._lock:
                self._listeners[job].discard(notify)
                if not self._listeners[job]:
                    del self._listeners[job]

    def show(self, job: str, *, change: bool = False) -> JobReply:
        """State and result of one of the jobs that the caller may see, or may change.

        Raises:
            NotFound: there is no such job.
        """
        self._expire()
        rows = self._state.rows(
            "SELECT * FROM jobs WHERE id = ?4 "
            "AND (owner = ?1 OR collection IN (SELECT value FROM json_each(?2)) OR ?3)",
            *visible(change=change),
            job,
        )
        if not rows:
            raise NotFound(f"The job {job!r} does not exist.")
        row = rows[0]
        outcome = json.loads(row["body"] or "null")
        if row["state"] == "done":
            return JobReply(**dict(self._stands(row)), result=visible_result(outcome, row["owner"]), problem=None)
        return JobReply(**dict(self._stands(row)), result=None, problem=outcome)

    def annotated(self, job: str) -> Path:
        """The annotated clip of one of the jobs that the caller may see.

        Raises:
            NotFound: there is no such job, or it has no annotated clip.
        """
        if not self.show(job).annotated:
            raise NotFound(f"The job {job!r} has no annotated clip: ask for it by `annotate=true` with the clip.")
        return self._state.annotated(job)

    def _stands(self, row: sqlite3.Row) -> JobState:
        stage, share = self._progress.get(row["id"], (None, 0.0))
        return JobState(
            id=row["id"],
            kind=row["kind"],
            collection=row["collection"],
            key=row["owner"] or None,
            file=row["file"],
            camera=json.loads(row["fields"]).get("camera"),
            state=row["state"],
            stage=stage,
            progress=1.0 if row["state"] == "done" else share,
            created=_time(row["created"]),
            ended=None if row["ended"] is None else _time(row["ended"]),
            expires=None if row["ended"] is None else _time(row["ended"] + self._keep),
            status=row["status"],
            annotated=row["state"] == "done" and self._state.annotated(row["id"]).exists(),
            outcome=None if row["outcome"] is None else json.loads(row["outcome"]),
        )

    def _changed(self, job: str) -> None:
        with self._lock:
            listeners = list(self._listeners.get(job, ()))
        for notify in listeners:
            notify()

    def cancel(self, job: str) -> JobReply:
        """Cancel one of the caller's jobs. A job that has ended is unchanged. Raises NotFound."""
        if self.show(job, change=True).state in LIVE:
            self._cancelled.add(job)
            with self._state.transaction() as db:
                ended = db.execute(
                    "UPDATE jobs SET state = 'cancelled', ended = ? WHERE id = ? AND state = 'queued' RETURNING *",
                    (time.time(), job),
                ).fetchone()
            self._changed(job)
            if ended is not None:  # the worker will skip it, so delete its clip now
                self._drop(job)
                self._on_end(self._stands(ended))
        return self.show(job)

    def _serve(self) -> None:
        """Process queued jobs, oldest first, until the service ends."""
        while not self._stopping:
            try:
                self._tidy()
                taken = self._take()
                if taken is not None:
                    self._do(taken)
                    continue
            except Exception:  # for example a full disk: the job stays in the table and is retried
                log.exception("jobs")
            self._wake.wait(PAUSE)
            self._wake.clear()

    def _tidy(self) -> None:
        """Delete the clips of jobs that are no longer live, as of erased subjects, and notify their listeners. Delete
        annotated clips without a job, too.
        """
        files = list(self._folder.iterdir())
        arriving = set(self._arriving)  # read this before the table: a clip in neither has no job
        states = {row["id"]: row["state"] for row in self._state.rows("SELECT id, state FROM jobs")}
        live = arriving | {job for job, state in states.items() if state in LIVE}
        for file in files:
            job = file.name.partition(".")[0]
            if file.suffix == ".clip" and job not in live:
                self._drop(job)
                self._changed(job)
            elif file.suffix != ".clip" and states.get(job) != "done":
                file.unlink(missing_ok=True)

    def _drop(self, job: str) -> None:
        """Delete what is kept for a job that will not be processed."""
        self._clip(job).unlink(missing_ok=True)
        self._cancelled.discard(job)

    def _take(self) -> sqlite3.Row | None:
        with self._state.transaction() as db:
            taken: sqlite3.Row | None = db.execute(
                "UPDATE jobs SET state = 'running', runs = runs + 1 WHERE id = "
                "(SELECT id FROM jobs WHERE state = 'queued' ORDER BY created, id LIMIT 1) RETURNING *"
            ).fetchone()
        return taken

    def _do(self, taken: sqlite3.Row) -> None:
        job, subjects = taken["id"], list[str]()
        self._changed(job)
        try:
            with acting(self._keys.actor_of(taken["owner"]) or NOBODY), working_for(taken["owner"]):
                status, reply = self._work(
                    taken["kind"],
                    self._clip(job),
                    json.loads(taken["fields"]),
                    lambda stage, share: self._tell(job, stage, share),
                )
            subjects = sorted(set(named(reply)))
            self._end(job, "done", status, reply.model_dump_json(), subjects, outcome_of(reply))
        except JobCancelled:
            if self._stopping and job not in self._cancelled:
                with self._state.transaction() as db:  # an orderly shutdown does not count as a failed run
                    db.execute("UPDATE jobs SET state = 'queued', runs = runs - 1 WHERE id = ?", (job,))
                return
            self._end(job, "cancelled", None, None, [])
        except Exception as error:
            if not isinstance(error, GaitkeeperError):
                log.exception("job %s", job)
                error = GaitkeeperError("An internal error occurred.")
            document, subjects = body(error), accused(error)
            self._on_problem(document["code"])
            self._end(job, "failed", document["status"], json.dumps(document), subjects)
        if not still_there(partial(self._there, taken["collection"]), subjects):
            self._state.delete_job(job)
            self._changed(job)
        self._clip(job).unlink(missing_ok=True)

    def _tell(self, job: str, stage: str, share: float) -> None:
        self._progress[job] = stage, share
        self._changed(job)
        if self._stopping or job in self._cancelled:
            raise JobCancelled("The job was cancelled.")

    def _end(
        self,
        job: str,
        state: str,
        status: int | None,
        text: str | None,
        subjects: list[str],
        outcome: list[JobOutcome] | None = None,
    ) -> None:
        short = None if outcome is None else json.dumps([one.model_dump(mode="json") for one in outcome])
        with self._state.transaction() as db:
            ended = db.execute(
                "UPDATE jobs SET state = ?, status = ?, body = ?, outcome = ?, ended = ? WHERE id = ? RETURNING *",
                (state, status, text.encode() if text is not None else None, short, time.time(), job),
            ).fetchone()
            db.executemany("INSERT INTO job_named VALUES (?, ?)", [(job, subject) for subject in subjects])
        self._progress.pop(job, None)
        self._cancelled.discard(job)
        self._changed(job)
        if ended is not None:  # None if its collection was deleted meanwhile
            self._on_end(self._stands(ended))

    def _recover(self) -> None:
        """Queue unfinished jobs again."""
        with self._state.transaction() as db:
            db.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running' AND runs < ?", (RUNS,))
            lost = body(GaitkeeperError("The service ended twice while it was processing this."))
            given_up = db.execute(
                "UPDATE jobs SET state = 'failed', status = ?, body = ?, ended = ? WHERE state = 'running'",
                (lost["status"], json.dumps(lost).encode(), time.time()),
            ).rowcount
        for _ in range(given_up):
            self._on_problem(lost["code"])
        for end in ("", "-shm", "-wal"):  # versions before 0.2 had a queue in a separate file
            self._state.path.with_suffix(f".queue.db{end}").unlink(missing_ok=True)
        self._tidy()

    def _expire(self) -> None:
        self._state.expire_jobs(time.time() - self._keep)

    def _clip(self, job: str) -> Path:
        return self._folder / f"{job}.clip"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
