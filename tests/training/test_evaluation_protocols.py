"""Protocols on a tiny made CASIA-B tree, through a real network (GEI), and on PsyMo where it is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from gaitkeeper.models import build
from gaitkeeper.training.datasets import Dataset, Inputs, Partition, Sample, load_partition, open_dataset
from gaitkeeper.training.datasets.partition import People
from gaitkeeper.training.errors import BadDataset, InputMissing, UnknownFormat
from gaitkeeper.training.evaluation import (
    PROTOCOLS,
    Embedded,
    embed_dataset,
    evaluate,
    evaluate_embedded,
    find_protocol,
)
from gaitkeeper.training.evaluation.evaluate import EvaluationSettings

QUICK = EvaluationSettings(replicates=50, draws=5)
RECORDINGS = [f"nm-{i:02d}" for i in range(1, 7)] + ["bg-01", "bg-02", "cl-01", "cl-02"]


def shape(person: int, view: int, coat: bool) -> np.ndarray:
    """People differ by the width of head and hips; a view narrows everyone; all coats look alike."""
    frame = np.zeros((64, 64), np.uint8)
    half = (8 if coat else 3 + person) - view
    frame[0:10, 32 - 2 - person % 2 : 32 + 2 + person % 2] = 255
    frame[10:64, 32 - half : 32 + half] = 255
    return frame


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people of the training half and four of the test half, three views, all ten walks."""
    root = tmp_path_factory.mktemp("casia-b")
    for i, subject in enumerate(("001", "002", "073", "074", "075", "076", "123", "124")):
        for recording in RECORDINGS:
            for v, view in enumerate(("000", "018", "036")):
                folder = root / subject / recording / view
                folder.mkdir(parents=True)
                for frame in range(2):
                    picture = shape(i % 4, v, coat=recording.startswith("cl"))
                    assert cv2.imwrite(str(folder / f"{frame:03d}.png"), picture)
    return root


def test_casia_b_protocol_on_a_made_tree(tree: Path) -> None:
    dataset = open_dataset("casia_b", tree)
    partition = load_partition(find_protocol("casia_b").partition or "")
    result = evaluate(build("gei"), dataset, find_protocol("casia_b"), QUICK, partition=partition)

    assert (result.walks, result.people, result.part) == (4 * 10 * 3, 4, "test")
    assert list(result.rows) == ["NM", "BG", "CL"]
    nm = result.rows["NM"]
    assert nm.probe_views == nm.gallery_views == ["000", "018", "036"]
    assert nm.probes == [[8] * 3] * 3  # four people, two probe walks
    # The same walk seen from the same side is found; the diagonal is not in the table's mean.
    assert [nm.rank_1[i][i] for i in range(3)] == [1, 1, 1]
    assert nm.groups["same"].identification.metrics["rank_1"].value == 1
    off = [nm.rank_1[i][j] for i in range(3) for j in range(3) if i != j]
    assert nm.groups["across"].identification.metrics["rank_1"].value == pytest.approx(np.mean(off))
    assert nm.groups["across"].identification.metrics["rank_1"].value < 1
    assert nm.groups["across"].identification.comparisons == 6 * 8
    # All coats look alike but for the head, which tells two of four apart.
    assert result.rows["CL"].groups["same"].identification.metrics["rank_1"].value <= 0.5
    verification = nm.groups["same"].verification
    assert verification is not None
    # 8 probes × 3 views, each against 4 templates of one view of every person.
    assert (verification.genuine, verification.impostor) == (24 * 4, 24 * 12)
    opened = nm.groups["across"].open_set
    assert opened is not None
    assert (opened.gallery_subjects, opened.gallery_templates) == (2, 2 * 4 * 2)
    json.dumps(result.as_json(), allow_nan=False)


def test_an_evaluation_is_the_same_every_time_and_whatever_the_order(tree: Path) -> None:
    dataset = open_dataset("casia_b", tree)
    backwards = Dataset(dataset.name, dataset.samples[::-1])
    first = evaluate(build("gei"), dataset, find_protocol("casia_b"), QUICK)
    assert evaluate(build("gei"), dataset, find_protocol("casia_b"), QUICK).as_json() == first.as_json()
    second = evaluate(build("gei"), backwards, find_protocol("casia_b"), QUICK)
    assert {k: r.rank_1 for k, r in second.rows.items()} == {k: r.rank_1 for k, r in first.rows.items()}


def sample(subject: str, condition: str, view: str, take: str) -> Sample:
    return Sample(subject, condition, view, take, lambda: Inputs(silhouettes=np.zeros((1, 64, 64), np.uint8)))


def embedded(rows: list[tuple[str, str, str, str, float]]) -> Embedded:
    """Walks on a line: their embeddings are one part of one number."""
    samples = tuple(sample(*row[:4]) for row in rows)
    return Embedded(samples, torch.tensor([row[4] for row in rows]).view(-1, 1, 1), {})


def test_psymo_protocol_by_hand() -> None:
    walks = embedded(
        [
            ("0", "nm", "00-0", "0", 0.0),
            ("1", "nm", "00-0", "0", 1.0),
            ("0", "nm", "90-1", "0", 2.0),
            ("1", "nm", "90-1", "0", 3.0),
            ("0", "nm", "00-0", "1", 0.1),  # same view: 0 is nearer, right; other view: 2.0 is nearer, right
            ("1", "nm", "90-1", "1", 2.1),  # same view: 2.0 is nearer, wrong; other view: 1.0 is nearer, right
            ("0", "bg", "00-0", "0", 0.9),  # same view: wrong; other view: right
        ]
    )
    result = evaluate_embedded(walks, find_protocol("psymo"), QUICK)
    assert list(result.rows) == ["NM", "BG"]
    nm = result.rows["NM"].groups
    assert nm["same"].identification.metrics["rank_1"].value == 0.5
    assert nm["same"].identification.comparisons == 2
    assert nm["across"].identification.metrics["rank_1"].value == 1
    assert nm["across"].identification.comparisons == 2
    bg = result.rows["BG"].groups
    assert bg["same"].identification.metrics["rank_1"].value == 0
    assert bg["across"].identification.metrics["rank_1"].value == 1


def test_oumvlp_gallery_is_01_and_probe_00() -> None:
    walks = embedded(
        [("00002", "", "000", "01", 0.0), ("00004", "", "000", "01", 5.0), ("00002", "", "015", "00", 1.0)]
    )
    row = evaluate_embedded(walks, find_protocol("oumvlp"), QUICK).rows["NM"]
    assert row.groups["across"].identification.metrics["rank_1"].value == 1
    assert (row.probe_views, row.gallery_views) == (["015"], ["000"])


def test_ccpg_rows_have_galleries_of_their_own() -> None:
    walks = embedded(
        [
            ("100", "U1_D1", "01", "0", 0.0),
            ("101", "U1_D1", "01", "0", 1.0),
            ("100", "U0_D3", "01", "0", 1.0),
            ("101", "U0_D3", "01", "0", 0.0),
            ("100", "U0_D0", "02", "0", 0.1),  # CL: against U1_D1, right
            ("100", "U3_D3", "02", "0", 0.1),  # UP: against U0_D3, wrong
        ]
    )
    rows = evaluate_embedded(walks, find_protocol("ccpg"), QUICK).rows
    assert rows["CL"].groups["across"].identification.metrics["rank_1"].value == 1
    assert rows["UP"].groups["across"].identification.metrics["rank_1"].value == 0


def test_sustech1k_rows_take_combined_conditions() -> None:
    night = sample("0001", "nt-ub", "000", "01")
    protocol = find_protocol("sustech1k")
    assert [row for row in protocol.probes if protocol.is_probe(row, night)] == ["Umbrella", "Night", "Overall"]
    assert protocol.is_gallery("Night", sample("0001", "nm", "000", "00"))
    assert not protocol.is_probe("Overall", sample("0001", "nm", "000", "00"))


def test_leave_one_out_never_compares_a_walk_with_its_own_recording() -> None:
    walks = embedded(
        [("A", "nm", "0", "1", 0.0), ("A", "nm", "1", "1", 0.0), ("A", "nm", "0", "2", 2.0), ("B", "nm", "0", "1", 0.5)]
    )
    row = evaluate_embedded(walks, find_protocol("leave_one_out"), QUICK).rows["all"]
    found = row.groups["all"].identification
    # A's walks of recording 1 meet B first; A's recording 2 meets B first; B has no mate.
    assert found.metrics["rank_1"].value == 0
    assert found.metrics["rank_5"].value == 0.75
    assert (found.comparisons, found.mated) == (4, 3)


def test_probes_that_a_partition_lists(tmp_path: Path) -> None:
    walks = [sample("a", "camid0", "seq0", ""), sample("a", "camid1", "seq0", ""), sample("b", "camid0", "seq0", "")]
    listed = Partition("x", "here", {"test": People(frozenset("ab"))}, frozenset(["a-camid0-seq0"]))
    result = evaluate(build("gei"), Dataset("gait3d", tuple(walks)), find_protocol("gait3d"), QUICK, partition=listed)
    assert result.rows["all"].groups["all"].identification.comparisons == 1
    with pytest.raises(BadDataset, match="lists its probes"):
        evaluate(build("gei"), Dataset("gait3d", tuple(walks)), find_protocol("gait3d"), QUICK)


def test_named_strangers_are_never_in_the_gallery() -> None:
    rng = np.random.default_rng(0)
    people = [f"{i}" for i in range(6)]
    samples = [sample(p, "nm", v, t) for p in people for v in ("0", "1") for t in ("0", "1")]
    for i, each in enumerate(samples):
        picture = np.zeros((3, 64, 64), np.uint8)
        picture[:, : 10 + 8 * int(each.subject), 32:] = rng.integers(0, 2, (3, 1, 1)) * 0 + 255
        samples[i] = Sample(each.subject, each.condition, each.view, each.take, lambda p=picture: Inputs(silhouettes=p))
    partition = Partition("x", "here", {"test": People(frozenset("0123")), "strangers": People(frozenset("45"))})
    result = evaluate(build("gei"), Dataset("made", tuple(samples)), find_protocol("psymo"), QUICK, partition=partition)
    row = result.rows["NM"]
    assert row.groups["across"].identification.people == 4
    opened = row.groups["across"].open_set
    assert opened is not None
    assert (opened.gallery_subjects, opened.draws, opened.mated_probes, opened.stranger_probes) == (4, 1, 8, 4)
    assert opened.fnir["0.01"].value == 0


def test_walks_that_cannot_be_read_are_reported_and_missing_inputs_refused(tree: Path) -> None:
    dataset = open_dataset("casia_b", tree).of(["001"])

    def broken() -> Inputs:
        raise BadDataset("the disk is gone")

    mixed = Dataset("mixed", (*dataset.samples[:3], Sample("001", "nm", "054", "01", broken)))
    found = embed_dataset(build("gei"), mixed)
    assert found.skipped == {"001-nm-01-054": "the disk is gone"}
    assert found.embeddings.shape == (3, 1, 64 * 44)
    with pytest.raises(BadDataset, match="None of the 1"):
        embed_dataset(build("gei"), Dataset("none", mixed.samples[3:]))
    with pytest.raises(InputMissing):
        embed_dataset(build("jointsgait", seed=0), dataset)


def test_no_probes_at_all_is_an_error() -> None:
    with pytest.raises(BadDataset, match="no probes"):
        evaluate_embedded(embedded([("a", "nm", "0", "0", 0.0)]), find_protocol("psymo"), QUICK)
    with pytest.raises(UnknownFormat, match="casia_b"):
        find_protocol("casia")


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_every_protocol_names_its_source_and_a_partition_that_ships(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert protocol.source
    if protocol.partition is not None:
        assert "test" in load_partition(protocol.partition).parts


def test_gei_on_psymo(shared_data: Path) -> None:
    dataset = open_dataset("psymo", next((shared_data / "psymo").glob("*.tar.xz")))
    walks = dataset.where(lambda s: s.condition in ("nm", "cl"))
    result = evaluate(build("gei"), walks, find_protocol("psymo"), EvaluationSettings(replicates=50, pairwise=False))
    nm, cl = result.rows["NM"].groups, result.rows["CL"].groups
    assert nm["same"].identification.comparisons == 30
    assert nm["across"].identification.comparisons == 150
    assert nm["same"].identification.metrics["rank_1"].value == 1
    assert 0.3 < cl["same"].identification.metrics["rank_1"].value < 0.7
    assert 0.2 < nm["across"].identification.metrics["rank_1"].value < 0.5
