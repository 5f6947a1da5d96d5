"""Rendered sets: who is in them, what a pack keeps, and that the same seed makes the same one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gaitkeeper import models
from gaitkeeper.pipelines.tensors import prepare
from gaitkeeper.training.datasets import load_partition, open_dataset, walkers, walks_for
from gaitkeeper.training.errors import BadDataset
from gaitkeeper.training.walkers.cli import app
from gaitkeeper.training.walkers.gait_model import GaitModel
from gaitkeeper.training.walkers.pack import render_set, render_takes
from gaitkeeper.training.walkers.sets import PARTITION, SETS, Size, walkers_b, walkers_xl

KINECT = Path("kinect-gait")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Four drawn people, two of them strangers."""
    path = tmp_path_factory.mktemp("walkers") / "xl.npz"
    return path, render_set("walkers-xl", KINECT, path, size=Size(people=4, takes=0, frames=20))


def test_the_same_seed_makes_the_same_pack(pack: tuple[Path, str], tmp_path: Path) -> None:
    path, sha256 = pack
    again = render_set("walkers-xl", KINECT, tmp_path / "again.npz", size=Size(people=4, takes=0, frames=20))
    assert again == sha256
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    other = render_set("walkers-xl", KINECT, tmp_path / "other.npz", size=Size(people=4, takes=0, frames=20), seed=1)
    assert other != sha256


def test_some_views_of_a_set(pack: tuple[Path, str], tmp_path: Path) -> None:
    seen = ("000", "060")
    render_set("walkers-xl", KINECT, tmp_path / "two.npz", size=Size(people=4, takes=0, frames=20), views=seen)
    two, everything = (open_dataset("walkers", path) for path in (tmp_path / "two.npz", pack[0]))
    assert [s.key for s in two] == [s.key for s in everything if s.view in seen]


def test_a_pack_keeps_what_was_seen(tmp_path: Path) -> None:
    takes = list(islice(walkers_xl(KINECT, 3, Size(people=2, takes=0, frames=20)), 6))
    walks = list(render_takes(takes, 20))
    walkers.write(tmp_path / "six.npz", walks)
    dataset = open_dataset("walkers_heatmaps", tmp_path / "six.npz")
    assert [s.key for s in dataset] == [f"{t.subject}-{t.condition}-{t.take}-{t.view}" for t in takes]
    for sample, walk in zip(dataset, walks, strict=True):
        inputs = sample.load()
        assert np.array_equal(np.packbits(inputs.silhouettes > 127, axis=2), walk.silhouettes)
        assert set(np.unique(inputs.silhouettes)) == {0, 255}
        assert np.abs(inputs.joints - walk.joints).max() <= walkers.UNIT / 2 + 1e-4
        assert inputs.heatmaps is not None and inputs.heatmaps.shape == (len(walk.frame), 17, 64, 48)
        # The blob of a joint is where the joint is: in the upper half of the box for the nose.
        assert inputs.heatmaps[0, 0].max(1).argmax() < 24 < inputs.heatmaps[0, 15].max(1).argmax()


@pytest.mark.parametrize("name", ["gaitpart", "jointsgait", "gaitset", "gaitheat"])
def test_networks_read_packs(pack: tuple[Path, str], name: str) -> None:
    net = models.build(name, seed=0)
    dataset = walks_for([net], pack[0])
    assert (dataset[0].load().heatmaps is None) == (name != "gaitheat")
    tensors, lengths = prepare([dataset[0].load().sequence(net.inputs)], net)
    with torch.inference_mode():
        assert net.eval()(*tensors, lengths=lengths).isfinite().all()


def test_walkers_xl_has_as_many_strangers_as_known(pack: tuple[Path, str]) -> None:
    dataset = open_dataset("walkers", pack[0])
    partition = load_partition("walkers_xl")
    known, strangers = (partition.of(dataset, part) for part in ("test", "strangers"))
    assert len(known.subjects) == len(strangers.subjects) == 2
    assert {s.recording for s in known if "enrol" in s.take} == {f"nm-enrol{i}" for i in range(4)}
    assert len([s for s in strangers if "probe" in s.take]) == 20
    assert not [s for s in strangers if "enrol" in s.take]


def test_broken_packs_are_refused(pack: tuple[Path, str], tmp_path: Path) -> None:
    cut = tmp_path / "cut.npz"
    cut.write_bytes(pack[0].read_bytes()[:5000])
    for path in (cut, Path(__file__)):
        with pytest.raises(BadDataset, match="not a pack"):
            open_dataset("walkers", path)


def test_packs_may_tell_outfits_and_builds(pack: tuple[Path, str], tmp_path: Path) -> None:
    plain = walkers.read(pack[0])
    assert {(sample.outfit, sample.build) for sample in plain} == {("", ())}
    with np.load(pack[0]) as archive:
        arrays = dict(archive)
    count = len(plain)
    told = {"outfit": np.arange(count), "build": np.arange(2.0 * count).reshape(count, 2)}
    np.savez(tmp_path / "told.npz", **arrays, **told)
    sample = walkers.read(tmp_path / "told.npz")[1]
    assert (sample.outfit, sample.build) == ("1", (2.0, 3.0))
    np.savez(tmp_path / "short.npz", **arrays, outfit=np.arange(count - 1))
    with pytest.raises(BadDataset, match="lacks outfit of some"):
        walkers.read(tmp_path / "short.npz")


def test_packs_of_different_people_become_one(pack: tuple[Path, str], tmp_path: Path) -> None:
    own = walkers.read(pack[0])
    people = sorted({sample.subject for sample in own})
    out = tmp_path / "mixed.npz"
    done = CliRunner().invoke(app, ["mix", str(out), str(pack[0]), f"{pack[0]}:1"], catch_exceptions=False)
    mixed = walkers.read(out)
    assert done.stdout.split() == [walkers.digest(dict(np.load(out))), str(out)]
    first = [sample for sample in own if sample.subject == people[0]]
    assert [s.subject for s in mixed] == [f"1-{s.subject}" for s in own] + [f"2-{s.subject}" for s in first]
    for one, other in zip(mixed, [*own, *first], strict=True):
        assert np.array_equal(one.read().silhouettes, other.read().silhouettes)
    with pytest.raises(BadDataset):
        walkers.mix(out, [(tmp_path / "absent.npz", None)])


def test_an_unknown_set_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["render", "walkers-c", str(tmp_path), str(tmp_path / "c.npz")])
    assert result.exit_code == 2
    assert "walkers-b" in result.output


def test_nobody_is_trained_and_tested(shared_data: Path) -> None:
    """By what the sets are made of: the model's people, and every set's measured people."""
    partition = load_partition(PARTITION)
    kinect = open_dataset("kinect", shared_data / "kinect-gait")
    train, calibrate, test = (set(partition.of(kinect, part).subjects) for part in ("train", "calibrate", "test"))
    assert set(GaitModel.load().people) <= train
    for name, people in (("train", train), ("calibrate", calibrate), ("walkers-b", test)):
        takes = SETS[name].takes(shared_data / "kinect-gait", 5, Size(people=2, takes=1, frames=20))
        assert {t.subject for t in takes if t.subject.startswith("Person")} <= people
    assert not (train & test or train & calibrate or calibrate & test)
    assert SETS["train"].seed not in {SETS[name].seed for name in ("walkers-b", "walkers-xl", "calibrate")}


def test_walkers_b_is_shaped_like_casia_b(shared_data: Path) -> None:
    takes = list(walkers_b(shared_data / "kinect-gait", 5, Size(people=0, takes=0, frames=20)))
    people = {t.subject for t in takes}
    assert len(people) == 50
    assert len(takes) == 50 * 11 * 10
    for person in sorted(people)[:10]:
        own = [t for t in takes if t.subject == person]
        gallery = {t.cycle.joints.numpy().tobytes() for t in own if t.condition == "nm" and t.take <= "04"}
        probes = {t.cycle.joints.numpy().tobytes() for t in own if t.condition != "nm" or t.take > "04"}
        assert not gallery & probes, "no probe shows a walk of the gallery"
