"""Commands for cameras that a service runs, and for watch lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaitkeeper.service.commands.console.command import Rotate
from gaitkeeper.service.commands.console.terminal import (
    OUT,
    CollectionOption,
    JsonOption,
    KeyOption,
    print_json,
    progress,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gaitkeeper.service.client import Client
    from gaitkeeper.service.schemas import Camera, Watchlist

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Its name.")]
ServiceOption = Annotated[
    str | None, typer.Option("--server", envvar="GAITKEEPER_SERVER", help="Address of the service, which is needed.")
]
SubjectsOption = Annotated[
    list[str] | None, typer.Option("--subject", help="Subject to watch for; may be given several times.")
]
watchlists = typer.Typer(help="Lists of people who raise an event when they are seen.", no_args_is_help=True)


def add(
    name: NameArgument,
    source: Annotated[
        str, typer.Argument(help="rtsp://…, http://…, a file, or a webcam's number, listed in GAITKEEPER_LIVE_SOURCES.")
    ],
    secret: Annotated[str | None, typer.Option(help="Name of the secret that holds user:password.")] = None,
    collection: CollectionOption = "default",
    rotate: Annotated[
        Rotate | None, typer.Option(metavar="DEGREES", help="Degrees to turn the pictures clockwise.")
    ] = None,
    fpir: Annotated[float, typer.Option(help="False-positive identification rate of the threshold.")] = 0.01,
    off: Annotated[bool, typer.Option("--off", help="Do not run it yet.")] = False,
    server: ServiceOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a camera, which the service then watches."""
    given: dict[str, Any] = {"secret": secret, "collection": collection, "fpir": fpir, "on": not off}
    if rotate is not None:
        given["rotate"] = int(rotate)
    _do(server, key, as_json, lambda client: client.add_camera(name, source, **given), _state)


def list_(server: ServiceOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """List the cameras that the service runs, with their state."""

    def show(reply: Any) -> None:
        from rich.table import Column

        from gaitkeeper.service.commands.console.tables import folding, plain

        right = {"justify": "right"}
        columns = (Column(one, **right) for one in ("frames/s", "frames", "dropped"))  # type: ignore[arg-type]
        table = folding("camera", "collection", "state", *columns, "last seen", "source")
        for one in reply.cameras:
            last = one.verdicts[0] if one.verdicts else None
            seen = "" if last is None else plain(last.subject or last.verdict.value)
            state = one.state + (f" ({one.code})" if one.code else "")
            numbers = (f"{one.rate:g}", str(one.frames), str(one.dropped))
            table.add_row(one.name, one.collection, state, *numbers, seen, plain(one.source))
        OUT.print(table)

    _do(server, key, as_json, lambda client: client.list_cameras(), show)


def remove(
    name: NameArgument, server: ServiceOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """Stop and remove a camera. What its collection has learnt about it stays."""
    _do(server, key, as_json, lambda client: client.remove_camera(name), lambda _: f"{name} is removed.")


def on(name: NameArgument, server: ServiceOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """Switch a camera on, or start it again."""
    _do(server, key, as_json, lambda client: client.change_camera(name, on=True), _state)


def off(name: NameArgument, server: ServiceOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """Switch a camera off."""
    _do(server, key, as_json, lambda client: client.change_camera(name, on=False), _state)


@watchlists.command("add")
def add_watchlist(
    name: NameArgument,
    subjects: SubjectsOption = None,
    unknown: Annotated[bool, typer.Option("--unknown", help="Watch for unknown walkers.")] = False,
    collection: CollectionOption = "default",
    server: ServiceOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a watch list."""

    def ask(client: Client) -> Watchlist:
        return client.add_watchlist(name, subjects or (), unknown=unknown, collection=collection)

    _do(server, key, as_json, ask, _watched)


@watchlists.command("set")
def set_watchlist(
    name: NameArgument,
    subjects: SubjectsOption = None,
    unknown: Annotated[bool | None, typer.Option("--unknown/--no-unknown", help="Watch for unknown walkers.")] = None,
    server: ServiceOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the subjects of a watch list, or change whether it watches for unknown walkers."""

    def ask(client: Client) -> Watchlist:
        return client.change_watchlist(name, subjects=subjects or None, unknown=unknown)

    _do(server, key, as_json, ask, _watched)


@watchlists.command("list")
def list_watchlists(server: ServiceOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """List the watch lists."""

    def show(reply: Any) -> None:
        from gaitkeeper.service.commands.console.tables import folding, plain

        table = folding("watch list", "collection", "unknown", "subjects")
        for one in reply.watchlists:
            table.add_row(one.name, one.collection, "yes" if one.unknown else "no", plain(", ".join(one.subjects)))
        OUT.print(table)

    _do(server, key, as_json, lambda client: client.watchlists(), show)


@watchlists.command("remove")
def remove_watchlist(
    name: NameArgument, server: ServiceOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """Remove a watch list, not its subjects."""
    _do(server, key, as_json, lambda client: client.remove_watchlist(name), lambda _: f"{name} is removed.")


def _state(camera: Camera) -> str:
    return f"{camera.name} is {camera.state}."


def _watched(found: Watchlist) -> str:
    who = [*found.subjects, *(["unknown walkers"] if found.unknown else [])]
    return f"{found.name} watches for {', '.join(who) or 'no one'}."


def _do(
    server: str | None,
    key: str | None,
    as_json: bool,
    ask: Callable[[Client], BaseModel],
    show: Callable[[Any], str | None],
) -> None:
    """Ask the service, and print its reply, or the sentence that ``show`` returns."""
    with progress("asking the service"), _service(server, key) as client:
        reply = ask(client)
    if as_json:
        print_json(reply)
    elif (sentence := show(reply)) is not None:
        OUT.print(sentence, markup=False, soft_wrap=True)


@contextmanager
def _service(server: str | None, key: str | None) -> Iterator[Client]:
    from gaitkeeper.service.client import Client
    from gaitkeeper.service.errors import BadSettings

    if server is None:
        raise BadSettings("Cameras and watch lists belong to a running service: name it by --server.")
    with Client(server, key=key) as client:
        yield client
