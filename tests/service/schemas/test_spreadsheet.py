"""Identifications as a table."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from gaitkeeper.service.http.openapi.examples import EXAMPLES
from gaitkeeper.service.schemas import IdentifyReply
from gaitkeeper.service.schemas.spreadsheet import COLUMNS, people_csv


def reply(**changes: Any) -> IdentifyReply:
    """The example of the OpenAPI document; its first walker with changes."""
    document = EXAMPLES["IdentifyReply"]
    first, *others = document["people"]
    return IdentifyReply.model_validate(document | {"people": [first | changes, *others]})


def candidate(subject: str, rank: int = 1) -> dict[str, Any]:
    return EXAMPLES["IdentifyReply"]["people"][0]["candidates"][0] | {"subject": subject, "rank": rank}


def rows(of: IdentifyReply) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(people_csv(of), newline="")))


def test_each_candidate_has_a_row() -> None:
    found = rows(reply(verdict="match", candidates=[candidate("alice"), candidate("bob", 2)]))
    assert tuple(found[0]) == COLUMNS
    assert [(row["track"], row["rank"], row["candidate"]) for row in found[:2]] == [
        ("1", "1", "alice"),
        ("1", "2", "bob"),
    ]
    assert {row["subject"] for row in found[:2]} == {"alice"}
    of = reply(verdict="match", candidates=[candidate("alice")])
    person, row = of.people[0], rows(of)[0]
    assert float(row["distance"]) == person.candidates[0].distance
    assert (float(row["start"]), float(row["end"])) == (person.start, person.end)
    assert (int(row["frames"]), row["clip_sha256"]) == (person.quality.frames, of.clip.sha256)


@pytest.mark.parametrize("verdict", ["unknown", "inconclusive"])
def test_no_one_is_named_without_a_match(verdict: str) -> None:
    reason = "too_short" if verdict == "inconclusive" else None
    [row, *_] = rows(reply(verdict=verdict, reason=reason, candidates=[candidate("alice")]))
    assert (row["verdict"], row["reason"], row["subject"], row["candidate"]) == (verdict, reason or "", "", "alice")


def test_a_walker_without_candidates_has_a_row() -> None:
    [row, *_] = rows(reply(verdict="inconclusive", reason="empty_gallery", candidates=[]))
    assert (row["track"], row["verdict"], row["rank"], row["candidate"]) == ("1", "inconclusive", "", "")


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_no_name_is_a_formula_in_a_spreadsheet(sign: str) -> None:
    name = f'{sign}HYPERLINK("http://evil.example";1)'
    [row, *_] = rows(reply(verdict="match", candidates=[candidate(name)], stranger=name))
    assert row["subject"] == row["candidate"] == row["stranger"] == f"'{name}"


def test_names_with_separators_and_quotes_stay_in_their_cell() -> None:
    name = 'a;b,c "d" =1'
    text = people_csv(reply(verdict="match", candidates=[candidate(name)]))
    assert '"a;b,c ""d"" =1"' in text
    assert rows(reply(verdict="match", candidates=[candidate(name)]))[0]["candidate"] == name


def test_numbers_are_no_texts() -> None:
    line = people_csv(reply(verdict="match", candidates=[candidate("alice")])).splitlines()[1]
    distance = EXAMPLES["IdentifyReply"]["people"][0]["candidates"][0]["distance"]
    assert f",{distance!r}," in line
