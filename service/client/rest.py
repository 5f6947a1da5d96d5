"""A small typed client of the REST API."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from gaitkeeper.service import problems
from gaitkeeper.service.client.watched import WatchedFile
from gaitkeeper.service.errors import JobCancelled, ServerUnreachable, UnexpectedReply
from gaitkeeper.service.files import require_video_target, written
from gaitkeeper.service.options import (
    ClipOptions,
    EnrollOptions,
    IdentifyOptions,
    StreamOptions,
    VerifyOptions,
    documented,
    texts,
)
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.schemas import (
    CamerasReply,
    Collection,
    CollectionsReply,
    EnrollReply,
    Erasure,
    Health,
    IdentifyReply,
    JobReply,
    JobsReply,
    LearnReply,
    ModelsReply,
    NamedReply,
    PermissionsReply,
    Readiness,
    Removal,
    StrangersReply,
    Strips,
    SubjectReply,
    SubjectsReply,
    SystemReply,
    TemplatesReply,
    VerifyReply,
)

if TYPE_CHECKING:
    from gaitkeeper.service.client.live import LiveStream

Reply = TypeVar("Reply", bound=BaseModel)
Pages = TypeVar("Pages", SubjectsReply, TemplatesReply, CollectionsReply)

POLL_SECONDS = 0.5
KEY_VARIABLE = "GAITKEEPER_API_KEY"


class Client:
    """Client of one service.

    >>> with Client("http://127.0.0.1:8321") as client:  # doctest: +SKIP
    ...     client.enroll("walk.mp4", "alice")
    ...     client.identify("another.mp4").people[0].verdict

    Every method raises the error class that the service raised, with its code and message. In addition:

    Raises:
        ServerUnreachable: no server replies at the address, or the connection broke.
        UnexpectedReply: the server does not implement this API.
        NotAFile: the path of a clip is not a file.
    """

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

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @documented(EnrollOptions)
    def enroll(
        self,
        clip: str | Path,
        subject: str,
        *,
        more: Sequence[str | Path] = (),
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[EnrollOptions],
    ) -> EnrollReply:
        """Enrol a clip's only walker, or the one of ``track`` or at ``point``, as ``subject``.

        Requests with the same ``idempotency_key`` are processed once. With ``more`` clips of the same person, either
        all clips are enrolled or none.
        """
        fields = {"subject": subject, **texts(options)}
        return self._upload("/enroll", clip, fields, EnrollReply, on_progress, idempotency_key, more)

    @documented(IdentifyOptions)
    def identify(
        self,
        clip: str | Path,
        *,
        annotate: str | Path | None = None,
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[IdentifyOptions],
    ) -> IdentifyReply:
        """Rank the collection's subjects for every walker of a clip.

        With ``annotate``, also write an MP4 file of the clip with boxes, names and verdicts. Raises CannotWrite if this
        is not possible.
        """
        if annotate is None:
            return self._upload("/identify", clip, texts(options), IdentifyReply, on_progress, idempotency_key)
        target = require_video_target(annotate, clip)
        fields = {**texts(options), "annotate": True}
        job = self._upload("/identify", clip, fields, JobReply, on_progress, idempotency_key)
        done = IdentifyReply.model_validate(self._result(job, on_progress))
        self.annotated_clip(job.id, target)
        return done

    @documented(VerifyOptions)
    def verify(
        self,
        clip: str | Path,
        subject: str,
        *,
        on_progress: Progress | None = None,
        **options: Unpack[VerifyOptions],
    ) -> VerifyReply:
        """Verify that a clip's only walker, or the one of ``track`` or at ``point``, is ``subject``."""
        return self._upload("/verify", clip, {"subject": subject, **texts(options)}, VerifyReply, on_progress)

    @documented(ClipOptions)
    def learn(
        self, clip: str | Path, camera: str, *, on_progress: Progress | None = None, **options: Unpack[ClipOptions]
    ) -> LearnReply:
        """Keep the walkers of a clip as passers-by of a camera, without identifying them."""
        return self._upload("/learn", clip, {"camera": camera, **texts(options)}, LearnReply, on_progress)

    @documented(StreamOptions)
    def stream(self, **options: Unpack[StreamOptions]) -> LiveStream:
        """Open a live stream: send frames one by one, receive tracks and verdicts as events."""
        from gaitkeeper.service.client.live import LiveStream

        return LiveStream(self.url, self._key, texts(options))

    def subjects(self, *, collection: str = "default") -> SubjectsReply:
        """The subjects of a collection, from all pages."""
        return self._pages(f"/collections/{_part(collection)}/subjects", SubjectsReply, "subjects")

    def templates(self, subject: str, *, collection: str = "default") -> TemplatesReply:
        """A subject's templates, from all pages."""
        path = f"/collections/{_part(collection)}/subjects/{_part(subject)}/templates"
        return self._pages(path, TemplatesReply, "templates")

    def subject(self, subject: str, *, collection: str = "default") -> SubjectReply:
        """One subject and its templates."""
        return self._send("GET", f"/collections/{_part(collection)}/subjects/{_part(subject)}", SubjectReply)

    def erase(self, subject: str, *, collection: str = "default") -> Erasure:
        """Erase a subject and all its data."""
        return self._send("DELETE", f"/collections/{_part(collection)}/subjects/{_part(subject)}", Erasure)

    def update_subject(
        self,
        subject: str,
        *,
        display_name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        legal_basis: str | None = None,
        collection: str = "default",
    ) -> SubjectReply:
        """Change a subject's display name, metadata or legal basis; None keeps the stored value."""
        change = {"display_name": display_name, "metadata": metadata, "legal_basis": legal_basis}
        path = f"/collections/{_part(collection)}/subjects/{_part(subject)}"
        return self._send("PATCH", path, SubjectReply, json=change)

    def template_pictures(self, subject: str, template: str, *, collection: str = "default") -> Strips:
        """Pictures of a template's walk."""
        path = f"/collections/{_part(collection)}/subjects/{_part(subject)}/templates/{_part(template)}/pictures"
        return self._send("GET", path, Strips)

    def delete_template(self, subject: str, template: str, *, collection: str = "default") -> Removal:
        """Remove one template of a subject."""
        path = f"/collections/{_part(collection)}/subjects/{_part(subject)}/templates/{_part(template)}"
        return self._send("DELETE", path, Removal)

    def strangers(self, *, collection: str = "default") -> StrangersReply:
        """The collection's unknown walkers, grouped."""
        return self._send("GET", f"/collections/{_part(collection)}/strangers", StrangersReply)

    def keep_strangers(self, keep_seconds: float | None, *, collection: str = "default") -> StrangersReply:
        """Keep future unknown walkers for this time. None stops this and deletes all kept ones."""
        path = f"/collections/{_part(collection)}/strangers"
        return self._send("PUT", path, StrangersReply, json={"keep_seconds": keep_seconds})

    def name_strangers(
        self, group: str, subject: str, *, display_name: str | None = None, collection: str = "default"
    ) -> NamedReply:
        """Enrol a group of strangers as one subject."""
        path = f"/collections/{_part(collection)}/strangers/{_part(group)}"
        return self._send("POST", path, NamedReply, json={"subject": subject, "display_name": display_name})

    def forget_strangers(self, group: str | None = None, *, collection: str = "default") -> Removal:
        """Delete a group of strangers, or all of them."""
        end = "" if group is None else f"/{_part(group)}"
        return self._send("DELETE", f"/collections/{_part(collection)}/strangers{end}", Removal)

    def stranger_pictures(self, stranger: str, *, collection: str = "default") -> Strips:
        """Pictures of a stranger's walk."""
        return self._send("GET", f"/collections/{_part(collection)}/strangers/{_part(stranger)}/pictures", Strips)

    def collections(self) -> CollectionsReply:
        """All collections, from all pages."""
        return self._pages("/collections", CollectionsReply, "collections")

    def collection(self, collection: str) -> Collection:
        """One collection."""
        return self._send("GET", f"/collections/{_part(collection)}", Collection)

    def create_collection(
        self, collection: str, *, keeps_heatmaps: bool = False, ttl_seconds: float | None = None
    ) -> Collection:
        """Create a collection."""
        new = {"name": collection, "keeps_heatmaps": keeps_heatmaps, "ttl_seconds": ttl_seconds}
        return self._send("POST", "/collections", Collection, json=new)

    def delete_collection(self, collection: str) -> Removal:
        """Delete a collection and its content."""
        return self._send("DELETE", f"/collections/{_part(collection)}", Removal)

    def cameras(self, collection: str = "default") -> CamerasReply:
        """What a collection has learnt about cameras."""
        return self._send("GET", f"/collections/{_part(collection)}/cameras", CamerasReply)

    def keep_passers_by(self, keep_seconds: float | None, *, collection: str = "default") -> CamerasReply:
        """Keep future passers-by for this time. None stops this and deletes all kept ones."""
        path = f"/collections/{_part(collection)}/cameras"
        return self._send("PUT", path, CamerasReply, json={"keep_seconds": keep_seconds})

    def forget_camera(self, collection: str, camera: str) -> CamerasReply:
        """Delete what a collection knows about a camera."""
        return self._send("DELETE", f"/collections/{_part(collection)}/cameras/{_part(camera)}", CamerasReply)

    def jobs(self, *, limit: int = 100, after: str | None = None, collection: str | None = None) -> JobsReply:
        """A page of the jobs of this client's key, newest first."""
        given = {"limit": str(limit), "after": after, "collection": collection}
        return self._send("GET", "/jobs", JobsReply, params={k: v for k, v in given.items() if v is not None})

    def models(self) -> ModelsReply:
        """The networks."""
        return self._send("GET", "/models", ModelsReply)

    def permissions(self) -> PermissionsReply:
        """What this client's key may do."""
        return self._send("GET", "/key", PermissionsReply)

    def system(self) -> SystemReply:
        """Description and load of the service."""
        return self._send("GET", "/system", SystemReply)

    def job(self, job: str) -> JobReply:
        """State of a job."""
        return self._send("GET", f"/jobs/{_part(job)}", JobReply)

    def cancel(self, job: str) -> JobReply:
        """Cancel a job."""
        return self._send("DELETE", f"/jobs/{_part(job)}", JobReply)

    def annotated_clip(self, job: str, path: str | Path) -> None:
        """Fetch the annotated clip of a job to an MP4 file, which only its owner may read."""
        address = f"/jobs/{_part(job)}/annotated.mp4"
        with written(Path(path)) as part, self._connected(), self._http.stream("GET", address) as reply:
            if not reply.is_success:
                reply.read()
                raise problems.from_body(self._document(reply))
            with part.open("wb") as file:
                for piece in reply.iter_bytes():
                    file.write(piece)

    def health(self) -> Health:
        """Whether the process is alive."""
        return self._send("GET", "/livez", Health)

    def ready(self) -> Readiness:
        """Whether the service can process clips. Raises NotReady if it cannot."""
        return self._send("GET", "/readyz", Readiness)

    def _upload(
        self,
        path: str,
        clip: str | Path,
        fields: dict[str, Any],
        kind: type[Reply],
        on_progress: Progress | None,
        idempotency_key: str | None = None,
        more: Sequence[str | Path] = (),
    ) -> Reply:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        with ExitStack() as stack:
            files = [
                ("clip", (Path(one).name, stack.enter_context(WatchedFile(one, on_progress)))) for one in (clip, *more)
            ]
            return self._send("POST", path, kind, data=fields, files=files, headers=headers)

    def _pages(self, path: str, model: type[Pages], entries: str) -> Pages:
        """A list from all its pages; ``entries`` is the field of the reply that holds them."""
        query = {"limit": "1000"}
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
            job = self.job(job.id)
        if job.result is None:
            raise problems.from_body(job.problem or problems.body(JobCancelled("The job was cancelled.")))
        return job.result.model_dump()

    def _model(self, reply: httpx.Response, document: Any, kind: type[Reply]) -> Reply:
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            raise UnexpectedReply(f"{self.url} replied {reply.status_code} with an unexpected body.") from error


def _part(text: str) -> str:
    return quote(text, safe="")
