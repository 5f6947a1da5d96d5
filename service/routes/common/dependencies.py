"""Parameters and dependencies of routes, as annotated types."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, File, Form, Header, Path, Query, Request, Response, UploadFile
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from gaitkeeper.service.auth.keys import Keys
from gaitkeeper.service.auth.sessions import Sessions
from gaitkeeper.service.background.jobs import Jobs
from gaitkeeper.service.background.replay import Replays
from gaitkeeper.service.background.work import Work
from gaitkeeper.service.http.limits import WorkQueue
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.recognition.engine import Engine


def _of_app(name: str) -> Any:
    """A dependency that returns an attribute of the application's state."""

    def found(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(found)


class ClipRoute(APIRoute):
    """A route that takes a clip. Requests are rejected before the clip is read if the queue is full."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, with a check of the queue before it."""
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            queue: WorkQueue = request.app.state.queue
            queue.admit()
            return await handle(request)

        return admitted


EngineOf = Annotated[Engine, _of_app("engine")]
Queue = Annotated[WorkQueue, _of_app("queue")]
ReplaysOf = Annotated[Replays, _of_app("replays")]
WorkOf = Annotated[Work, _of_app("work")]
JobsOf = Annotated[Jobs, _of_app("jobs")]
KeysOf = Annotated[Keys, _of_app("keys")]
SessionsOf = Annotated[Sessions, _of_app("sessions")]
MetricsOf = Annotated[Metrics, _of_app("metrics")]
Probes = Annotated[WorkQueue, _of_app("probes")]

_CLIP = "The clip: mp4, mov, mkv, webm or avi."
ClipFile = Annotated[UploadFile, File(description=_CLIP)]
ClipOrHandle = Annotated[
    UploadFile | SkipJsonSchema[None], File(description=f"{_CLIP} Required unless a `handle` stands for it.")
]
ClipFiles = Annotated[
    list[UploadFile],
    File(
        max_length=16,
        description=f"{_CLIP} Required unless a `handle` stands for it. May be given several times, for clips of the "
        "same person.",
    ),
]
_SUBJECT = "Id of the subject: 1 to 128 characters, no slashes."
SubjectField = Annotated[str, Form(description=_SUBJECT, examples=["alice"])]
SubjectOrSubjects = Annotated[
    str | SkipJsonSchema[None],
    Form(description=f"{_SUBJECT} Required unless `subjects` says who walks.", examples=["alice"]),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Text chosen by the caller. The same request with the same key is processed once, and always gets "
        "the same reply.",
    ),
]
Prefer = Annotated[
    str | None,
    Header(description="`respond-async` makes the clip a job: status 202, with the job's address in `Location`."),
]


class Page(BaseModel):
    """Page of a list."""

    limit: int = Field(100, ge=1, le=1000, description="Maximum number of entries in a page.")
    after: str | None = Field(None, max_length=512, description="Start of the page: `next` of the page before.")


class JobsPage(Page):
    """Page of the list of jobs."""

    collection: str | None = Field(None, description="List only jobs of this collection.")


PageOf = Annotated[Page, Query()]
JobsPageOf = Annotated[JobsPage, Query()]
CollectionPath = Annotated[str, Path(description="Name of the collection.", examples=["default"])]
CameraPath = Annotated[str, Path(description="Name of the camera.", examples=["north-door"])]
HandlePath = Annotated[
    str, Path(description="Handle of a clip that was looked at.", examples=["Xr3nB0oJ9yQm1vTz5cLk7w"])
]
SubjectPath = Annotated[str, Path(description="Id of the subject.", examples=["alice"])]
TemplatePath = Annotated[str, Path(description="Id of the template.", examples=["5b0cf3a6d5a84b3f8f1d0b1f6b8f2a77"])]
