"""The list of error codes is complete, and is the only one."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import pytest

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.errors import NoPerson
from gaitkeeper.service import problems
from gaitkeeper.service.errors import UnexpectedReply

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def _everything_is_imported() -> None:
    for name in ("models", "pipelines", "gallery", "training", "service"):
        package = importlib.import_module(f"gaitkeeper.{name}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                try:
                    importlib.import_module(module.name)
                except ModuleNotFoundError as error:
                    assert error.name in ("ray", "numba")  # of extras that may be missing


def subclasses(kind: type[GaitkeeperError]) -> set[type[GaitkeeperError]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_every_error_has_an_entry_and_every_entry_an_error() -> None:
    ours = {kind for kind in subclasses(GaitkeeperError) if not kind.__module__.startswith("test")}
    assert {kind.code for kind in ours} == problems.PROBLEMS.keys()
    assert problems.classes().keys() == problems.PROBLEMS.keys()


def test_a_code_belongs_to_one_class() -> None:
    codes = [kind.code for kind in subclasses(GaitkeeperError)]
    assert sorted(codes) == sorted(set(codes))


def test_the_documented_table_is_the_list() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d+|–) \| (.+) \| `gaitkeeper\.(\w+)\.errors\.(\w+)` \|$", page, re.MULTILINE)
    listed = [(c, str(p.status) if p.status else "–", p.title) for c, p in problems.PROBLEMS.items()]
    assert [row[:3] for row in rows] == listed
    for code, _, _, package, name in rows:
        assert getattr(importlib.import_module(f"gaitkeeper.{package}.errors"), name).code == code
    assert f'"title": "{problems.PROBLEMS["too_short"].title}"' in page
    assert runpy.run_path(str(ROOT / "scripts" / "errors.py"))["updated"](page) == page


def test_the_errors_of_a_package_are_in_one_file() -> None:
    places = {kind.__module__ for kind in subclasses(GaitkeeperError) if not kind.__module__.startswith("test")}
    assert places == {
        f"gaitkeeper.{package}.errors" for package in ("models", "pipelines", "gallery", "training", "service")
    }


def test_every_code_is_met_by_a_test_or_is_for_whoever_runs_the_service() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    unmet = [
        code
        for code, problem in problems.PROBLEMS.items()
        if f'"{code}"' not in tests and problems.classes()[code].__name__ not in tests and not problem.private
    ]
    # Two are bases of others and never raised themselves.
    assert set(unmet) <= {"bad_clip", "conflict"}


def test_a_problem_document_tells_what_the_error_says() -> None:
    document = problems.body(NoPerson("Nobody walks.", skipped=[1]))
    assert document == {
        "type": "urn:gaitkeeper:problem:no_person",
        "title": "No walking person was found in the clip.",
        "status": 422,
        "code": "no_person",
        "detail": "Nobody walks.",
        "skipped": [1],
    }


@pytest.mark.parametrize("code", [code for code, problem in problems.PROBLEMS.items() if problem.private])
def test_a_private_sentence_stays_in_the_house(code: str) -> None:
    document = problems.body(problems.classes()[code]("The file /srv/secret.db is broken.", path="/srv/secret.db"))
    assert "/srv" not in str(document)
    assert document["detail"] == problems.PROBLEMS[code].title


def test_a_document_becomes_the_error_that_it_tells_of() -> None:
    error = problems.from_body(problems.body(NoPerson("Nobody walks.", skipped=[1])))
    assert type(error) is NoPerson
    assert (error.detail, error.extra) == ("Nobody walks.", {"skipped": [1]})


def test_a_code_of_a_newer_service_keeps_its_sentence() -> None:
    error = problems.from_body({"code": "moonstruck", "detail": "The moon is full."})
    assert type(error) is UnexpectedReply
    assert "moonstruck" in error.detail and "The moon is full." in error.detail


@pytest.mark.parametrize("document", [{}, {"code": 3, "detail": "x"}, {"detail": "Not Found"}])
def test_what_is_no_problem_document_is_an_unexpected_reply(document: dict[str, object]) -> None:
    with pytest.raises(UnexpectedReply):
        problems.from_body(document)
