"""Rejects parameters that an operation does not have. Otherwise a misspelt parameter would be ignored silently.

The accepted names are read from the OpenAPI document, so documentation and behaviour agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from fastapi import FastAPI
from starlette.requests import HTTPConnection, Request

from gaitkeeper.service.errors import InvalidRequest, NotMultipart, UnknownField

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


@dataclass(frozen=True)
class Names:
    """The parameters of one operation.

    Attributes:
        query: its query parameters.
        body: the fields of its form or of its JSON object.
        lists: parameters and fields that may occur more than once.
        files: fields that are files.
        form: whether its body is a form.
    """

    query: frozenset[str] = frozenset()
    body: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    form: bool = False


def names_of(app: FastAPI, connection: HTTPConnection) -> Names | None:
    """The parameters of a request's operation; None if the document does not list it, as for the page."""
    table: dict[tuple[str, str], Names] | None = getattr(app.state, "names", None)
    if table is None:
        document = app.openapi()
        table = app.state.names = {
            (path, method.upper()): _names(document, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }
    path = getattr(connection.scope.get("route"), "path", "")
    return table.get((path, connection.scope.get("method", "")))


async def known_only(connection: HTTPConnection) -> None:
    """Dependency of every operation. It runs before the framework validates any value.

    Raises:
        UnknownField: the operation has no query parameter or form field of this name.
        InvalidRequest: a parameter that is not a list occurs twice. The framework would use one of the values.
        NotMultipart: the operation needs a clip, and the body is not a form with a file.
    """
    if not isinstance(connection, Request) or (names := names_of(connection.app, connection)) is None:
        return
    query = [name for name, _ in connection.query_params.multi_items()]
    refuse_unknown(query, names.query)
    _refuse_twice(query, names.lists)
    if not names.form:
        return
    kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in FORMS:
        if kind or connection.headers.get("content-length", "0") != "0" or "transfer-encoding" in connection.headers:
            raise _not_multipart(connection, f"The body's type is {kind or 'missing'}")
        return
    form = await connection.form()  # parsed before; this returns the cached form
    fields = [name for name, _ in form.multi_items()]
    refuse_unknown(fields, names.body)
    _refuse_twice(fields, names.lists)
    for name in sorted(names.files):
        if any(isinstance(value, str) for value in form.getlist(name)):
            raise _not_multipart(connection, f"`{name}` was sent as text, not as a file")


def refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    """Check that every name is known. Raises UnknownField."""
    if (error := unknown_field(given, known)) is not None:
        raise error


def unknown_field(given: Iterable[str], known: Collection[str]) -> UnknownField | None:
    """The error for unknown names, or None if all are known. ``errors`` lists each with the most similar known name, or
    null.
    """
    errors = []
    for name in dict.fromkeys(given):
        if name not in known:
            near = nearest(name, known)
            # Shorten it: the reply repeats it.
            errors.append({"field": name[:100], "message": _sentence(near, known), "nearest": near})
    if not errors:
        return None
    sentence = "; ".join(f"{error['field']}: {error['message']}" for error in errors[:5])
    return UnknownField(f"{sentence}.", errors=errors[:100])


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that is most similar, or None. Case and the difference between `-` and `_` are ignored."""
    alike = get_close_matches(name[:100].lower().replace("-", "_"), sorted(known), n=1, cutoff=0.6)
    return alike[0] if alike else None


def _sentence(near: str | None, known: Collection[str]) -> str:
    if near is not None:
        return f"Unknown field; the nearest is `{near}`"
    if not known:
        return "Unknown field; this operation has none"
    return f"Unknown field; known are {', '.join(f'`{one}`' for one in sorted(known))}"


def _refuse_twice(names: list[str], lists: Collection[str]) -> None:
    if twice := sorted({name for name in names if name not in lists and names.count(name) > 1}):
        errors = [{"field": name, "message": "Given more than once"} for name in twice]
        raise InvalidRequest(f"{', '.join(twice)}: given more than once.", errors=errors)


def _not_multipart(connection: HTTPConnection, why: str) -> NotMultipart:
    path = connection.url.path
    fields = "-F clip=@walk.mp4" + (" -F subject=alice" if path.endswith(("/enroll", "/verify")) else "")
    return NotMultipart(
        f"{why}; a clip is sent as a file in a form of the type multipart/form-data, as by: "
        f"curl {fields} http://127.0.0.1:8321{path}"
    )


def _names(document: dict[str, Any], operation: dict[str, Any]) -> Names:
    query = {one["name"]: one["schema"] for one in operation.get("parameters", ()) if one["in"] == "query"}
    content = operation.get("requestBody", {}).get("content", {})
    kind = next(iter(content), None)
    body = _properties(document, content[kind]["schema"]) if kind else {}
    both = {**query, **body}
    return Names(
        frozenset(query),
        frozenset(body),
        frozenset(name for name, schema in both.items() if schema.get("type") == "array"),
        frozenset(name for name, schema in body.items() if _is_file(schema)),
        kind in FORMS,
    )


def _properties(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = schema.get("properties", {})
    return found


def _is_file(schema: dict[str, Any]) -> bool:
    item = schema.get("items", schema)
    return "contentMediaType" in item or item.get("format") == "binary"
