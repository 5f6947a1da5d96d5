"""A small typed client of the REST API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from gaitkeeper.service import problems
from gaitkeeper.service.client.cameras import CameraMethods
from gaitkeeper.service.client.connection import path_part
from gaitkeeper.service.client.pairs import Pairs
from gaitkeeper.service.client.sightings import SightingsClient
from gaitkeeper.service.files import require_video_target, written
from gaitkeeper.service.options import (
    ClipOptions,
    EnrollOptions,
    IdentifyOptions,
    LookOptions,
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
    ErasedHandle,
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
    WalkersReply,
)

if TYPE_CHECKING:
    from gaitkeeper.service.client.live import LiveStream


class Client(Pairs, SightingsClient, CameraMethods):
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

    @documented(EnrollOptions)
    def enroll(
        self,
        clip: str | Path | None = None,
        subject: str | None = None,
        *,
        more: Sequence[str | Path] = (),
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[EnrollOptions],
    ) -> EnrollReply:
        """Enrol a clip's only walker, or the one of ``track`` or at ``point``, as ``subject``.

        Requests with the same ``idempotency_key`` are processed once. With ``more`` clips of the same person, either
        all clips are enrolled or none; likewise all walkers of ``subjects``, which is given in place of ``subject``. A
        ``handle`` stands for a clip that was looked at before.
        """
        fields = texts({"subject": subject, **options})
        return self._upload("/enroll", clip, fields, EnrollReply, on_progress, idempotency_key, more)

    @documented(IdentifyOptions)
    def identify(
        self,
        clip: str | Path | None = None,
        *,
        annotate: str | Path | None = None,
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[IdentifyOptions],
    ) -> IdentifyReply:
        """Rank the collection's subjects for every walker of a clip, or for the chosen one. A ``handle`` stands for a
        clip that was looked at before.

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
        clip: str | Path | None,
        subject: str,
        *,
        on_progress: Progress | None = None,
        **options: Unpack[VerifyOptions],
    ) -> VerifyReply:
        """Verify that a clip's only walker, or the one of ``track`` or at ``point``, is ``subject``. With a ``handle``,
        the clip is None.
        """
        return self._upload("/verify", clip, {"subject": subject, **texts(options)}, VerifyReply, on_progress)

    @documented(LookOptions)
    def walkers(
        self, clip: str | Path, *, on_progress: Progress | None = None, **options: Unpack[LookOptions]
    ) -> WalkersReply:
        """Find the walkers of a clip. The reply's ``handle`` stands for the clip for some minutes. If the clip became a
        job, the pictures are fetched from the handle.
        """
        reply = self._upload("/walkers", clip, texts(options), WalkersReply, on_progress)
        bare = any(walker.thumbnail is None for walker in reply.walkers)
        return self.show_walkers(reply.handle) if reply.handle and bare else reply

    def show_walkers(self, handle: str) -> WalkersReply:
        """The reply to the look that gave a handle."""
        return self._send("GET", f"/walkers/{path_part(handle)}", WalkersReply)

    def erase_walkers(self, handle: str) -> ErasedHandle:
        """Erase the walkers that are kept under a handle."""
        return self._send("DELETE", f"/walkers/{path_part(handle)}", ErasedHandle)

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
        return self._pages(f"/collections/{path_part(collection)}/subjects", SubjectsReply, "subjects")

    def templates(self, subject: str, *, collection: str = "default") -> TemplatesReply:
        """A subject's templates, from all pages."""
        path = f"/collections/{path_part(collection)}/subjects/{path_part(subject)}/templates"
        return self._pages(path, TemplatesReply, "templates")

    def subject(self, subject: str, *, collection: str = "default") -> SubjectReply:
        """One subject and its templates."""
        return self._send("GET", f"/collections/{path_part(collection)}/subjects/{path_part(subject)}", SubjectReply)

    def erase(self, subject: str, *, collection: str = "default") -> Erasure:
        """Erase a subject and all its data."""
        return self._send("DELETE", f"/collections/{path_part(collection)}/subjects/{path_part(subject)}", Erasure)

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
        path = f"/collections/{path_part(collection)}/subjects/{path_part(subject)}"
        return self._send("PATCH", path, SubjectReply, json=change)

    def template_pictures(self, subject: str, template: str, *, collection: str = "default") -> Strips:
        """Pictures of a template's walk."""
        of_subject = f"/collections/{path_part(collection)}/subjects/{path_part(subject)}"
        return self._send("GET", f"{of_subject}/templates/{path_part(template)}/pictures", Strips)

    def delete_template(self, subject: str, template: str, *, collection: str = "default") -> Removal:
        """Remove one template of a subject."""
        path = f"/collections/{path_part(collection)}/subjects/{path_part(subject)}/templates/{path_part(template)}"
        return self._send("DELETE", path, Removal)

    def strangers(self, *, collection: str = "default") -> StrangersReply:
        """The collection's unknown walkers, grouped."""
        return self._send("GET", f"/collections/{path_part(collection)}/strangers", StrangersReply)

    def keep_strangers(self, keep_seconds: float | None, *, collection: str = "default") -> StrangersReply:
        """Keep future unknown walkers for this time. None stops this and deletes all kept ones."""
        path = f"/collections/{path_part(collection)}/strangers"
        return self._send("PUT", path, StrangersReply, json={"keep_seconds": keep_seconds})

    def name_strangers(
        self, group: str, subject: str, *, display_name: str | None = None, collection: str = "default"
    ) -> NamedReply:
        """Enrol a group of strangers as one subject."""
        path = f"/collections/{path_part(collection)}/strangers/{path_part(group)}"
        return self._send("POST", path, NamedReply, json={"subject": subject, "display_name": display_name})

    def forget_strangers(self, group: str | None = None, *, collection: str = "default") -> Removal:
        """Delete a group of strangers, or all of them."""
        end = "" if group is None else f"/{path_part(group)}"
        return self._send("DELETE", f"/collections/{path_part(collection)}/strangers{end}", Removal)

    def stranger_pictures(self, stranger: str, *, collection: str = "default") -> Strips:
        """Pictures of a stranger's walk."""
        return self._send(
            "GET", f"/collections/{path_part(collection)}/strangers/{path_part(stranger)}/pictures", Strips
        )

    def collections(self) -> CollectionsReply:
        """All collections, from all pages."""
        return self._pages("/collections", CollectionsReply, "collections")

    def collection(self, collection: str) -> Collection:
        """One collection."""
        return self._send("GET", f"/collections/{path_part(collection)}", Collection)

    def create_collection(
        self,
        collection: str,
        *,
        keeps_heatmaps: bool = False,
        ttl_seconds: float | None = None,
        sightings_seconds: float | None = None,
    ) -> Collection:
        """Create a collection."""
        new = {
            "name": collection,
            "keeps_heatmaps": keeps_heatmaps,
            "ttl_seconds": ttl_seconds,
            "sightings_seconds": sightings_seconds,
        }
        return self._send("POST", "/collections", Collection, json=new)

    def delete_collection(self, collection: str) -> Removal:
        """Delete a collection and its content."""
        return self._send("DELETE", f"/collections/{path_part(collection)}", Removal)

    def cameras(self, collection: str = "default") -> CamerasReply:
        """What a collection has learnt about cameras."""
        return self._send("GET", f"/collections/{path_part(collection)}/cameras", CamerasReply)

    def keep_passers_by(self, keep_seconds: float | None, *, collection: str = "default") -> CamerasReply:
        """Keep future passers-by for this time. None stops this and deletes all kept ones."""
        path = f"/collections/{path_part(collection)}/cameras"
        return self._send("PUT", path, CamerasReply, json={"keep_seconds": keep_seconds})

    def forget_camera(self, collection: str, camera: str) -> CamerasReply:
        """Delete what a collection knows about a camera."""
        return self._send("DELETE", f"/collections/{path_part(collection)}/cameras/{path_part(camera)}", CamerasReply)

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
        return self._send("GET", f"/jobs/{path_part(job)}", JobReply)

    def cancel(self, job: str) -> JobReply:
        """Cancel a job."""
        return self._send("DELETE", f"/jobs/{path_part(job)}", JobReply)

    def annotated_clip(self, job: str, path: str | Path) -> None:
        """Fetch the annotated clip of a job to an MP4 file, which only its owner may read."""
        address = f"/jobs/{path_part(job)}/annotated.mp4"
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
