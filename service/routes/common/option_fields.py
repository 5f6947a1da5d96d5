"""Form fields and query parameters, made from the definitions of :mod:`gaitkeeper.service.options`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import Parameter, Signature
from typing import Annotated, Any, TypeVar

from fastapi import Form
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, create_model

from gaitkeeper.service.errors import InvalidRequest
from gaitkeeper.service.options import Option, complete, is_rotation, options_of
from gaitkeeper.service.recognition.parsing.metadata import mapping_of

Options = TypeVar("Options", bound=Mapping[str, object])


def form(kind: type[Options]) -> Callable[..., Options]:
    """A dependency that reads the options of ``kind`` from form fields."""

    def read(**fields: Any) -> Options:
        return _values(kind, fields)

    parameters = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=_default(option),
            annotation=Annotated[_type(option), Form(**_about(option))],
        )
        for name, option in options_of(kind).items()
    ]
    read.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return read


def query(kind: type[Options], given: Mapping[str, Any]) -> Options:
    """The options of ``kind`` in query parameters; those of a list are lists of texts.

    Raises:
        InvalidRequest: a value is invalid.
    """
    try:
        return _values(kind, _model(kind).model_validate(given).model_dump())
    except ValidationError as error:
        errors = [{"field": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in error.errors()]
        sentence = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
        raise InvalidRequest(f"{sentence}.", errors=errors) from error


@cache
def _model(kind: Any) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: (_type(option), Field(_default(option), **_about(option))) for name, option in options_of(kind).items()
    }
    return create_model(kind.__name__, **fields)


def _values(kind: type[Options], fields: Mapping[str, Any]) -> Options:
    pairs = {name: option for name, option in options_of(kind).items() if option.pairs}
    return complete(
        kind, {name: mapping_of(pairs[name], value) if name in pairs else value for name, value in fields.items()}
    )


def _type(option: Option) -> Any:
    if option.pairs:
        return list[str]
    return Annotated[option.type, BeforeValidator(_number)] if is_rotation(option) else option.type


def _default(option: Option) -> Any:
    return [] if option.pairs else option.default


def _about(option: Option) -> dict[str, Any]:
    """Keyword arguments of pydantic's ``Field``, and of its subclass ``Form``."""
    names = ("description", "ge", "gt", "le", "lt", "pattern")
    about = {name: getattr(option, name) for name in names if getattr(option, name) is not None}
    return {**about, "examples": list(option.examples)} if option.examples else about


def _number(value: object) -> object:
    """Convert a form or query value to a number if it is one."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
