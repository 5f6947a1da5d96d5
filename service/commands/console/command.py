"""Decorators that give commands their shared options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import typer

from gaitkeeper.service.commands.console.terminal import (
    OUT,
    JsonOption,
    KeyOption,
    ServerOption,
    StoreOption,
    print_json,
    progress,
    recogniser,
)
from gaitkeeper.service.options import Option, Rotation, complete, is_rotation, options_of

if TYPE_CHECKING:
    from pydantic import BaseModel

Options = TypeVar("Options", bound=Mapping[str, object])
Command = Callable[..., Any]
Answer = tuple["BaseModel", str | Callable[[], None]]
"""The reply, and how to show it without ``--json``: a sentence, or a function that prints it."""

FROM_HERE = ("worker", "tell")
"""Parameters of a command that :func:`answers` fills in."""
SLOW_TO_IMPORT: dict[str, Any] = {"Recogniser": Any, "Progress": Any}
"""Their types. Typer does not see them, so importing them before ``--help`` would be in vain."""

Rotate: Any = StrEnum("Rotate", {f"DEGREES_{one}": str(one) for one in get_args(Rotation)})  # type: ignore[misc]


def with_options(kind: type[Options], *without: str) -> Callable[[Command], Command]:
    """Decorator: the command's parameter ``options`` becomes one option of the command line for each of ``kind``.

    Args:
        kind: one of the types of :mod:`gaitkeeper.service.options`.
        without: names of options that the command does not offer; they have their defaults.
    """
    offered = {name: option for name, option in options_of(kind).items() if name not in without}

    def decorate(command: Command) -> Command:
        def run(*worker: Any, **values: Any) -> Any:
            given = {name: _value(option, values.pop(name)) for name, option in offered.items()}
            return command(*worker, **values, options=complete(kind, given))

        return _with_parameters(
            run,
            command,
            ("options",),
            [
                Parameter(name, Parameter.KEYWORD_ONLY, default=_default(option), annotation=_annotation(name, option))
                for name, option in offered.items()
            ],
        )

    return decorate


def answers(title: str) -> Callable[[Callable[..., Answer]], Command]:
    """Decorator: the command's first parameter becomes the recogniser that ``--server`` or ``--store`` names.

    The command returns an :data:`Answer`, which is printed, with ``--json`` as JSON. A command with a parameter
    ``tell`` gets a progress callback.

    Args:
        title: text of the progress bar.
    """

    def decorate(command: Callable[..., Answer]) -> Command:
        reports = "tell" in signature(command).parameters

        def run(server: str | None, key: str | None, store: str | None, as_json: bool, **values: Any) -> None:
            if as_json and values.get("as_csv"):
                from gaitkeeper.service.errors import BadSettings

                raise BadSettings("--json and --csv exclude each other.")
            with progress(title) as tell, recogniser(server, store, key) as worker:
                reply, shown = command(worker, **values, **({"tell": tell} if reports else {}))
            if as_json:
                print_json(reply)
            elif isinstance(shown, str):
                OUT.print(shown, markup=False, soft_wrap=True)
            else:
                shown()

        annotations = {"server": ServerOption, "key": KeyOption, "store": StoreOption, "as_json": JsonOption}
        return _with_parameters(
            run,
            command,
            FROM_HERE,
            [
                Parameter(name, Parameter.KEYWORD_ONLY, default=False if name == "as_json" else None, annotation=one)
                for name, one in annotations.items()
            ],
        )

    return decorate


def _with_parameters(run: Command, command: Command, replaced: tuple[str, ...], more: list[Parameter]) -> Command:
    """``run`` with the name, the documentation and the parameters of ``command``, some of them replaced by others."""
    parameters = signature(command, locals=SLOW_TO_IMPORT, eval_str=True).parameters.values()
    own = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in parameters]
    at = next((i for i, one in enumerate(own) if one.name == "options"), len(own))
    shown = [one for one in (*own[:at], *more, *own[at:]) if one.name not in replaced]
    seen = wraps(command)(run)
    seen.__signature__ = Signature(shown)  # type: ignore[attr-defined]
    seen.__annotations__ = {one.name: one.annotation for one in shown}
    return seen


def _default(option: Option) -> Any:
    return None if option.pairs else option.default


def _annotation(name: str, option: Option) -> Any:
    flag = f"--{name.replace('_', '-')}"
    names = (flag, option.short) if option.short else (flag,)
    type_ = option.type
    if option.pairs:
        type_ = list[str] | None
    elif is_rotation(option):
        type_ = Rotate | None
    # Typer has no open limits, such as ``gt``: the operations check those themselves.
    shown = typer.Option(*names, help=option.description, metavar=option.metavar, min=option.ge, max=option.le)
    return Annotated[type_, shown]


def _value(option: Option, given: Any) -> Any:
    if option.pairs:
        from gaitkeeper.service.recognition.parsing.metadata import mapping_of

        return mapping_of(option, given or [], joined=True)
    return int(given) if isinstance(given, Rotate) else given
