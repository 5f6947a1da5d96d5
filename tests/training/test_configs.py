"""The shipped configurations, and what is wrong with a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitkeeper.models import NETWORKS
from gaitkeeper.models.deepgaitv2 import deepgaitv2_indoor
from gaitkeeper.models.gaitgl import gaitgl_oumvlp
from gaitkeeper.models.gaitheat import gaitheat_ccpg
from gaitkeeper.models.gaitpart import gaitpart_oumvlp
from gaitkeeper.models.gaitset import gaitset_oumvlp
from gaitkeeper.models.gaittake import gaittake_oumvlp
from gaitkeeper.models.jointsgait import jointsgait_kinect
from gaitkeeper.training.config import load_config
from gaitkeeper.training.datasets import READERS, load_partition
from gaitkeeper.training.errors import BadTrainingConfig
from gaitkeeper.training.loop import make_network

FOLDER = Path(__file__).resolve().parents[2] / "training" / "configs"
FILES = sorted(FOLDER.glob("*.toml"))
VARIANTS = {
    "gaitset-oumvlp": gaitset_oumvlp,
    "gaitpart-oumvlp": gaitpart_oumvlp,
    "gaitgl-oumvlp": lambda: gaitgl_oumvlp(num_classes=5),
    "gaittake-oumvlp": gaittake_oumvlp,
    "deepgaitv2-casia-b": lambda: deepgaitv2_indoor(num_classes=5),
    "gaitheat-ccpg": lambda: gaitheat_ccpg(num_classes=5),
    "jointsgait-kinect": lambda: jointsgait_kinect(num_classes=5, strides=(4, 1, 1, 2, 1, 1, 2, 1, 1)),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_can_be_used(path: Path) -> None:
    config = load_config(path)
    assert config.data.format in READERS
    if config.data.partition is not None and not config.data.partition.endswith(".toml"):
        assert config.data.part in load_partition(config.data.partition).parts
    net = make_network(config, people=5)
    assert path.stem.startswith(net.name)
    logits = any(loss.needs_logits for loss in config.losses)
    assert (getattr(net.config, "num_classes", None) == 5) == logits


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_those_of_the_networks(name: str) -> None:
    assert make_network(load_config(FOLDER / f"{name}.toml"), people=5).config == VARIANTS[name]().config


def test_every_network_has_one() -> None:
    assert {path.stem.partition("-")[0] for path in FILES} == NETWORKS.keys() - {"gei", "fusion"}


PLAIN = """
steps = 10
network = { name = "gaitset" }
data = { format = "sequences", root = "walks" }
batch = { people = 4, takes = 2 }
losses = [{ kind = "batch_all" }]
"""


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.toml"
    path.write_text(PLAIN)
    return path


def test_values_are_changed_by_dotted_keys(plain: Path) -> None:
    changes = ["steps=20", "losses.0.margin=0.3", "data.root=/data/my walks", "optimiser.milestones=[1, 2]"]
    config = load_config(plain, [*changes, "network.options={ embed_dim = 64, bins = [2, 1] }"])
    assert config.steps == 20
    assert config.losses[0].margin == 0.3
    assert str(config.data.root) == "/data/my walks"
    assert config.optimiser.milestones == (1, 2)
    assert make_network(config, 3).config.bins == (2, 1)
    assert load_config(plain, ["data.folds=5", "data.fold=3", "data.folds="]).data.folds is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("steps=0", "steps: .*greater than"),
        ("stpes=5", "stpes: Extra"),
        ("steps", "not key=value"),
        ("losses.1.margin=0.3", "is not a key"),
        ("batch.frames=", "is not a key"),
        ("steps.more=1", "is not a key"),
        ("batch.window=[20, 25]", "batch: .*window"),
        ("batch.segments=4", "batch: .*segments"),
        ("run.accumulate=4", "accumulate"),
        ("losses=[]", "losses"),
    ],
)
def test_what_cannot_be_used_is_named(plain: Path, change: str, reason: str) -> None:
    with pytest.raises(BadTrainingConfig, match=reason) as caught:
        load_config(plain, [change])
    assert caught.value.code == "bad_training_config"


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadTrainingConfig, match="no readable"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(BadTrainingConfig, match="not a TOML"):
        load_config(tmp_path / "bad.toml")


@pytest.mark.parametrize("options", ["{ colour = 3 }", "{ channels = [1, 2] }"])
def test_options_that_the_network_does_not_have(plain: Path, options: str) -> None:
    with pytest.raises(BadTrainingConfig, match="gaitset"):
        make_network(load_config(plain, [f"network.options={options}"]), 3)


def test_a_classifier_loss_needs_a_network_that_has_one(plain: Path) -> None:
    with pytest.raises(BadTrainingConfig, match="num_classes"):
        make_network(load_config(plain, ["losses.0.kind=arcface"]), 3)
