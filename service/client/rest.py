"""A small typed client of the REST API."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from service import problems
from service.errors import JobCancelled, ServerUnreachable, UnexpectedReply
from service.files import require_file
from service.schemas import (
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
    from service.client.live import LiveStream

Reply = TypeVar("Reply", bound=BaseModel)
Progress = Callable[[str, float], None]
"""Told a stage and the share of it that is done, in [0, 1]."""

POLL_SECONDS = 0.5
KEY_VARIABLE = "GAITKEEPER_API_KEY"


class Client:
    """Talks to one service.

    >>> with Client("http://127.0.0.1:8321") as client:  # doctest: +SKIP
    ...     client.enroll("walk.mp4", "alice")
    ...     client.identify("another.mp4").people[0].verdict

    Every method raises the error class that the service raised, with its code and sentence, and besides:

    Raises:
        ServerUnreachable: nothing answers at the address, or it broke off.
        UnexpectedReply: what answers does not speak this API.
        NotAFile: there is no file at the path of a clip.
    """

    def __init__(self, url: str = "http://127.0.0.1:8321", *, key: str | None = None, timeout: float = 600.0) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            url: address of the service.
            key: API key, where the service asks for one; that of ``GAITKEEPER_API_KEY`` where not given.
            timeout: seconds to wait for a reply once a clip has been sent.
        """
        self.url = url
        key = self._key = key or os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else None
        # The address is one that the user named: a proxy from the environment has no business between.
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
        """Let go of the connections."""
        self._http.close()

    def enroll(
        self,
        clip: str | Path,
        subject: str,
        *,
        more: Sequence[str | Path] = (),
        track: int | None = None,
        point: str | None = None,
        collection: str = "default",
        strict: bool = False,
        camera: str | None = None,
        rotate: int | None = None,
        min_quality: float = 0.0,
        network: str | None = None,
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
    ) -> EnrollReply:
        """Enrol a clip's one walker, or the one of ``track`` or at ``point``, as ``subject``.

        It is done once for an ``idempotency_key``. ``more`` clips of the same person are enrolled with it, or none. If
        ``strict``, a walker who matches another subject is refused with LooksLikeOtherSubject.
        """
        fields: dict[str, Any] = {"subject": subject, "collection": collection, "strict": strict}
        fields |= _given(
            track=track, point=point, camera=camera, rotate=rotate, min_quality=min_quality, network=network
        )
        return self._upload("/enroll", clip, fields, EnrollReply, on_progress, idempotency_key, more)

    def identify(
        self,
        clip: str | Path,
        *,
        top_k: int = 5,
        fpir: float = 0.01,
        where: Mapping[str, str] | None = None,
        pictures: bool = False,
        boxes: bool = False,
        explain: bool = False,
        camera: str | None = None,
        rotate: int | None = None,
        min_quality: float = 0.0,
        network: str | None = None,
        collection: str = "default",
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
    ) -> IdentifyReply:
        """Rank the collection's subjects, those with the metadata ``where`` alone, for every walker of a clip.

        ``pictures``, ``boxes`` and ``explain`` ask for more about each walker; see :class:`service.schemas.Person`.
        """
        fields: dict[str, Any] = {"top_k": top_k, "fpir": fpir, "collection": collection}
        fields |= {"pictures": pictures, "boxes": boxes, "explain": explain}
        fields |= _given(camera=camera, rotate=rotate, min_quality=min_quality, network=network)
        fields |= {"where": [f"{key}={value}" for key, value in where.items()]} if where else {}
        return self._upload("/identify", clip, fields, IdentifyReply, on_progress, idempotency_key)

    def verify(
        self,
        clip: str | Path,
        subject: str,
        *,
        track: int | None = None,
        point: str | None = None,
        fmr: float = 0.001,
        camera: str | None = None,
        rotate: int | None = None,
        min_quality: float = 0.0,
        network: str | None = None,
        collection: str = "default",
        on_progress: Progress | None = None,
    ) -> VerifyReply:
        """Whether a clip's one walker, or the one of ``track`` or at ``point``, is ``subject``."""
        fields: dict[str, Any] = {"subject": subject, "fmr": fmr, "collection": collection}
        fields |= _given(
            track=track, point=point, camera=camera, rotate=rotate, min_quality=min_quality, network=network
        )
        return self._upload("/verify", clip, fields, VerifyReply, on_progress, None)

    def learn(
        self,
        clip: str | Path,
        camera: str,
        *,
        rotate: int | None = None,
        collection: str = "default",
        on_progress: Progress | None = None,
    ) -> LearnReply:
        """Keep the walkers of a clip as passers-by of a camera, without asking who they are."""
        fields = {"camera": camera, "collection": collection, **_given(rotate=rotate)}
        return self._upload("/learn", clip, fields, LearnReply, on_progress, None)

    def stream(
        self,
        *,
        top_k: int = 5,
        fpir: float = 0.01,
        where: Mapping[str, str] | None = None,
        camera: str | None = None,
        rotate: int | None = None,
        collection: str = "default",
    ) -> LiveStream:
        """A live stream: frames are sent one by one, tracks and verdicts come as events."""
        from service.client.live import LiveStream

        query: dict[str, object] = {"top_k": top_k, "fpir": fpir, "collection": collection}
        query |= {"where": [f"{key}={value}" for key, value in where.items()]} if where else {}
        query |= _given(camera=camera, rotate=rotate)
        return LiveStream(self.url, self._key, query)

    def subjects(self, *, collection: str = "default") -> SubjectsReply:
        """The subjects of a collection, from all pages."""
        path, query = f"/collections/{_part(collection)}/subjects", {"limit": "1000"}
        whole = page = self._send("GET", path, SubjectsReply, params=query)
        while page.next is not None:
            page = self._send("GET", path, SubjectsReply, params={**query, "after": page.next})
            whole.subjects.extend(page.subjects)
        whole.next = None
        return whole

    def templates(self, subject: str, *, collection: str = "default") -> TemplatesReply:
        """A subject's templates, from all pages."""
        path = f"/collections/{_part(collection)}/subjects/{_part(subject)}/templates"
        query = {"limit": "1000"}
        whole = page = self._send("GET", path, TemplatesReply, params=query)
        while page.next is not None:
            page = self._send("GET", path, TemplatesReply, params={**query, "after": page.next})
            whole.templates.extend(page.templates)
        whole.next = None
        return whole

    def subject(self, subject: str, *, collection: str = "default") -> SubjectReply:
        """One subject and its templates."""
        return self._send("GET", f"/collections/{_part(collection)}/subjects/{_part(subject)}", SubjectReply)

    def erase(self, subject: str, *, collection: str = "default") -> Erasure:
        """Remove a subject with everything kept of it."""
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
        """Change a subject's display name, metadata or legal basis; None leaves what is there."""
        change = {"display_name": display_name, "metadata": metadata, "legal_basis": legal_basis}
        path = f"/collections/{_part(collection)}/subjects/{_part(subject)}"
        return self._send("PATCH", path, SubjectReply, json=change)

    def template_pictures(self, subject: str, template: str, *, collection: str = "default") -> Strips:
        """A template's walk, to look at."""
        path = f"/collections/{_part(collection)}/subjects/{_part(subject)}/templates/{_part(template)}/pictures"
        return self._send("GET", path, Strips)

    def delete_template(self, subject: str, template: str, *, collection: str = "default") -> Removal:
        """Remove one template of a subject."""
        path = f"/collections/{_part(collection)}/subjects/{_part(subject)}/templates/{_part(template)}"
        return self._send("DELETE", path, Removal)

    def strangers(self, *, collection: str = "default") -> StrangersReply:
        """Those whom the collection did not know, grouped."""
        return self._send("GET", f"/collections/{_part(collection)}/strangers", StrangersReply)

    def keep_strangers(self, keep_seconds: float | None, *, collection: str = "default") -> StrangersReply:
        """Keep those who are unknown from now on, for so long; None keeps nobody, and forgets all."""
        path = f"/collections/{_part(collection)}/strangers"
        return self._send("PUT", path, StrangersReply, json={"keep_seconds": keep_seconds})

    def name_strangers(
        self, group: str, subject: str, *, display_name: str | None = None, collection: str = "default"
    ) -> NamedReply:
        """Enrol a group of strangers as one subject."""
        path = f"/collections/{_part(collection)}/strangers/{_part(group)}"
        return self._send("POST", path, NamedReply, json={"subject": subject, "display_name": display_name})

    def forget_strangers(self, group: str | None = None, *, collection: str = "default") -> Removal:
        """Forget a group of strangers, or all of them."""
        end = "" if group is None else f"/{_part(group)}"
        return self._send("DELETE", f"/collections/{_part(collection)}/strangers{end}", Removal)

    def stranger_pictures(self, stranger: str, *, collection: str = "default") -> Strips:
        """A stranger's walk, to look at."""
        return self._send("GET", f"/collections/{_part(collection)}/strangers/{_part(stranger)}/pictures", Strips)

    def collections(self) -> CollectionsReply:
        """All collections, from all pages."""
        query = {"limit": "1000"}
        whole = page = self._send("GET", "/collections", CollectionsReply, params=query)
        while page.next is not None:
            page = self._send("GET", "/collections", CollectionsReply, params={**query, "after": page.next})
            whole.collections.extend(page.collections)
        whole.next = None
        return whole

    def collection(self, collection: str) -> Collection:
        """One collection."""
        return self._send("GET", f"/collections/{_part(collection)}", Collection)

    def create_collection(
        self, collection: str, *, keeps_heatmaps: bool = False, ttl_seconds: float | None = None
    ) -> Collection:
        """Make a collection."""
        new = {"name": collection, "keeps_heatmaps": keeps_heatmaps, "ttl_seconds": ttl_seconds}
        return self._send("POST", "/collections", Collection, json=new)

    def delete_collection(self, collection: str) -> Removal:
        """Remove a collection with everything in it."""
        return self._send("DELETE", f"/collections/{_part(collection)}", Removal)

    def cameras(self, collection: str = "default") -> CamerasReply:
        """What a collection knows of cameras."""
        return self._send("GET", f"/collections/{_part(collection)}/cameras", CamerasReply)

    def keep_passers_by(self, keep_seconds: float | None, *, collection: str = "default") -> CamerasReply:
        """Keep who passes a camera from now on, for so long; None keeps nobody, and forgets all."""
        path = f"/collections/{_part(collection)}/cameras"
        return self._send("PUT", path, CamerasReply, json={"keep_seconds": keep_seconds})

    def forget_camera(self, collection: str, camera: str) -> CamerasReply:
        """Forget what a collection knows of a camera."""
        return self._send("DELETE", f"/collections/{_part(collection)}/cameras/{_part(camera)}", CamerasReply)

    def jobs(self, *, limit: int = 100, after: str | None = None, collection: str | None = None) -> JobsReply:
        """A page of the jobs of this client's key, newest first."""
        given = {"limit": str(limit), "after": after, "collection": collection}
        return self._send("GET", "/jobs", JobsReply, params={k: v for k, v in given.items() if v is not None})

    def models(self) -> ModelsReply:
        """The networks."""
        return self._send("GET", "/models", ModelsReply)

    def system(self) -> SystemReply:
        """What runs there, and how busy it is."""
        return self._send("GET", "/system", SystemReply)

    def job(self, job: str) -> JobReply:
        """How a job stands."""
        return self._send("GET", f"/jobs/{_part(job)}", JobReply)

    def cancel(self, job: str) -> JobReply:
        """Cancel a job."""
        return self._send("DELETE", f"/jobs/{_part(job)}", JobReply)

    def health(self) -> Health:
        """Whether the process is alive."""
        return self._send("GET", "/livez", Health)

    def ready(self) -> Readiness:
        """Whether it can answer for clips; raises NotReady where it cannot."""
        return self._send("GET", "/readyz", Readiness)

    def _upload(
        self,
        path: str,
        clip: str | Path,
        fields: dict[str, Any],
        kind: type[Reply],
        on_progress: Progress | None,
        idempotency_key: str | None,
        more: Sequence[str | Path] = (),
    ) -> Reply:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        with ExitStack() as stack:
            files = [
                ("clip", (Path(one).name, stack.enter_context(_Watched(one, on_progress)))) for one in (clip, *more)
            ]
            return self._send("POST", path, kind, data=fields, files=files, headers=headers)

    def _send(self, method: str, path: str, kind: type[Reply], **content: Any) -> Reply:
        try:
            reply = self._http.request(method, path, **content)
        except httpx.TimeoutException as error:
            raise ServerUnreachable(f"The service at {self.url} did not answer in time.") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ServerUnreachable(f"No service answers at {self.url}: {error}.") from error
        try:
            document = reply.json()
        except ValueError as error:
            raise UnexpectedReply(
                f"{self.url} answered {reply.status_code} with something that is not JSON."
            ) from error
        if not reply.is_success:
            raise problems.from_body(document)
        if reply.status_code == 202:
            document = self._result(self._model(reply, document, JobReply))
        return self._model(reply, document, kind)

    def _result(self, job: JobReply) -> dict[str, Any]:
        """What came of a job, waited for."""
        while job.ended is None:
            time.sleep(POLL_SECONDS)
            job = self.job(job.id)
        if job.result is None:
            raise problems.from_body(job.problem or problems.body(JobCancelled("The job was cancelled.")))
        return job.result.model_dump()

    def _model(self, reply: httpx.Response, document: Any, kind: type[Reply]) -> Reply:
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            raise UnexpectedReply(
                f"{self.url} answered {reply.status_code} with something else than expected."
            ) from error


class _Watched(io.FileIO):
    """A file that tells how much of it has been sent."""

    def __init__(self, path: str | Path, on_progress: Progress | None) -> None:
        super().__init__(require_file(path))
        self._tell = on_progress
        self._size = max(1, Path(path).stat().st_size)

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(-1 if size is None else size)
        if self._tell:
            self._tell("upload", self.tell() / self._size)
        return data or b""


def _given(**fields: Any) -> dict[str, Any]:
    """The fields that say something; 0 does, where something else is set for a camera."""
    return {name: value for name, value in fields.items() if value is not None}


def _part(text: str) -> str:
    return quote(text, safe="")
