"""The options of the operations on a clip. Each is written here, and nowhere else.

Form fields and their OpenAPI descriptions, the query of a live stream, jobs, batches, the keyword arguments of
:class:`gaitkeeper.service.recognition.engine.Engine` and :class:`gaitkeeper.service.client.Client`, and the command
line's options with their ``--help`` are made from these definitions. The types are TypedDicts, because type checkers
and editors then know the keyword arguments, and because the command line must start without pydantic.

An option is left out if the caller does not give it; :func:`complete` adds the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal, TypedDict, TypeVar, cast, get_args, get_type_hints

Options = TypeVar("Options", bound=Mapping[str, object])
F = TypeVar("F", bound=Callable[..., object])

POINT = r"\d{1,5}(\.\d{1,3})?,\d{1,5}(\.\d{1,3})?(@\d{1,5}(\.\d{1,3})?)?"
"""``x,y`` in pixels of the upright picture, or ``x,y@t`` with a time in seconds."""
Rotation = Literal[0, 90, 180, 270]


@dataclass(frozen=True, kw_only=True)
class Option:
    """Meaning, default and range of one option.

    Attributes:
        description: one or two sentences: the OpenAPI description, the help of the command line, and the client's
            documentation.
        default: value that holds if the caller gives none.
        ge, gt, le, lt: limits of a number, as pydantic names them.
        pattern: regular expression that a text must match as a whole.
        examples: values for the OpenAPI document.
        metavar, short: placeholder, and one-letter form, on the command line.
        pairs: the value is a mapping, which callers write as texts of the form ``key=value``.
        type: type of the value; read from the definition.
    """

    description: str
    default: Any = None
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    pattern: str | None = None
    examples: tuple[object, ...] = ()
    metavar: str | None = None
    short: str | None = None
    pairs: bool = False
    type: Any = None


class ClipOptions(TypedDict, total=False):
    """Options of every operation on a clip."""

    collection: Annotated[str, Option(default="default", description="Name of the collection.", short="-c")]
    rotate: Annotated[
        Rotation | None,
        Option(
            description="Degrees by which to turn the pictures clockwise, after the rotation that the clip itself "
            "states. The default is the camera's value in `GAITKEEPER_CAMERA_ROTATE`."
        ),
    ]


class CameraOptions(ClipOptions, total=False):
    """Options of operations that compare walkers."""

    camera: Annotated[
        str | None,
        Option(
            description="Name of the camera that recorded the clip. What the collection has learnt about the camera's "
            "view is subtracted before walkers are compared.",
            examples=("north-door",),
        ),
    ]


class WalkerOptions(CameraOptions, total=False):
    """Options of operations on whole clips."""

    min_quality: Annotated[
        float,
        Option(
            default=0.0,
            ge=0,
            le=1,
            description="Smallest mean joint score that a walker may have. The usual checks of quality always apply.",
        ),
    ]
    network: Annotated[
        str | None,
        Option(
            description="Name of the network that the collection must use. A new collection will use it. On the "
            "command line without a server also a `.safetensors` file."
        ),
    ]


class HandleOptions(TypedDict, total=False):
    """Options of operations that take the handle of a clip that was looked at, in place of the clip."""

    handle: Annotated[
        str | None,
        Option(
            pattern=r"^[A-Za-z0-9_-]{1,64}$",
            description="Handle of a clip that was looked at before, in place of the clip. `/walkers`, and `/identify` "
            "with `keep`, give it.",
            examples=("Xr3nB0oJ9yQm1vTz5cLk7w",),
        ),
    ]


class ChoiceOptions(HandleOptions, WalkerOptions, total=False):
    """Options of operations on one walker of a clip."""

    track: Annotated[
        int | None,
        Option(
            ge=1,
            description="Number of the walker, if the clip has several. `/walkers` and the error `multiple_people` "
            "list them.",
        ),
    ]
    point: Annotated[
        str | None,
        Option(
            pattern=f"^{POINT}$",
            description="Position of the walker, if the clip has several: `x,y` in pixels of the upright picture, or "
            "`x,y@t` with a time in seconds.",
            examples=("640,360@1.5",),
            metavar="X,Y[@T]",
        ),
    ]


class EnrollOptions(ChoiceOptions, total=False):
    """Options of an enrolment."""

    strict: Annotated[
        bool,
        Option(
            default=False,
            description="Refuse a walker who matches another subject, with the error `looks_like_other_subject`. By "
            "default this is a warning.",
        ),
    ]
    subjects: Annotated[
        Mapping[int, str] | None,
        Option(
            pairs=True,
            description="Who each of several walkers is, in place of one subject: a JSON object from track to subject, "
            "or `TRACK=SUBJECT`, given several times. Either all are enrolled or none.",
            examples=('{"1": "alice", "3": "bob"}',),
            metavar="TRACK=SUBJECT",
        ),
    ]


class VerifyOptions(ChoiceOptions, total=False):
    """Options of a verification."""

    fmr: Annotated[float, Option(default=0.001, gt=0, lt=1, description="False match rate of the threshold.")]


class SearchOptions(TypedDict, total=False):
    """Options of operations that search the collection."""

    top_k: Annotated[int, Option(default=5, ge=1, le=1000, description="Maximum number of candidates per walker.")]
    fpir: Annotated[
        float,
        Option(default=0.01, gt=0, lt=1, description="False-positive identification rate of the threshold."),
    ]
    where: Annotated[
        Mapping[str, str] | None,
        Option(
            pairs=True,
            description="Metadata that a subject must have to be a candidate, as `site=north`. May be given several "
            "times; all must hold.",
            metavar="KEY=VALUE",
        ),
    ]


class BoxOptions(TypedDict, total=False):
    """Options of operations that list the walkers of a clip."""

    boxes: Annotated[bool, Option(default=False, description="Return the walker's box in every frame.")]


class LookOptions(BoxOptions, CameraOptions, total=False):
    """Options of a look at a clip, which finds its walkers."""

    pictures: Annotated[
        bool,
        Option(default=False, description="Return strips of each walker. The thumbnail is always returned."),
    ]


class IdentifyOptions(SearchOptions, BoxOptions, ChoiceOptions, total=False):
    """Options of an identification."""

    pictures: Annotated[
        bool,
        Option(
            default=False,
            description="Return a thumbnail and strips of each walker and, with `explain`, of the candidates.",
        ),
    ]
    explain: Annotated[
        bool, Option(default=False, description="Return the distance by body part for the first five candidates.")
    ]
    keep: Annotated[
        bool,
        Option(
            default=False,
            description="Keep the walkers' sequences in memory for some minutes, and return a `handle` with which they "
            "can be enrolled, identified and verified without the clip.",
        ),
    ]


class IdentifyRequestOptions(IdentifyOptions, total=False):
    """Options of an identification by a service, which keeps what is too large for a reply."""

    annotate: Annotated[
        bool,
        Option(
            default=False,
            description="Make a job of the clip, and keep with its result an MP4 of the clip with boxes, names and "
            "verdicts, at `/jobs/{job}/annotated.mp4`.",
        ),
    ]


class StreamOptions(SearchOptions, CameraOptions, total=False):
    """Options of a live stream."""


class CameraFields(TypedDict, total=False):
    """Fields of a camera that the service runs, beside its name and source; as of the request."""

    secret: str | None
    collection: str
    rotate: Rotation | None
    fpir: float
    where: Mapping[str, str]
    on: bool


@cache
def options_of(kind: Any) -> Mapping[str, Option]:
    """The options of one of the types above, by name."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        type_, option = get_args(hint)
        found[name] = replace(option, type=type_)
    return found


def complete(kind: type[Options], given: Mapping[str, object]) -> Options:
    """The options of ``kind`` that are given, and the defaults of the others. Other keys are left out."""
    return cast(Options, {name: given.get(name, option.default) for name, option in options_of(kind).items()})


def is_rotation(option: Option) -> bool:
    """Whether an option's value is one of a few numbers."""
    return Rotation in get_args(option.type)


def texts(given: Mapping[str, object]) -> dict[str, Any]:
    """Options as form fields or query parameters. Those that are None are left out; 0 is kept."""
    return {
        name: [f"{key}={text}" for key, text in value.items()] if isinstance(value, Mapping) else value
        for name, value in given.items()
        if value is not None
    }


def documented(kind: Any) -> Callable[[F], F]:
    """Decorator that lists the options of ``kind`` in a function's docstring."""

    def add(function: F) -> F:
        lines = [
            f"    {name}: {option.description} Default: {option.default!r}."
            for name, option in options_of(kind).items()
        ]
        function.__doc__ = "\n".join([f"{function.__doc__}", "Options:", *lines])
        return function

    return add
