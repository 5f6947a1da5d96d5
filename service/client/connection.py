"""What every method of the client shares: sending a request, waiting for a job, and reading the reply."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from gaitkeeper.service import problems
from gaitkeeper.service.client.watched import WatchedFile
from gaitkeeper.service.errors import JobCancelled, ServerUnreachable, UnexpectedReply
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.schemas import CollectionsReply, DoublesReply, JobReply, SubjectsReply, TemplatesReply

Reply = TypeVar("Reply", bound=BaseModel)
Pages = TypeVar("Pages", SubjectsReply, TemplatesReply, CollectionsReply, DoublesReply)

POLL_SECONDS = 0.5
KEY_VARIABLE = "GAITKEEPER_API_KEY"


class Connection:
    """A connection to one service."""

    def __init__(self, url: str = "http://127.0.0.1:8321", *, key: str | None = None, timeout: float = 600.0) -> None:
        """Create a client. Nothing is sent yet.

        Args:
            url: address of the service.
            key: API key, if the service needs one. Default: the value of ``GAITKEEPER_API_KEY``.
            timeout: seconds to wait for a reply after a clip was sent.
        """
        self.url = url
        key = self._key = key or os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else None
        # The user gave this address, so ignore proxies from the environment.
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=httpx.Timeout(timeout, connect=5.0), trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _upload(
        self,
        path: str,
        clip: str | Path | None,
        fields: dict[str, Any],
        kind: type[Reply],
        on_progress: Progress | None,
        idempotency_key: str | None = None,
        more: Sequence[str | Path] = (),
    ) -> Reply:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        clips = () if clip is None else (clip, *more)
        with ExitStack() as stack:
            files = [("clip", (Path(one).name, stack.enter_context(WatchedFile(one, on_progress)))) for one in clips]
            return self._send("POST", path, kind, data=fields, files=files, headers=headers)

    def _pages(self, path: str, model: type[Pages], entries: str, limit: int = 1000) -> Pages:
        """A list from all its pages of ``limit``; ``entries`` is the field of the reply that holds them."""
        query = {"limit": str(limit)}
        whole = page = self._send("GET", path, model, params=query)
        while page.next is not None:
            page = self._send("GET", path, model, params={**query, "after": page.next})
            getattr(whole, entries).extend(getattr(page, entries))
        whole.next = None
        return whole

    def _send(self, method: str, path: str, kind: type[Reply], **content: Any) -> Reply:
        with self._connected():
            reply = self._http.request(method, path, **content)
        document = self._document(reply)
        if not reply.is_success:
            raise problems.from_body(document)
        if reply.status_code == 202 and kind is not JobReply:
            document = self._result(self._model(reply, document, JobReply))
        return self._model(reply, document, kind)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Context manager: turns failures of the connection into ServerUnreachable."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise ServerUnreachable(f"The service at {self.url} did not reply in time.") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ServerUnreachable(f"No service answers at {self.url}: {error}.") from error

    def _document(self, reply: httpx.Response) -> Any:
        try:
            return reply.json()
        except ValueError as error:
            raise UnexpectedReply(f"{self.url} replied {reply.status_code} with a body that is not JSON.") from error

    def _result(self, job: JobReply, on_progress: Progress | None = None) -> dict[str, Any]:
        """Wait for a job and return its result."""
        while job.ended is None:
            if on_progress and job.stage:
                on_progress(job.stage, job.progress)
            time.sleep(POLL_SECONDS)
            job = self._send("GET", f"/jobs/{path_part(job.id)}", JobReply)
        if job.result is None:
            raise problems.from_body(job.problem or problems.body(JobCancelled("The job was cancelled.")))
        return job.result.model_dump()

    def _model(self, reply: httpx.Response, document: Any, kind: type[Reply]) -> Reply:
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            raise UnexpectedReply(f"{self.url} replied {reply.status_code} with an unexpected body.") from error


def path_part(text: str) -> str:
    """A part of a path, escaped."""
    return quote(text, safe="")
