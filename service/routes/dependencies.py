"""Parameters and dependencies of routes, as annotated types."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, File, Form, Header, Path, Query, Request, Response, UploadFile
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, Field

from pipelines.upright import Rotation, number_of
from service.background.jobs import Jobs
from service.background.replay import Replays
from service.background.work import Work
from service.http.limits import WorkQueue
from service.metrics import Metrics
from service.recognition.engine import Engine
from service.recognition.walker_options import POINT


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
MetricsOf = Annotated[Metrics, _of_app("metrics")]
Probes = Annotated[WorkQueue, _of_app("probes")]

ClipFile = Annotated[UploadFile, File(description="The clip: mp4, mov, mkv, webm or avi.")]
ClipFiles = Annotated[
    list[UploadFile],
    File(
        min_length=1,
        max_length=16,
        description="The clip: mp4, mov, mkv, webm or avi; several of the same person, if wanted.",
    ),
]
SubjectField = Annotated[
    str, Form(description="Id of the subject: 1 to 128 characters, no slashes.", examples=["alice"])
]
TrackField = Annotated[
    int | None, Form(ge=1, description="Which walker, where several are in the clip; see `multiple_people`.")
]
CollectionField = Annotated[str, Form(description="The collection to act on.")]
TopK = Annotated[int, Form(ge=1, le=1000, description="Candidates per walker.")]
Fpir = Annotated[float, Form(gt=0, lt=1, description="False-positive identification rate to decide at.")]
Fmr = Annotated[float, Form(gt=0, lt=1, description="False match rate to decide at.")]
Strict = Annotated[
    bool, Form(description="Refuse a walker who matches another subject: `looks_like_other_subject`, not a warning.")
]
Where = Annotated[
    list[str],
    Form(description="Metadata that a subject must have to be a candidate: `site=north`; several must all hold."),
]
PointField = Annotated[
    str | None,
    Form(
        pattern=f"^{POINT}$",
        description="Which walker: the one at `x,y` in pixels of the upright picture, or `x,y@t` at a time in seconds.",
        examples=["640,360@1.5"],
    ),
]
MinQuality = Annotated[
    float, Form(ge=0, le=1, description="Mean joint score that a walker must have, beyond what is always asked for.")
]
NetworkField = Annotated[
    str | None,
    Form(description="The network that the collection must be pinned to, or that a new one will be; see `/models`."),
]
Pictures = Annotated[
    bool,
    Form(description="Give strips and a thumbnail of each walker, with `explain` of the candidates, too."),
]
Boxes = Annotated[bool, Form(description="Give each walker's box, frame by frame.")]
Explain = Annotated[bool, Form(description="Say of the first five candidates how near each part of the body is.")]
CameraField = Annotated[
    str | None,
    Form(
        description="Name of the camera that took the clip. What the collection has learnt of how people look to it is"
        " taken off before distances.",
        examples=["north-door"],
    ),
]
RotateField = Annotated[
    Annotated[Rotation, BeforeValidator(number_of)] | None,
    Form(
        description="Degrees to turn the pictures clockwise, after what the clip itself says: for a camera that hangs "
        "otherwise. Else as `GAITKEEPER_CAMERA_ROTATE` says of the camera.",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Made up by the caller; the same request with the same key gets the same reply and is done once.",
    ),
]
Prefer = Annotated[
    str | None, Header(description="`respond-async` makes a job of the clip: 202 with its address in `Location`.")
]


class Page(BaseModel):
    """Page of a list."""

    limit: int = Field(100, ge=1, le=1000, description="Most entries of a page.")
    after: str | None = Field(None, max_length=512, description="Where the page begins: `next` of the page before it.")


class JobsPage(Page):
    """Page of the list of jobs."""

    collection: str | None = Field(None, description="List this collection's jobs alone.")


PageOf = Annotated[Page, Query()]
JobsPageOf = Annotated[JobsPage, Query()]
CollectionPath = Annotated[str, Path(description="Name of the collection.", examples=["default"])]
CameraPath = Annotated[str, Path(description="Name of the camera.", examples=["north-door"])]
SubjectPath = Annotated[str, Path(description="Id of the subject.", examples=["alice"])]
TemplatePath = Annotated[str, Path(description="Id of the template.", examples=["5b0cf3a6d5a84b3f8f1d0b1f6b8f2a77"])]
