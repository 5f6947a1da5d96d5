"""Read the pickled arrays of academic toolkits, ``subject/type/view/*.pkl``, without executing them."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gaitkeeper.training.datasets.sample import Array, Dataset, Inputs, Sample, silhouettes64
from gaitkeeper.training.datasets.sequences import split_recording
from gaitkeeper.training.errors import BadDataset, UnsafePickle

MAX_BYTES = 1 << 30
"""Maximum size of a file; a walk of 64×64 silhouettes has about 0.1 % of it."""

DATA = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
"""Allowed numpy types: numbers, but not objects, records or text."""


class _Array:
    """Stands for ``numpy.ndarray`` in a pickle, where it is named but not called."""


def _reconstruct(*_: Any) -> Array:
    """An empty array; its ``__setstate__`` checks the contents that the pickle sets."""
    return np.empty(0, np.int8)


def _dtype(name: Any, *_: Any) -> np.dtype[Any]:
    """A new dtype object, never numpy's own, because the pickle may set its byte order."""
    if not (isinstance(name, str) and DATA.fullmatch(name)):
        raise UnsafePickle(f"The pickle contains an array of {name!r}; only arrays of numbers are read.")
    return np.dtype(name, False, True)


def _latin1(text: Any, encoding: Any) -> bytes:
    """How pickles of protocol 2 and below write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafePickle("The pickle encodes text that is not an array's bytes.")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How those protocols write empty bytes."""
    return b""


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> Array:
    return np.frombuffer(data, dtype).reshape(shape, order=order)


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,
}
"""The few names in a pickled array, in the modules of old and new numpy versions, with the replacements used here;
numpy's own functions are not called."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise UnsafePickle(f"The pickle needs {module}.{name}; only numpy arrays are read.")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickle("The pickle refers to external data; only numpy arrays are read.")


def load_arrays(path: Path) -> Array | list[Array]:
    """The array, or the list or tuple of arrays, in a pickle.

    The pickle cannot run code: it can only reach callables that make numpy arrays, and the result must be arrays of
    numbers.

    Raises:
        UnsafePickle: it holds anything else.
        BadDataset: it is too large, cut short, or no pickle.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadDataset(f"{path} has more than {MAX_BYTES >> 20} MiB.")
        found = _ArrayUnpickler(io.BytesIO(path.read_bytes())).load()
    except BadDataset:
        raise
    # A damaged pickle can raise almost any error.
    except Exception as error:
        raise BadDataset(f"{path} cannot be read as pickled arrays: {type(error).__name__}: {error}.") from error
    items = list(found) if isinstance(found, (list, tuple)) else [found]
    for item in items:
        if type(item) is not np.ndarray or not DATA.fullmatch(item.dtype.str):
            raise UnsafePickle(f"{path} contains a {type(item).__name__}; only numpy arrays of numbers are read.")
    return items if isinstance(found, (list, tuple)) else items[0]


@dataclass(frozen=True)
class Layout:
    """Naming conventions in a data set's preprocessed folder.

    Attributes:
        name: name of the data set.
        rate: frames per second, for the times of frames.
        split: splits the folder "type" into condition and take.
        view: splits the folder "view" into the view and a suffix of the take, or "".
        file: pattern of the file with the silhouettes.
        skip: folder names at the subject level that are not labelled people.
    """

    name: str
    rate: float
    split: Callable[[str], tuple[str, str]] = split_recording
    view: Callable[[str], tuple[str, str]] = lambda name: (name, "")
    file: str = "*.pkl"
    skip: tuple[str, ...] = ()


def _take_first(name: str) -> tuple[str, str]:
    """SUSTech1K's ``00-nm`` and ``01-nt-ub``: the take comes first."""
    take, dash, condition = name.partition("-")
    return (condition, take) if dash else (name, "")


def _take_only(name: str) -> tuple[str, str]:
    return "", name


def _condition_only(name: str) -> tuple[str, str]:
    return name, ""


def _camera_and_walk(name: str) -> tuple[str, str]:
    """CCPG's ``01_0``: camera, then the number of the walk; views are cameras."""
    camera, _, walk = name.partition("_")
    return camera, walk


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("casia_b", rate=25),
        Layout("oumvlp", rate=25, split=_take_only),
        Layout("ccpg", rate=25, split=_condition_only, view=_camera_and_walk, file="*-aligned-sils.pkl"),
        Layout("sustech1k", rate=10, split=_take_first, file="[0-9][0-9]-[!s]*-Camera-Sils_aligned.pkl"),
        Layout("gait3d", rate=25, split=_condition_only),
        Layout("grew", rate=30, split=_take_only, skip=("probe",)),
    )
}
"""Naming differences between data sets that academic toolkits preprocess to one layout."""


def read(root: Path, layout: Layout) -> Dataset:
    """The walks of ``subject/type/view/*.pkl``, silhouettes of 64×64 or 64×44, one file a walk.

    If a walk's folder has no file of the layout's pattern, the first ``.pkl`` is used. If it has several, each is a
    walk (its name becomes part of the take).

    Raises:
        BadDataset: there is no such file.
    """
    samples = []
    for folder in sorted(path for path in root.glob("*/*/*") if path.is_dir()):
        subject, kind, name = folder.parts[-3:]
        if subject in layout.skip:
            continue
        files = sorted(folder.glob(layout.file)) or sorted(folder.glob("*.pkl"))[:1]
        condition, take = layout.split(kind)
        view, walk = layout.view(name)
        for path in files:
            parts = (take, walk, path.stem if len(files) > 1 else "")
            each = ".".join(part for part in parts if part)
            samples.append(Sample(subject, condition, view, each, partial(_walk, path, layout.rate)))
    if not samples:
        raise BadDataset(f"No pickled walks in {root}: subject/type/view/*.pkl expected.")
    return Dataset(layout.name, tuple(samples))


def _walk(path: Path, rate: float) -> Inputs:
    found = load_arrays(path)
    frames = found[0] if isinstance(found, list) and len(found) == 1 else found
    try:
        silhouettes = silhouettes64(np.stack(frames) if isinstance(frames, list) else frames)
    except ValueError as error:
        raise BadDataset(f"{path}: {error}.") from error
    if not len(silhouettes):
        raise BadDataset(f"{path} has no frame.")
    return Inputs(silhouettes=silhouettes, timestamps=np.arange(len(silhouettes)) / rate, perception="pickled")
