"""The report of all benches: what it takes from each, what the page shows, and what counts as a regression."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import __main__ as bench
from bench import report
from bench.figures import TAKE, Figure, compare, figures_of
from bench.page import TITLES, render

MACHINE = {"processor": "Quiet", "cores": 2, "load_before": 0.1, "flags": ["avx2"], "threads": None, "memory_gb": 4.0}
MACHINE |= {"system": "Linux", "python": "3.11", "versions": {"torch": "2"}, "commit": None}
STAGES = {"decode": 0.5, "perception": 1.0, "tracking": 0.1, "total": 1.8}
NETWORK = {"network": "gaitset", "batch": 1, "ms": {"plain": 60.0, "fp32": 20.0, "bf16": 10.0}}
RATE = {"offered_per_s": 1.0, "requests": 10, "answered": 10, "p50_s": 0.3, "p95_s": 0.5, "p99_s": 0.6}
SECONDS = {"read_embeddings": 0.08, "faiss": 0.2, "single": 0.04, "batch": 0.4}
STAGE = {
    "stage": "detect",
    "ms_per_frame": 0.3,
    "floor_ms_per_frame": 0.1,
    "times_floor": 3.0,
    "floor_of": "operations",
}
MADE: dict[str, dict[str, Any]] = {
    "networks": {
        "default_precision": "bf16",
        "target": 3.0,
        "inference": [NETWORK | {"fp32_times_faster": 3.0, "bf16_times_faster": 6.0}],
        "training_step": {"fp32_times_faster": 1.5, "bf16_times_faster": 1.2, "target": 2.0},
    },
    "pipeline": {
        "clips": [
            {"clip": "hall", "walkers": 1, "duration_s": 4.0, "stages_s": STAGES, "ratio": 0.45, "target": 1.0}
            | {"total_over_decode_alone": 3.0, "ms_per_person_and_frame": 12.0}
        ]
    },
    "search": {
        "templates": 1000,
        "seconds": SECONDS,
        "single_over_floor": 0.5,
        "single_over_faiss": 0.2,
        "batch_speedup": 6.4,
        "targets": {"single_over_floor": 3.0, "single_over_faiss": 1.1, "batch_speedup": 10.0},
        "answers": {"units_over_plain": {"one": 1.1, "after an enrolment": 1.3}, "target": 1.2},
    },
    "search-growth": {"parts": 16, "dims": 256, "growth": [{"templates": n, **SECONDS} for n in (1000, 3000)]},
    "service": {
        "alone_s": 0.3,
        "alone_over_plain": 1.2,
        "most_per_s": 3.0,
        "most_over_plain": 0.9,
        "knee_multiple": 3.0,
        "knee_per_s": 1.0,
        "rates": [
            RATE,
            RATE | {"offered_per_s": 4.0, "answered": 4, "p95_s": 3.0},
            RATE | {"offered_per_s": 9.0, "answered": 0, "p50_s": None, "p95_s": None, "p99_s": None},
        ],
    },
    "hosts": {
        "clips_per_second": {"threads_1": 0.5, "threads_2": 0.8, "replicas_1": 0.6, "replicas_2": 0.7},
        "units": {
            "perception_core_seconds_per_clip_second": 1.0,
            "embedding_core_seconds_per_walk": 0.06,
            "frames_per_walk": 89,
        },
    },
    "memory": {"ready_mb": 500.0, "peak_mb": 780.0, "target_mb": 1500},
    "cold_start": {
        "listening_s": 2.0,
        "ready_s": 2.5,
        "first_answer_s": 3.0,
        "import_torch_s": 1.0,
        "ready_over_import_torch": 2.5,
    },
    "live": {
        "bars": {"first_box_s": 0.5, "first_verdict_s": 3.0},
        "runs": [{"codec": "jpeg", "latency_p95_s": 0.05, "first_box_s": 0.3, "first_verdict_s": None}],
    },
    "load": {
        "crowd": {"clients": 64, "growth_mb": 26.0, "bound_mb": 96},
        "large": {"growth_mb": 0.0, "bound_mb": 64},
    },
    "soak": {"identifications": 1000, "slope_kb": 2.0, "most_kb": 10.0},
    "migration-sqlite": {
        "store": "sqlite",
        "templates": 10_000,
        "migration_s": 100.0,
        "rollback_s": 0.2,
        "rollback_target_s": 5.0,
        "mixed": 0,
    },
    "quartet": {"rank_1": 4},
    "gpu": {
        "measured": True,
        "device": "A card",
        "claims": {"frames": {"target": 1500, "measured": 1812.5}, "nvdec": "not measured"},
        "stages": {"hrnet-w32": [STAGE, STAGE | {"stage": "all", "floor_ms_per_frame": None, "times_floor": None}]},
        "search": {"ms": 0.4, "floor_ms": 0.2},
    },
    "gpu-small": {"measured": False, "claims": {}},
    "strangers": {"matched": 0, "people": [{"person": "<navy>", "distance": 1.25}]},
}
FEW = ("live", "load", "soak", "quartet")
Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results of its own, with everything made up."""
    monkeypatch.chdir(tmp_path)
    report.RESULTS.mkdir(parents=True)
    for name, found in MADE.items():
        text = json.dumps({"bench": name, "when": "2026-01-01T00:00:00+00:00", "machine": MACHINE, **found})
        (report.RESULTS / f"{name}.json").write_text(text)
    return report.RESULTS


@pytest.fixture
def few(results: Path) -> Path:
    """Only what has no plot, which takes a second each."""
    for path in results.glob("*.json"):
        if path.stem not in FEW:
            path.unlink()
    return results


def gathered(change: Change | None = None, ran: tuple[str, ...] = tuple(MADE)) -> dict[str, Any]:
    """The report of what lies there, changed for one test."""
    for path in report.RESULTS.glob("*.json"):
        if change is not None and path.stem != "bench":
            found = json.loads(path.read_text())
            change(found)
            path.write_text(json.dumps(found))
    return bench.gather(ran, {}, quick=False, tolerance=0.1)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    return int(ended.value.code or 0)


def test_the_page_shows_every_section_by_itself(results: Path) -> None:
    page = render(gathered())
    unmeasured = re.findall(r'(?s)<section id="([^"]+)">(?:(?!</section>).)+not measured', page)
    assert unmeasured == ["migration-redis", "gpu-small"]
    assert not re.search(r'(src|href)="(?!data:)', page) and "<script" not in page
    plots = [base64.b64decode(data) for data in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page)]
    assert len(plots) == 8
    assert all(ElementTree.fromstring(plot).tag.endswith("svg") for plot in plots)
    assert b"knee, 1.00/s" in plots[list(TITLES).index("service")]
    assert "at least 10: missed" in page and "at most 3: held" in page
    assert "1,812 frames/s" in page and "over its floor (operations)" in page
    assert "people 0 distance" in page  # nothing else is known about this one
    assert "navy" not in page


def test_every_section_that_is_compared_has_figures(results: Path) -> None:
    sections = {name: {"machine": MACHINE, **found} for name, found in MADE.items()}
    figures = figures_of(sections)
    assert {figure.section for figure in figures} == TAKE.keys() & MADE.keys()
    assert len({figure.name for figure in figures}) == len(figures)
    assert {figure.name: figure.value for figure in figures}["networks/gaitset/1/faster"] == 6.0


def test_what_is_not_there_is_said_to_be_not_measured(results: Path) -> None:
    for path in results.glob("*.json"):
        path.unlink()
    page = render(bench.gather((), {"load": "bench.load ended with exit code 1."}, quick=True, tolerance=0.1))
    assert page.count("not measured") == len(TITLES)
    assert "bench.load ended with exit code 1." in page and "a quick run" in page


def test_figures_of_an_earlier_run_on_a_busy_or_another_machine_are_marked(few: Path) -> None:
    page = render(gathered(ran=()))
    assert page.count("measured by an earlier run, 2026-01-01") == len(FEW)
    assert page.count("on another machine, Quiet") == len(FEW)
    busy = render(gathered(lambda found: found["machine"].update(load_before=1.5)))
    assert busy.count("others used the machine (load 1.5 before)") == len(FEW)
    assert "others used" not in page


def test_a_regression_is_worse_by_more_than_the_tolerance(results: Path) -> None:
    old = gathered()

    def worse(found: dict[str, Any]) -> None:
        if found["bench"] == "search":
            found |= {"single_over_faiss": 0.23, "batch_speedup": 6.0}
        if found["bench"] == "memory":
            found["peak_mb"] = 700.0

    changes, gone = compare(old, gathered(worse), 0.1)
    by_name = {change.figure.name: change for change in changes}
    assert not gone and len(by_name) == len(old["figures"])
    assert {name for name, change in by_name.items() if change.regressed} == {"search/single_over_faiss"}
    assert by_name["search/single_over_faiss"].worse == pytest.approx(0.15)
    assert by_name["search/batch_speedup"].worse == pytest.approx(0.0625)
    assert by_name["memory/peak"].worse < 0
    assert not any(change.regressed for change in compare(old, gathered(), 0.2)[0])


def test_a_bar_that_was_kept_and_is_not_any_more_is_a_regression_within_the_tolerance() -> None:
    def of(value: float) -> dict[str, Any]:
        figure = Figure("memory/peak", "peak", value, "MB", "lower", bar=1500.0)
        return {"figures": [vars(figure)], "sections": {"memory": {"machine": MACHINE}}}

    [change] = compare(of(1480.0), of(1510.0), 0.1)[0]
    assert change.regressed and change.worse < 0.1
    [change] = compare(of(1510.0), of(1520.0), 0.1)[0]
    assert not change.regressed


def test_between_machines_only_ratios_count(results: Path) -> None:
    old = gathered()

    def elsewhere(found: dict[str, Any]) -> None:
        found["machine"]["processor"] = "Slow"
        if found["bench"] == "memory":
            found["peak_mb"] *= 3
        if found["bench"] == "cold_start":
            found["ready_over_import_torch"] *= 2

    changes, _ = compare(old, gathered(elsewhere), 0.1)
    assert {change.figure.name for change in changes if change.regressed} == {"cold_start/plain"}
    assert not next(change for change in changes if change.figure.name == "memory/peak").counts


def test_the_command_compares_and_exits_with_one_on_a_regression(
    few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "--only") == 0
    # Against the very file that is written anew.
    own = str(few / "bench.json")
    assert command(monkeypatch, "--only", "--compare", own) == 0
    made = json.loads((few / "soak.json").read_text())
    (few / "soak.json").write_text(json.dumps(made | {"slope_kb": 2.5}))
    (few / "quartet.json").unlink()
    assert command(monkeypatch, "--only", "--compare", own, "--tolerance", "0.3") == 0
    assert "no longer measured: quartet/rank_1" in capsys.readouterr().out
    (few / "soak.json").write_text(json.dumps(made | {"slope_kb": 4.0}))
    assert command(monkeypatch, "--only", "--compare", own, "--tolerance", "0.3") == 1
    assert "regression" in capsys.readouterr().out
    page = (few / "bench.html").read_text()
    assert "1 regression(s) of more than 30 %" in page and "Against bench.json" in page


def test_a_bench_that_fails_is_reported_and_the_others_go_on(
    few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = (bench.Step("figures", section="soak"), bench.Step("nothing"), bench.Step("page", gpu=True))
    monkeypatch.setattr(bench, "STEPS", steps)
    monkeypatch.setattr(bench, "run", lambda step, quick: "It fell over.")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert command(monkeypatch) == 1
    told = capsys.readouterr().out
    assert "It fell over." in told and "nothing (there is no such bench)" in told and "page (no GPU here)" in told
    assert "It fell over." in (few / "bench.html").read_text()


def test_every_step_is_a_program_and_ends_as_it_says() -> None:
    for step in (*bench.STEPS, *bench.LONG):
        if not step.gpu:
            assert Path(bench.__file__).with_name(f"{step.module}.py").is_file()
            assert step.name in TITLES
    assert (
        bench.run(bench.Step("nothing_of_that_name"), quick=True)
        == "bench.nothing_of_that_name ended with exit code 1."
    )


def test_the_machine_is_described() -> None:
    about = report.machine()
    assert about["processor"] and about["cores"] >= 1 and set(about["flags"]) <= set(report.FLAGS)
