"""The options of clip operations are written once and offered everywhere."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import anyio
import httpx
import pytest
import typer
from fastapi import Depends, FastAPI
from typer.testing import CliRunner

from gaitkeeper.service.app import create_app
from gaitkeeper.service.background.requests import EnrollRequest, IdentifyRequest, LookRequest, request_of
from gaitkeeper.service.batch.lines import Order
from gaitkeeper.service.cli import app as command_line
from gaitkeeper.service.client import Client
from gaitkeeper.service.commands.console.command import with_options
from gaitkeeper.service.errors import InvalidRequest
from gaitkeeper.service.options import (
    ClipOptions,
    EnrollOptions,
    IdentifyOptions,
    LookOptions,
    Option,
    StreamOptions,
    VerifyOptions,
    complete,
    options_of,
    texts,
)
from gaitkeeper.service.recogniser import Recogniser
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.recognition.parsing.metadata import mapping_of
from gaitkeeper.service.routes.common.option_fields import form, query
from gaitkeeper.service.settings import Settings

OPERATIONS: dict[str, tuple[type, set[str]]] = {
    "enroll": (EnrollOptions, {"clip", "subject"}),
    "identify": (IdentifyOptions, {"clip", "annotate"}),
    "verify": (VerifyOptions, {"clip", "subject"}),
    "walkers": (LookOptions, {"clip"}),
    "learn": (ClipOptions, {"clip", "camera"}),
}
"""Options and other fields by route and method."""
COMMANDS: dict[tuple[str, ...], tuple[type, set[str]]] = {
    ("enroll",): (EnrollOptions, set()),
    ("identify",): (IdentifyOptions, {"pictures", "boxes"}),
    ("verify",): (VerifyOptions, set()),
    ("look",): (LookOptions, {"pictures", "boxes"}),
    ("watch",): (StreamOptions, set()),
    ("inspect",): (ClipOptions, {"collection"}),
    ("cameras", "learn"): (ClipOptions, set()),
    ("batch", "enroll"): (EnrollOptions, {"track", "point", "subjects", "handle"}),
    ("batch", "identify"): (
        IdentifyOptions,
        {"pictures", "boxes", "explain", "track", "point", "handle", "keep"},
    ),
}
"""Options, and those that the command cannot use, by command."""


class MoreOptions(IdentifyOptions, total=False):
    """An option that no part of the service knows of."""

    lamps: Annotated[int, Option(default=3, ge=1, le=9, description="Number of lamps.")]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = tmp_path_factory.mktemp("options") / "gallery.db"
    return create_app(Settings(store=f"sqlite:///{store}")).openapi()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_routes_have_every_option(document: dict[str, Any], operation: str) -> None:
    kind, others = OPERATIONS[operation]
    body = document["paths"][f"/{operation}"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    fields = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]["properties"]
    options = options_of(kind)
    assert set(fields) == set(options) | others
    assert {name: fields[name]["description"] for name in options} == {
        name: option.description for name, option in options.items()
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_commands_have_every_option_that_they_can_use(path: tuple[str, ...]) -> None:
    kind, without = COMMANDS[path]
    command: Any = typer.main.get_command(command_line)
    for name in path:
        command = command.commands[name]
    helps = {one.name: getattr(one, "help", None) for one in command.params}
    for name, option in options_of(kind).items():
        assert (name in helps) == (name not in without)
        assert name in without or helps[name] == option.description


@pytest.mark.parametrize("operation", [*OPERATIONS, "stream"])
def test_the_client_and_the_engine_document_every_option(operation: str) -> None:
    kind: Any = StreamOptions if operation == "stream" else OPERATIONS[operation][0]
    for methods in (Client, Engine, Recogniser)[: 1 if operation == "stream" else 3]:
        method = getattr(methods, operation)
        taken = inspect.signature(method).parameters.values()
        assert [one.annotation for one in taken if one.kind is one.VAR_KEYWORD] == [f"Unpack[{kind.__name__}]"]
        if methods is not Recogniser:
            assert all(option.description in method.__doc__ for option in options_of(kind).values())


def test_the_client_and_the_engine_have_the_methods_of_a_recogniser() -> None:
    wanted = [name for name, one in vars(Recogniser).items() if inspect.isfunction(one) and not name.startswith("_")]
    assert {"enroll", "identify", "verify", "learn", "erase"} <= set(wanted)
    assert all(callable(getattr(kind, name)) for kind in (Client, Engine) for name in wanted)


def test_a_new_option_is_a_form_field_and_a_query_parameter_at_once() -> None:
    app = FastAPI()

    @app.post("/")
    def route(options: Annotated[MoreOptions, Depends(form(MoreOptions))]) -> dict[str, Any]:
        return {**options}

    async def post(fields: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://options") as client:
            return await client.post("/", data=fields)

    given = anyio.run(post, {"lamps": "5", "rotate": "90", "where": ["a=b", "c=d"]}).json()
    assert (given["lamps"], given["rotate"], given["where"], given["top_k"]) == (5, 90, {"a": "b", "c": "d"}, 5)
    assert anyio.run(post, {}).json() == {**complete(MoreOptions, {}), "where": {}}
    for wrong in ({"lamps": "10"}, {"rotate": "45"}, {"min_quality": "1.1"}, {"fpir": "0"}):
        assert anyio.run(post, wrong).status_code == 422

    assert query(MoreOptions, {"lamps": "9", "where": []})["lamps"] == 9
    with pytest.raises(InvalidRequest, match="lamps"):
        query(MoreOptions, {"lamps": "10"})
    with pytest.raises(InvalidRequest, match="key=value"):
        query(MoreOptions, {"where": ["site"]})


def test_a_new_option_is_an_option_of_a_command_at_once() -> None:
    app = typer.Typer()

    @app.command()
    @with_options(MoreOptions, "network")
    def show(name: str, options: MoreOptions) -> None:
        """Show."""
        typer.echo(json.dumps([name, options]))

    run = CliRunner()
    shown = run.invoke(app, ["ann", "--lamps", "4", "--rotate", "0", "--where", "a=b", "-c", "hall", "--explain"])
    given = {"lamps": 4, "rotate": 0, "where": {"a": "b"}, "collection": "hall", "explain": True}
    assert json.loads(shown.stdout) == ["ann", {**complete(MoreOptions, {}), **given}]
    assert json.loads(run.invoke(app, ["ann"]).stdout)[1] == {**complete(MoreOptions, {}), "where": {}}
    for wrong in (["--lamps", "10"], ["--rotate", "45"], ["--network", "gei"], ["--min-quality", "2"]):
        assert run.invoke(app, ["ann", *wrong]).exit_code == 2


def test_options_that_are_not_given_have_defaults_and_strange_ones_are_left_out() -> None:
    assert complete(VerifyOptions, {"fmr": 0.1, "top_k": 3}) == {
        **{name: option.default for name, option in options_of(VerifyOptions).items()},
        "fmr": 0.1,
    }
    assert texts({"rotate": 0, "camera": None, "where": {"a": "b=c"}, "strict": False}) == {
        "rotate": 0,
        "where": ["a=b=c"],
        "strict": False,
    }


def test_a_stored_job_without_newer_options_is_done_with_their_defaults() -> None:
    enrol = request_of("enroll", {"subject": "ann", "strict": True})
    assert enrol == EnrollRequest("ann", complete(EnrollOptions, {"strict": True}))
    assert request_of(enrol.kind, enrol.fields) == enrol
    identify = request_of("identify", {"top_k": 3, "where": {"site": "north"}})
    assert isinstance(identify, IdentifyRequest) and identify.options["where"] == {"site": "north"}
    assert request_of(identify.kind, identify.fields) == identify
    several = EnrollRequest(None, complete(EnrollOptions, {"subjects": {1: "ann", 3: "bob"}}))
    assert request_of(several.kind, json.loads(json.dumps(several.fields))) == several
    look = request_of("walkers", {"camera": "door"})
    assert isinstance(look, LookRequest) and request_of(look.kind, look.fields) == look


def test_subjects_by_track_are_written_in_three_ways() -> None:
    option = options_of(EnrollOptions)["subjects"]
    both = {1: "alice", 3: "bob, jr"}
    assert mapping_of(option, ['{"1": "alice", "3": "bob, jr"}']) == both
    assert mapping_of(option, ["1=alice", "3=bob, jr"]) == both
    assert mapping_of(option, ["1=alice,3=bob, jr"], joined=True) == both
    assert mapping_of(option, ["1=alice,3=bob, jr"]) == {1: "alice,3=bob, jr"}, "a form does not split at commas"
    assert mapping_of(option, ['{"1": "a,2=b"}'], joined=True) == {1: "a,2=b"}
    deep = '{"1":' * 100_000 + "1" + "}" * 100_000
    for wrong in (
        ["01=a"],
        ["-1=a"],
        ["1=a", "1=b"],
        ['{"1": "a"}', "1=b"],
        ['{"1": null}'],
        ["²=a"],
        ["9" * 9 + "=a"],
        [deep],
    ):
        with pytest.raises(InvalidRequest):
            mapping_of(option, wrong)


def test_a_batch_continues_with_the_results_of_an_earlier_version(tmp_path: Path) -> None:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    options = complete(EnrollOptions, {"camera": "door", "min_quality": 0.2})
    now = Order(kind="enroll", place=str(tmp_path), made=made, options={**options})
    common = {"kind": "enroll", "place": str(tmp_path), "made": made.isoformat()}
    before = {"collection": "default", "network": None, "camera": "door", "rotate": None, "min_quality": 0.2}
    others = {"strict": False, "top_k": 5, "fpir": 0.01, "where": {}}
    assert Order.model_validate_json(json.dumps({**common, **before, **others})) == now
    assert Order.model_validate_json(now.model_dump_json()) == now
