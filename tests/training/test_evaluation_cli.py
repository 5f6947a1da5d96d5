"""``gaitkeeper evaluate`` from the command line: tables, JSON, pictures, baselines, errors."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from gaitkeeper.models import build, save
from gaitkeeper.service.cli import app
from gaitkeeper.training.errors import BadEvaluation, UnknownFormat
from gaitkeeper.training.evaluation.command import DEFAULT, own_protocol

RUN = CliRunner()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people of CASIA-B's test half, two views."""
    root = tmp_path_factory.mktemp("casia-b")
    for person, subject in enumerate(("075", "076", "077")):
        for recording in ("nm-01", "nm-02", "nm-05", "nm-06", "bg-01", "cl-01"):
            for view in ("000", "090"):
                folder = root / subject / recording / view
                folder.mkdir(parents=True)
                picture = np.zeros((80, 60), np.uint8)
                picture[5:75, 20 - 3 * person : 40] = 255
                picture[5:15, 35:40] = 0
                cv2.imwrite(str(folder / "0.png"), picture)
    return root


def test_tables_json_and_pictures(tree: Path, tmp_path: Path) -> None:
    out, plots = tmp_path / "deep/result.json", tmp_path / "plots"
    arguments = ["evaluate", "gei", str(tree), "--format", "casia_b", "--replicates", "20"]
    done = RUN.invoke(app, [*arguments, "--out", str(out), "--plots", str(plots)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "protocol casia_b: 3 people, 36 walks" in done.stdout
    assert "Verification and open set" in done.stdout
    assert "NM: rank-1 by view" in done.stdout
    (result,) = json.loads(out.read_text(encoding="utf-8"))
    assert (result["network"], result["part"], list(result["rows"])) == ("gei", "test", ["NM", "BG", "CL"])
    assert result["rows"]["NM"]["groups"]["same"]["identification"]["metrics"]["rank_1"]["value"] == 1
    assert sorted(path.name for path in plots.iterdir()) == [
        "cmc.png",
        "det.png",
        "views-BG.png",
        "views-CL.png",
        "views-NM.png",
    ]
    for path in plots.iterdir():
        picture = cv2.imread(str(path))
        assert picture is not None and picture.std() > 5


@pytest.mark.parametrize(
    ("format", "protocol"),
    [("casia_b_pickled", "casia_b"), ("psymo", "psymo"), ("psymo_heatmaps", "psymo"), ("walkers_heatmaps", DEFAULT)],
)
def test_a_data_set_has_its_protocol_however_it_is_stored(format: str, protocol: str) -> None:
    assert own_protocol(format) == protocol


def test_baselines_come_first_and_the_trained_file_last(tree: Path, tmp_path: Path) -> None:
    weights = tmp_path / "net.safetensors"
    save(build("gaitset", seed=3, channels=(4, 8, 8), embed_dim=4), weights)
    arguments = [
        "evaluate",
        str(weights),
        str(tree),
        "--format",
        "casia_b",
        "--replicates",
        "5",
        "--baselines",
        "--json",
    ]
    done = RUN.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert [(r["network"], r["weights"]) for r in results[:2]] == [("gei", "none"), ("gaitset", "untrained-seed0")]
    assert results[2]["network"] == "gaitset"
    assert len(results[2]["weights"]) == 16


def test_a_network_without_a_data_set_is_a_usage_error() -> None:
    assert RUN.invoke(app, ["evaluate", "gei"]).exit_code == 2


def test_what_is_not_there_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownFormat, match="casia_b"):
        RUN.invoke(app, ["evaluate", "gei", str(tree), "--format", "casia"], catch_exceptions=False)
    with pytest.raises(UnknownFormat, match="protocol"):
        RUN.invoke(app, ["evaluate", "gei", str(tree), "--protocol", "mine"], catch_exceptions=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadEvaluation, match="GPU"):
        RUN.invoke(app, ["evaluate", "gei", str(tree), "--device", "cuda"], catch_exceptions=False)
