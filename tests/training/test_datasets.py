"""Readers of data sets as published, on small trees made here; partitions."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from gaitkeeper.models import build
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.silhouette import silhouette
from gaitkeeper.training.datasets import READERS, Dataset, Inputs, Sample, load_partition, open_dataset, partitions
from gaitkeeper.training.datasets.kinect import xy16
from gaitkeeper.training.datasets.psymo import is_cut_off, shift
from gaitkeeper.training.datasets.sample import silhouettes64
from gaitkeeper.training.errors import BadDataset, InputMissing, UnknownFormat


def person(height: int = 100, width: int = 30, size: tuple[int, int] = (240, 320), left: int = 100) -> np.ndarray:
    """A raw frame with a standing block that has a narrow top and two legs."""
    frame = np.zeros(size, np.uint8)
    frame[40 : 40 + height, left : left + width] = 255
    frame[40 : 40 + height // 6, left : left + width // 3] = 0
    frame[40 + height // 2 : 40 + height, left + width // 3 : left + 2 * width // 3] = 0
    return frame


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def test_casia_b_frames_are_normalised_by_the_projects_own_function_and_empty_ones_left_out(tmp_path: Path) -> None:
    frames = [person(100), np.zeros((240, 320), np.uint8), person(80, left=20)]
    for i, frame in enumerate(frames):
        write(tmp_path / f"001/nm-01/090/001-nm-01-090-{i:03d}.png", frame)
    write(tmp_path / "002/cl-02/018/a.png", person())

    dataset = open_dataset("casia_b", tmp_path)

    assert [(s.subject, s.condition, s.take, s.view) for s in dataset] == [
        ("001", "nm", "01", "090"),
        ("002", "cl", "02", "018"),
    ]
    assert dataset.subjects == ("001", "002")
    assert [s.key for s in dataset] == ["001-nm-01-090", "002-cl-02-018"]
    walk = dataset[0].load()
    expected = [silhouette(frames[i].astype(np.float32) / 255) for i in (0, 2)]
    np.testing.assert_array_equal(walk.silhouettes, expected)
    np.testing.assert_allclose(walk.timestamps, [0, 2 / 25])


def test_a_walk_without_a_usable_frame_says_so(tmp_path: Path) -> None:
    write(tmp_path / "001/nm-01/090/0.png", np.zeros((64, 64), np.uint8))
    with pytest.raises(BadDataset, match="no usable silhouette"):
        open_dataset("casia_b", tmp_path)[0].load()


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_reader_says_when_its_files_are_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataset):
        open_dataset(name, tmp_path)
    with pytest.raises(BadDataset, match="There is no"):
        open_dataset(name, tmp_path / "nowhere")


def test_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match="casia_b"):
        open_dataset("casia_z", tmp_path)


def kinect_lines(frames: int) -> str:
    names = ["Head", "Shoulder-Center", *(f"Joint-{i}" for i in range(18))]
    return "\n".join(f"{n};{i / 10};{(k + i) / 10};{-i / 10}" for k in range(frames) for i, n in enumerate(names))


def test_kinect_text_and_packed_forms(tmp_path: Path) -> None:
    for take in ("10", "2"):
        (tmp_path / "Person003").mkdir(exist_ok=True)
        (tmp_path / "Person003" / f"{take}.txt").write_text(kinect_lines(3) + "\nHead;0;0;0\n", encoding="utf-8")
    text = open_dataset("kinect", tmp_path)
    assert [(s.subject, s.take) for s in text] == [("Person003", "2"), ("Person003", "10")]
    joints = text[0].load().joints
    assert joints is not None and joints.shape == (3, 20, 3) and joints.dtype == np.float32
    np.testing.assert_allclose(joints[2, 4], [0.4, 0.6, -0.4], rtol=1e-6)

    packed = np.round(joints * 4000).astype(np.int16)
    np.savez(tmp_path / "walks.npz", Person003_2=packed)
    again = open_dataset("kinect", tmp_path)
    np.testing.assert_allclose(again[0].load().joints, joints, atol=1.3e-4)


def test_kinect_text_of_other_joints_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Person001").mkdir()
    (tmp_path / "Person001" / "1.txt").write_text(kinect_lines(1) + "\n" + "Foot;1;2;3\n" * 20, encoding="utf-8")
    with pytest.raises(BadDataset, match="in one order"):
        open_dataset("kinect", tmp_path)[0].load()


def test_kinect_joints_for_jointsgait_are_hip_centred_and_scaled_on_request() -> None:
    joints = np.random.default_rng(0).normal(size=(5, 20, 3)).astype(np.float32)
    joints[:, 1, :2] = joints[:, 11, :2] + [0, 0.5]
    metres, scaled = xy16(joints, scaled=False), xy16(joints, scaled=True)
    assert metres.shape == (5, 16, 2)
    np.testing.assert_allclose(metres[:, 9], 0, atol=1e-6)  # the hip centre
    np.testing.assert_allclose(metres[:, 1], [[0, 0.5]] * 5, atol=1e-6)
    np.testing.assert_allclose(scaled, metres / 0.5, atol=1e-5)


def psymo_tree(root: Path) -> None:
    home = root / "semantic_data"
    frames = [0, 2, 10]
    for i in frames:
        crop = np.zeros((128, 128), np.uint8)
        crop[1:127, 50:80] = 255
        crop[-1, 55:60] = 255
        if i == 2:
            crop[-1, 40:90] = 255
        write(home / "silhouettes/7/007_45_1_0_bg" / f"{i}.png", crop)
    write(home / "silhouettes/7/007_45_1_0_bg_gei.png", np.zeros((4, 4), np.uint8))
    people = [
        {"image_id": "10.jpg", "keypoints": [1.0, 2.0, 0.5] * 17, "score": 1.0, "box": [0, 0, 9, 9]},
        {"image_id": "10.jpg", "keypoints": [3.0, 4.0, 1.5] * 17, "score": 2.0, "box": [0, 0, 6, 8]},
        {"image_id": "11.jpg", "keypoints": [9.0, 9.0, 0.5] * 17, "score": 2.0, "box": [0, 0, 9, 9]},
    ]
    (home / "skeletons/7").mkdir(parents=True)
    (home / "skeletons/7/007_45_1_0_bg.json").write_text(json.dumps(people), encoding="utf-8")


@pytest.mark.parametrize("packed", [False, True])
def test_psymo_aligns_by_frame_name_and_drops_cut_off_frames(tmp_path: Path, packed: bool) -> None:
    psymo_tree(tmp_path / "data")
    root = tmp_path / "data"
    if packed:
        root = tmp_path / "psymo.tar.xz"
        with tarfile.open(root, "w:xz") as archive:
            archive.add(tmp_path / "data", ".")
    (sample,) = open_dataset("psymo", root)
    assert (sample.subject, sample.condition, sample.view, sample.take) == ("007", "bg", "45-1", "0")
    walk = sample.load()
    assert len(walk) == 2
    assert walk.joints is not None
    np.testing.assert_array_equal(walk.joints[0], np.zeros((17, 3)))
    np.testing.assert_array_equal(walk.joints[1], [[3, 4, 1]] * 17)
    np.testing.assert_allclose(walk.timestamps, [0, 10 / 30])
    assert walk.heatmaps is None
    maps = open_dataset("psymo_heatmaps", root).samples[0].load().heatmaps
    assert maps is not None and maps.shape == (2, 17, 64, 48) and not maps[0].any()
    for joint in maps[1]:  # in the middle of the box, the pixels next to the middle of the picture are all as high
        assert set(zip(*np.nonzero(joint == joint.max()), strict=True)) == {(y, x) for y in (31, 32) for x in (23, 24)}


def test_psymo_silhouettes_numbered_anew_are_found_by_the_legs() -> None:
    wide = np.abs(np.sin(np.arange(40) / 3))
    joints = {}
    for i, w in enumerate(wide):
        joints[i] = np.ones((17, 3), np.float32)
        joints[i][15:17, :2] = [[0, 101], [100 * w, 101]]
    silhouettes = np.zeros((40, 64, 64), np.uint8)
    for picture, w in zip(silhouettes, wide, strict=True):
        picture[:, 30 : 32 + round(20 * w)] = 255
    assert shift(np.arange(30), silhouettes[:30], joints, last=29) == 0
    assert shift(np.arange(30), silhouettes[10:], joints, last=29) == 10
    assert shift(np.arange(40), silhouettes, joints, last=39) == 0
    assert shift(np.arange(40), silhouettes, {}, last=39) == 0


def test_psymo_members_that_are_no_walks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("silhouettes/1/strange/0.png")
        archive.addfile(info, io.BytesIO(b""))
    with pytest.raises(BadDataset, match="strange"):
        open_dataset("psymo", path)
    path.write_bytes(b"not a tar")
    with pytest.raises(BadDataset, match="cannot be read"):
        open_dataset("psymo", path)


def test_cut_off_is_a_long_straight_edge() -> None:
    crop = np.zeros((128, 128), np.uint8)
    crop[1:, 50:60] = 255
    assert not is_cut_off(crop)
    crop[-1, 50:66] = 255
    assert is_cut_off(crop)
    assert is_cut_off(crop.T)
    assert is_cut_off(crop[::-1])


def test_a_folder_of_sequences(tmp_path: Path) -> None:
    made = Inputs(
        silhouettes=np.tile(silhouette(person().astype(np.float32) / 255), (4, 1, 1)),
        joints=np.ones((4, 17, 3), np.float32),
        timestamps=np.arange(4) / 25,
        perception="blazepose/1",
    ).sequence(())
    path = tmp_path / "anna/coat-indoors-02/090.gait"
    path.parent.mkdir(parents=True)
    made.save(path)
    (sample,) = open_dataset("sequences", tmp_path)
    assert (sample.subject, sample.condition, sample.take, sample.view) == ("anna", "coat-indoors", "02", "090")
    walk = sample.load()
    assert walk.present == {"silhouettes", "joints"}
    assert walk.perception == "blazepose/1"
    np.testing.assert_array_equal(walk.silhouettes, made.silhouettes)
    path.write_bytes(b"no sequence")
    with pytest.raises(BadDataset, match="cannot be read"):
        sample.load()


def test_inputs_become_a_gait_sequence_only_where_nothing_needed_is_missing() -> None:
    walk = Inputs(silhouettes=np.full((3, 64, 64), 255, np.uint8))
    sequence = walk.sequence(build("gei").inputs)
    assert isinstance(sequence, GaitSequence)
    assert len(sequence) == 3
    with pytest.raises(InputMissing, match="joints"):
        walk.sequence(("joints",))
    kinect = Inputs(joints=np.zeros((3, 20, 3), np.float32), skeleton="kinect")
    with pytest.raises(InputMissing, match="kinect"):
        kinect.sequence(("joints",))


def test_inputs_of_different_lengths_are_refused_and_frames_can_be_taken() -> None:
    with pytest.raises(ValueError, match="same number"):
        Inputs(silhouettes=np.zeros((3, 64, 64), np.uint8), joints=np.zeros((2, 17, 3), np.float32))
    walk = Inputs(joints=np.arange(12, dtype=np.float32).reshape(4, 1, 3), timestamps=np.arange(4.0))
    part = walk.take(np.array([3, 1]))
    np.testing.assert_array_equal(part.timestamps, [3, 1])
    np.testing.assert_array_equal(part.joints[:, 0, 0], [9, 3])


def test_silhouettes_of_44_columns_survive_the_cut_of_the_pipeline() -> None:
    from gaitkeeper.pipelines.tensors import prepare

    narrow = np.random.default_rng(0).integers(0, 2, (5, 64, 44), np.uint8) * np.uint8(255)
    sequence = Inputs(silhouettes=silhouettes64(narrow)).sequence(("silhouettes",))
    (tensor,), _ = prepare([sequence], build("gei"))
    np.testing.assert_allclose(tensor[0, :, 0], narrow / 255)
    np.testing.assert_array_equal(silhouettes64(narrow / 255.0), silhouettes64(narrow))
    np.testing.assert_array_equal(silhouettes64(narrow > 0), silhouettes64(narrow))
    with pytest.raises(ValueError, match="64"):
        silhouettes64(np.zeros((5, 128, 88)))


def people(*names: str) -> Dataset:
    return Dataset("made", tuple(Sample(name, "nm", "090", "01", lambda: Inputs()) for name in names))


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [("casia_b_74", 74, 50), ("casia_b_62", 62, 62), ("oumvlp", 5153, 5154), ("ccpg", 100, 100)],
)
def test_published_divisions_have_the_published_sizes(name: str, train: int, test: int) -> None:
    partition = load_partition(name)
    a, b = partition.parts["train"], partition.parts["test"]
    assert a is not None and b is not None
    assert (len(a.names), len(b.names)) == (train, test)
    assert not a.names & b.names


def test_every_partition_that_ships_can_be_read() -> None:
    for name in partitions():
        partition = load_partition(name)
        assert partition.source
        assert "test" in partition.parts
    assert len(load_partition("sustech1k").parts["train"].names) == 250


def test_parts_of_a_partition() -> None:
    oumvlp = load_partition("oumvlp")
    assert oumvlp.of(people("00001", "00002", "10307"), "test").subjects == ("00002", "10307")
    grew = load_partition("grew")
    assert grew.of(people("00001train", "00001"), "train").subjects == ("00001train",)
    assert grew.of(people("00001train", "00001"), "test").subjects == ("00001",)
    with pytest.raises(UnknownFormat, match="train, test"):
        oumvlp.of(people("00001"), "validation")
    with pytest.raises(BadDataset, match="No person of part"):
        oumvlp.of(people("x"), "test")
    with pytest.raises(UnknownFormat, match="casia_b_74"):
        load_partition("nobody")


def test_a_partition_of_ones_own(tmp_path: Path) -> None:
    toolkit = tmp_path / "mine.json"
    toolkit.write_text(json.dumps({"TRAIN_SET": ["a"], "TEST_SET": ["b"], "PROBE_SET": ["b-x-1"]}), encoding="utf-8")
    assert load_partition(toolkit).probes == {"b-x-1"}
    assert load_partition(toolkit).of(people("a", "b"), "test").subjects == ("b",)
    twice = tmp_path / "twice.toml"
    twice.write_text('source = "me"\n[parts]\ntrain = ["01-05"]\ntest = ["05"]\n', encoding="utf-8")
    with pytest.raises(BadDataset, match="two parts"):
        load_partition(twice)
    twice.write_text('source = "me"\n[parts]\ntrain = "everyone"\n', encoding="utf-8")
    with pytest.raises(BadDataset, match="rest"):
        load_partition(twice)
