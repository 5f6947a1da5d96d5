"""CSV and LaTeX of an evaluation: the figures of the JSON, in files that other programs read."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from gaitkeeper.models import build, save
from gaitkeeper.service.cli import app
from gaitkeeper.training.errors import BadEvaluation
from gaitkeeper.training.evaluation.export import as_csv, as_latex
from gaitkeeper.training.evaluation.results import Estimate, Evaluation, Group, Identification, Row

RUN = CliRunner()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people of CASIA-B's test half, two views, with noise."""
    root = tmp_path_factory.mktemp("casia_b")
    rng = np.random.default_rng(0)
    for person, subject in enumerate(("075", "076", "077")):
        for recording in ("nm-01", "nm-05", "bg-01", "cl-01"):
            for view in ("000", "090"):
                folder = root / subject / recording / view
                folder.mkdir(parents=True)
                picture = np.zeros((80, 60), np.uint8)
                picture[5:75, 20 - 3 * person - rng.integers(4) : 40 + rng.integers(6)] = 255
                cv2.imwrite(str(folder / "0.png"), picture)
    return root


@pytest.fixture(scope="module")
def files(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of two networks in all three formats, of one run."""
    folder = tmp_path_factory.mktemp("results")
    weights = folder / "net.safetensors"
    save(build("gaitset", seed=3, channels=(4, 8, 8), embed_dim=4), weights)
    outs = [word for ending in ("json", "csv", "tex") for word in ("--out", str(folder / f"deep/result.{ending}"))]
    arguments = ["evaluate", "gei", str(weights), str(tree), "--format", "casia_b", "--replicates", "20", *outs]
    done = RUN.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return folder / "deep"


def figures(group: dict[str, Any]) -> Iterator[tuple[str, dict[str, float | None]]]:
    yield from group["identification"]["metrics"].items()
    yield "rank_1_mated", group["identification"]["rank_1_mated"]
    if group["verification"]:
        yield "eer", group["verification"]["eer"]
        yield from ((f"fnmr_at_fmr_{rate}", one) for rate, one in group["verification"]["fnmr"].items())
    if group["open_set"]:
        yield from ((f"fnir_at_fpir_{rate}", one) for rate, one in group["open_set"]["fnir"].items())


def test_the_csv_has_every_figure_of_the_json(files: Path) -> None:
    results = json.loads((files / "result.json").read_text(encoding="utf-8"))
    lines = list(csv.DictReader(io.StringIO((files / "result.csv").read_text(encoding="utf-8"))))
    keyed = {(one["network"], one["weights"], one["probes"], one["views"]): one for one in lines}
    expected = {
        (result["network"], result["weights"], row, group): content
        for result in results
        for row, table in result["rows"].items()
        for group, content in table["groups"].items()
    }
    assert keyed.keys() == expected.keys()
    assert len(lines) == len(expected) == 12  # two networks, NM, BG and CL, same view and across views
    seen = 0
    for key, group in expected.items():
        line = keyed[key]
        assert (line["dataset"], line["protocol"], line["part"]) == ("casia_b", "casia_b", "test")
        assert int(line["comparisons"]) == group["identification"]["comparisons"]
        for name, figure in figures(group):
            for column, value in ((name, "value"), (f"{name}_low", "low"), (f"{name}_high", "high")):
                assert (float(line[column]) if line[column] else None) == figure[value], (key, column)
                seen += 1
    assert seen >= 12 * 3 * 6


def parsed(text: str) -> list[list[str]]:
    """The cells of the only table, after a check of everything that would stop LaTeX."""
    depth = 0
    code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    plain = re.sub(r"\\[\\&%$#_{}]", "", code)  # without escaped characters
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    stack = []
    for action, name in re.findall(r"\\(begin|end)\{(\w+)\}", code):
        if action == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    columns = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", code)
    assert len(columns) == 1
    body = code.partition("\\toprule")[2].partition("\\bottomrule")[0]
    assert body.count("\\midrule") == 1
    rows = [row.strip() for row in body.replace("\\midrule", "").split("\\\\\n") if row.strip()]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)&", row)] for row in rows]
    assert {len(row) for row in cells} == {len(columns[0])}
    outside = re.sub(r"\\begin\{tabular\}.*\\end\{tabular\}", "", plain, flags=re.S)
    assert not re.search(r"[&#$%^_~]", outside)
    assert not re.search(r"[#$%^_~]", re.sub(r"\\[\\&%$#_{}]", "", body))
    commands = set(re.findall(r"\\([a-zA-Z]+)", code))
    assert commands <= {
        *("begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "textbf"),
        *("textbackslash", "textasciitilde", "textasciicircum"),
    }
    return cells


def test_the_latex_table_has_rank_1_of_each_kind_and_their_mean(files: Path) -> None:
    text = (files / "result.tex").read_text(encoding="utf-8")
    head, *rows = parsed(text)
    assert head == ["Network", "NM", "BG", "CL", "Mean"]
    results = json.loads((files / "result.json").read_text(encoding="utf-8"))
    assert len(rows) == len(results) == 2
    for row, result in zip(rows, results, strict=True):
        assert row[0].startswith(result["network"])
        across = [one["groups"]["across"]["identification"] for one in result["rows"].values()]
        values = [one["metrics"]["rank_1"]["value"] for one in across]
        expected = [f"{100 * value:.1f}" for value in (*values, sum(values) / 3)]
        assert [re.sub(r"\\textbf\{(.*)\}", r"\1", cell) for cell in row[1:]] == expected
    for column in zip(*(row[1:] for row in rows), strict=True):
        numbers = [float(re.sub(r"[^\d.]", "", cell)) for cell in column]
        assert ["textbf" in cell for cell in column] == [number == max(numbers) for number in numbers]
    assert "casia\\_b, protocol casia\\_b, 3 people, 24 walks: rank-1 of each kind of probes, across views" in text


def evaluation(**changes: Any) -> Evaluation:
    """One row, all views; mAP is not a number."""
    estimates = {"rank_1": 0.5, "rank_5": 0.75, "map": math.nan, "minp": 0.25}
    found = Identification({k: Estimate(v, v, v) for k, v in estimates.items()}, Estimate(1, 1, 1), [], 8, 8, 4)
    row = Row(["all"], ["all"], [[0.5]], [[8]], {"all": Group(found, None, None)})
    return replace(Evaluation("gaitset", "none", "d", "p", None, 8, 4, {}, {}, {"all": row}), **changes)


def test_a_protocol_with_one_row_has_the_four_usual_columns() -> None:
    head, row = parsed(as_latex([evaluation()]))
    assert head == ["Network", "Rank-1", "Rank-5", "mAP", "mINP"]
    assert row == ["gaitset", "50.0", "75.0", "--", "25.0"]
    (line,) = csv.DictReader(io.StringIO(as_csv([evaluation()])))
    assert (line["map"], line["minp"], line["part"]) == ("", "0.25", "")


def test_special_characters_are_escaped() -> None:
    name = r"a_b & 50% #1 {x} $y$ ~z^2 c\d"
    text = as_latex([evaluation(dataset=name, network=name)])
    _, row = parsed(text)
    escaped = r"a\_b \& 50\% \#1 \{x\} \$y\$ \textasciitilde{}z\textasciicircum{}2 c\textbackslash{}d"
    assert row[0] == escaped
    assert f"\\caption{{{escaped}, protocol p" in text
    (line,) = csv.DictReader(io.StringIO(as_csv([evaluation(network='a, "b"\nc')])))
    assert line["network"] == 'a, "b"\nc'


def test_another_ending_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    arguments = ["evaluate", "gei", str(tmp_path / "absent"), "--out", str(tmp_path / "result.xlsx")]
    with pytest.raises(BadEvaluation, match=r"\.json, \.csv, \.tex"):
        RUN.invoke(app, arguments, catch_exceptions=False)
