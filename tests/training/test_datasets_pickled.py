"""The unpickler that reads numpy arrays and nothing else, and the layouts it is used for."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaitkeeper.training.datasets import open_dataset
from gaitkeeper.training.datasets.pickled import load_arrays
from gaitkeeper.training.errors import BadDataset, UnsafePickle

FRAMES = np.random.default_rng(0).integers(0, 256, (7, 64, 44), np.uint8)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        FRAMES,
        np.asfortranarray(FRAMES),
        FRAMES.astype(">f4"),
        FRAMES > 128,
        FRAMES[:0],
        FRAMES.astype(np.float64) / 255,
    ],
    ids=["uint8", "fortran", "big-endian", "bool", "empty", "float64"],
)
def test_arrays_come_back_equal_whatever_protocol_wrote_them(array: np.ndarray, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(array, protocol))
    found = load_arrays(path)
    assert isinstance(found, np.ndarray)
    assert found.dtype == pickle.loads(path.read_bytes()).dtype
    np.testing.assert_array_equal(found, array)


def test_arrays_of_older_numpy_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    data = pickle.dumps(FRAMES, 2)
    assert b"numpy._core.multiarray" in data
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    np.testing.assert_array_equal(load_arrays(path), FRAMES)


def test_a_list_of_arrays_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(list(FRAMES)))
    np.testing.assert_array_equal(np.stack(load_arrays(path)), FRAMES)


class Runs:
    """Pickles to a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def malicious(marker: Path) -> dict[str, bytes]:
    touch = f"touch {marker}"
    import builtins
    import subprocess

    return {
        "os.system": pickle.dumps(Runs(os.system, touch)),
        "eval": pickle.dumps(Runs(builtins.eval, f"open({str(marker)!r}, 'w')")),
        "popen": pickle.dumps(Runs(subprocess.Popen, ["touch", str(marker)])),
        "in an object array": pickle.dumps(np.array([Runs(os.system, touch)], dtype=object)),
        "in a list": pickle.dumps([FRAMES, Runs(os.system, touch)]),
        "getattr through numpy": b"cnumpy\nf2py\n.",
        "numpy.load": pickle.dumps(Runs(np.load, str(marker))),
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__reduce__\x93.",
        "codecs": pickle.dumps(Runs(__import__("codecs").open, str(marker), "w")),
        "persistent id": b"Psomething\n.",
        "extension registry": b"\x82\x01.",
    }


@pytest.mark.parametrize("attack", sorted(malicious(Path("x"))))
def test_malicious_pickles_are_refused_and_nothing_runs(attack: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "evil.pkl"
    path.write_bytes(malicious(marker)[attack])
    with pytest.raises(BadDataset):
        load_arrays(path)
    assert not marker.exists()
    assert list(tmp_path.iterdir()) == [path]


def test_the_attack_would_work_on_the_plain_unpickler(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pickle.loads(malicious(marker)["os.system"])
    assert marker.exists()


@pytest.mark.parametrize(
    "content",
    [{"a": FRAMES}, "text", 3, None, np.array(["text"]), np.array([b"x"]), np.zeros(2, "f4,i4"), np.array([{}, None])],
    ids=["dict", "str", "int", "none", "text array", "bytes array", "records", "objects"],
)
def test_what_is_no_array_of_numbers_is_refused(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UnsafePickle):
        load_arrays(path)


def test_damaged_pickles_are_refused(tmp_path: Path) -> None:
    whole = pickle.dumps(FRAMES)
    path = tmp_path / "a.pkl"
    for data in (b"", whole[: len(whole) // 2], b"\x80\x04garbage", whole[:-1]):
        path.write_bytes(data)
        with pytest.raises(BadDataset):
            load_arrays(path)


def test_a_type_that_the_pickle_tampers_with_changes_nothing_outside(tmp_path: Path) -> None:
    # The byte order of a type can be set by its state: numpy's own uint16 must stay as it is.
    name = b"X\x02\x00\x00\x00u2K\x00K\x00\x87R"
    state = b"(K\x03X\x01\x00\x00\x00>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb."
    data = b"\x80\x02cnumpy\ndtype\n" + name + state
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    with pytest.raises(UnsafePickle, match="UInt16DType"):
        load_arrays(path)
    assert np.dtype("u2").newbyteorder("=") == np.dtype(np.uint16)
    assert np.dtype("u2").isnative


def put(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(array))


@pytest.mark.parametrize(
    ("format", "file", "expected"),
    [
        ("casia_b_pickled", "001/nm-01/090/090.pkl", ("001", "nm", "01", "090")),
        ("oumvlp_pickled", "00002/01/015/015.pkl", ("00002", "", "01", "015")),
        ("ccpg_pickled", "100/U0_D0_BG/01_2/01_2-aligned-sils.pkl", ("100", "U0_D0_BG", "2", "01")),
        (
            "sustech1k_pickled",
            "0001/01-nt-ub/045-far/05-045-far-Camera-Sils_aligned.pkl",
            ("0001", "nt-ub", "01", "045-far"),
        ),
        ("gait3d_pickled", "0000/camid0_videoid2/seq0/seq0.pkl", ("0000", "camid0_videoid2", "", "seq0")),
        ("grew_pickled", "00001/02/t16VLaQf/t16VLaQf.pkl", ("00001", "", "02", "t16VLaQf")),
    ],
)
def test_layouts(format: str, file: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    put(tmp_path / file, FRAMES)
    for other in ("-rgbs", "-ratios"):  # what lies beside the silhouettes in CCPG
        if format.startswith("ccpg"):
            put((tmp_path / file).parent / f"01_2{other}.pkl", np.zeros(3))
    if format.startswith("sustech"):
        put((tmp_path / file).parent / "13-sync-045-far-Camera-Sils_aligned.pkl", FRAMES[:2])
        put((tmp_path / file).parent / "00-045-far-LiDAR-PCDs.pkl", np.zeros(3))
    (sample,) = open_dataset(format, tmp_path)
    assert (sample.subject, sample.condition, sample.take, sample.view) == expected
    walk = sample.load()
    assert walk.silhouettes is not None
    np.testing.assert_array_equal(walk.silhouettes[:, :, 10:54], FRAMES)


def test_unlabelled_probes_of_grew_are_no_people(tmp_path: Path) -> None:
    put(tmp_path / "probe/etaGVnWf/x/x.pkl", FRAMES)
    put(tmp_path / "00001/01/a/a.pkl", FRAMES)
    assert open_dataset("grew_pickled", tmp_path).subjects == ("00001",)


def test_arrays_of_another_shape_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "001/nm-01/090/090.pkl", np.zeros((4, 128, 88), np.uint8))
    with pytest.raises(BadDataset, match="128"):
        open_dataset("casia_b_pickled", tmp_path)[0].load()
