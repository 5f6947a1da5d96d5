"""Device, precision and runtime are not part of the fingerprint: the answers are the same, distances within 1 %."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.networks import walkers
from gaitkeeper import models
from gaitkeeper.gallery import Gallery
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.batching import SharedEmbedding
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.tensors import prepare
from gaitkeeper.pipelines.walk_quality import Quality

PEOPLE, FRAMES = 6, 24
Embed = Callable[[Sequence[GaitSequence], GaitNetwork], Tensor]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.fixture(scope="module")
def takes() -> list[list[GaitSequence]]:
    """Two walks of each person, the second of later and fewer frames."""
    pictures = torch.nn.functional.pad(walkers(PEOPLE, 2 * FRAMES)[:, :, 0], (10, 10)).mul(255).byte().numpy()
    return [[sequence(one[span]) for one in pictures] for span in (slice(FRAMES), slice(FRAMES, -3))]


def sequence(silhouettes: np.ndarray) -> GaitSequence:
    frames = len(silhouettes)
    return GaitSequence(
        silhouettes=silhouettes,
        joints=np.full((frames, 17, 3), 0.9, np.float32),
        heatmaps=None,
        timestamps=np.arange(frames) / 30,
        boxes=np.tile(np.float32([0, 0, 40, 100]), (frames, 1)),
        quality=Quality(frames, {}, 0.9, 0.9, 0.0, 2.0, 30.0, False),
    )


def answers(
    folder: Path, takes: list[list[GaitSequence]], device: str, by: Embed, net: GaitNetwork | None = None
) -> tuple[list[str], np.ndarray]:
    """Who each probe is found to be, and its distance to everyone, (probes, people)."""
    path = folder / f"{len(list(folder.iterdir()))}.db"
    with Gallery.open(f"sqlite:///{path}", network=net) as opened:
        gallery = Gallery(opened.store, network=net or "gaitpart", device=device, embed=by)
        for i, seq in enumerate(takes[0]):
            gallery.enroll(f"p{i}", seq)
        found = gallery.identify_many(takes[1], top_k=PEOPLE)
        ranked = [{c.subject: c.distance for c in one.candidates} for one in found]
        return [one.candidates[0].subject for one in found], np.array(
            [[one[f"p{i}"] for i in range(PEOPLE)] for one in ranked]
        )


def through_onnx(folder: Path) -> Embed:
    """The network exported and run by onnxruntime."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from gaitkeeper.models.export import export_onnx, run_onnx

    path = folder / "net.onnx"

    def run(seqs: Sequence[GaitSequence], net: GaitNetwork) -> Tensor:
        if not path.exists():
            export_onnx(net, path)
        return run_onnx(path, *prepare(seqs, net))

    return run


def channels_first(seqs: Sequence[GaitSequence], net: GaitNetwork) -> Tensor:
    """The same weights laid out another way in memory."""
    other = models.load("gaitpart").to(memory_format=torch.contiguous_format)
    return embed(seqs, other)


def as_a_gpu_takes_them(seqs: Sequence[GaitSequence], net: GaitNetwork) -> Tensor:
    """As many frames at a time as a GPU would be given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gaitkeeper.models.layers.chunk_on", lambda device: 512)
        return embed(seqs, net)


def one_by_one_from_threads(seqs: Sequence[GaitSequence], net: GaitNetwork) -> Tensor:
    """Each walker by another request, in shared batches."""
    shared = SharedEmbedding(most=len(seqs), wait=30)
    with ThreadPoolExecutor(len(seqs)) as pool:
        return torch.cat(list(pool.map(lambda seq: shared([seq], net), seqs)))


@pytest.mark.parametrize("way", ["onnx", "fp16", "channels_first", "wide", "threads"])
def test_rank_1_and_distances_hang_on_neither_precision_nor_runtime(
    tmp_path: Path, takes: list[list[GaitSequence]], way: str
) -> None:
    (tmp_path / "stores").mkdir()
    ways: dict[str, Embed] = {
        "fp16": lambda seqs, net: embed(seqs, net, precision="fp16"),
        "channels_first": channels_first,
        "wide": as_a_gpu_takes_them,
        "threads": one_by_one_from_threads,
    }
    first, distances = answers(tmp_path / "stores", takes, "cpu", embed)
    again, found = answers(tmp_path / "stores", takes, "cpu", ways.get(way) or through_onnx(tmp_path))
    assert first == again
    assert np.abs(found - distances).max() > 0 or way in ("wide", "threads", "channels_first")
    np.testing.assert_allclose(found, distances, rtol=0.01 if way == "fp16" else 1e-4)


@needs_gpu
def test_a_gpu_gives_the_same_rank_1_and_distances(tmp_path: Path, takes: list[list[GaitSequence]]) -> None:
    first, distances = answers(tmp_path, takes, "cpu", embed)
    for precision in ("fp32", "fp16"):
        by: Embed = lambda seqs, net, precision=precision: embed(seqs, net, precision=precision)  # noqa: E731
        again, found = answers(tmp_path, takes, "cuda", by)
        assert first == again
        np.testing.assert_allclose(found, distances, rtol=0.01)


@pytest.fixture
def by_device(shared_data: Path) -> Iterator[dict[str, list[GaitSequence]]]:
    """The walkers of a real clip, seen by the same perception on either device."""
    weights, seen = shared_data.parent / "weights", {}
    detector, pose = weights / "yolo26_320_qdq_int8_od_coco-person-st.onnx", weights / "yolo26_pose_256_qdq_int8.onnx"
    if not detector.is_file():
        pytest.skip("no weights of the backend `yolo` here")
    for device in ("cpu", "cuda"):
        settings = PipelineSettings(perception="yolo", detector=str(detector), pose=str(pose), device=device)
        pipeline = Pipeline(settings)
        seen[device] = pipeline.sequences(shared_data / "videos" / "quartet-gallery.mp4")
        pipeline.close()
    yield seen


@needs_gpu
def test_perception_on_a_gpu_sees_the_same_walkers(by_device: dict[str, list[GaitSequence]]) -> None:
    net = models.load("gaitpart")
    here, there = (embed(seqs, net) for seqs in by_device.values())
    own, across = part_distances(here, here), part_distances(here, there)
    assert across.argmin(dim=1).tolist() == list(range(len(here))) and len(here) == len(there)
    others = ~torch.eye(len(here), dtype=torch.bool)
    np.testing.assert_allclose(across[others], own[others], rtol=0.01)
