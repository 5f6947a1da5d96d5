"""The gait sequence: one person's person-centred frames. Upstream builds it, downstream reads it."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import zstandard

from gaitkeeper.pipelines.errors import BadSequence
from gaitkeeper.pipelines.walk_quality import Quality

FORMAT = 1
MAX_FRAMES = 100_000
SILHOUETTE = (64, 64)
HEATMAP = (17, 64, 48)

Array = npt.NDArray[Any]


# A file contains these fields only if they differ from the default, so most files equal those of earlier versions.
_RARE = {f.name: f.default for f in fields(Quality) if f.name in ("upright", "turn", "likeness_changed")}


@dataclass(frozen=True, eq=False)
class GaitSequence:
    """One walker's frames, T of them, in time order.

    Attributes:
        silhouettes: uint8 (T, 64, 64), 0 or 255; the person centred on the mask's mass centre and scaled so that the
            mask fills the height.
        joints: float32 (T, 17, 3); COCO-17 x, y in pixels of the clip, and score in [0, 1].
        heatmaps: uint8 (T, 17, 64, 48), round(255·p) of the joint probabilities in the upright 3:4 box around the
            person grown by 1.25; None if they were not kept.
        timestamps: float64 (T,); seconds since the clip's first video frame, strictly rising.
        boxes: float32 (T, 4); x1, y1, x2, y2 in pixels of the clip, rotation metadata applied.
        quality: quality of the sequence.
        track: number of the tracklet in its clip, from 1, in order of appearance.
        perception: the perception backend with its version, e.g. ``blazepose-full/1``; part of the fingerprint.
        frame_size: (width, height) of the clip in pixels.
    """

    silhouettes: Array
    joints: Array
    heatmaps: Array | None
    timestamps: Array
    boxes: Array
    quality: Quality
    track: int = 1
    perception: str = "unknown"
    frame_size: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        t = len(self.timestamps)
        expected = {
            "silhouettes": (np.uint8, (t, *SILHOUETTE)),
            "joints": (np.float32, (t, 17, 3)),
            "timestamps": (np.float64, (t,)),
            "boxes": (np.float32, (t, 4)),
            "heatmaps": (np.uint8, (t, *HEATMAP)),
        }
        for name, (dtype, shape) in expected.items():
            array = getattr(self, name)
            if name == "heatmaps" and array is None:
                continue
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(f"{name}: {np.dtype(dtype)} {shape} expected, got {array.dtype} {array.shape}")

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return float(self.timestamps[-1] - self.timestamps[0]) if len(self) else 0.0

    def without_heatmaps(self) -> GaitSequence:
        """The same sequence without its heatmaps."""
        return replace(self, heatmaps=None)

    def equals(self, other: GaitSequence) -> bool:
        """True if every array and every field is the same."""
        for f in fields(self):
            a, b = getattr(self, f.name), getattr(other, f.name)
            same = np.array_equal(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else a == b
            if not same:
                return False
        return True

    def save(self, target: str | Path | IO[bytes]) -> None:
        """Write one compact file: a zip of zstd members, silhouettes with one bit per pixel, heatmaps apart."""
        header = {
            "format": FORMAT,
            "frames": len(self),
            "quality": {k: v for k, v in asdict(self.quality).items() if k not in _RARE or v != _RARE[k]},
            "track": self.track,
            "perception": self.perception,
            "frame_size": list(self.frame_size),
            "heatmaps": self.heatmaps is not None,
        }
        members = {
            "silhouettes": np.packbits(self.silhouettes > 127, axis=-1).tobytes(),
            "joints": _planes(self.joints),
            "timestamps": _planes(self.timestamps),
            "boxes": _planes(self.boxes),
        }
        if self.heatmaps is not None:
            members["heatmaps"] = self.heatmaps.tobytes()
        compressor = zstandard.ZstdCompressor(level=10)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            # With a fixed date, equal sequences give equal bytes.
            archive.writestr(zipfile.ZipInfo("header.json"), json.dumps(header, sort_keys=True))
            for name, data in members.items():
                archive.writestr(zipfile.ZipInfo(f"{name}.zst"), compressor.compress(data))

    def to_bytes(self) -> bytes:
        """The file of :meth:`save` as bytes."""
        buffer = io.BytesIO()
        self.save(buffer)
        return buffer.getvalue()

    @classmethod
    def load(cls, source: str | Path | IO[bytes] | bytes, *, heatmaps: bool = True) -> GaitSequence:
        """Read a file of :meth:`save`; ``heatmaps=False`` leaves them out.

        Raises:
            BadSequence: not a sequence file, a newer format, or damaged.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
                header = json.loads(archive.read("header.json"))
                if header["format"] != FORMAT:
                    raise BadSequence(f"Sequence format {header['format']} is not read by this version ({FORMAT} is).")
                t = int(header["frames"])
                if not 0 <= t <= MAX_FRAMES:
                    raise BadSequence(f"A sequence of {t} frames is beyond the limit of {MAX_FRAMES}.")
                packed = np.frombuffer(_member(archive, "silhouettes", t * 64 * 8), np.uint8).reshape(t, 64, 8)
                with_heatmaps = heatmaps and header["heatmaps"]
                return cls(
                    silhouettes=np.unpackbits(packed, axis=-1) * np.uint8(255),
                    joints=_from_planes(_member(archive, "joints", t * 204), np.float32).reshape(t, 17, 3),
                    heatmaps=_heatmaps(archive, t) if with_heatmaps else None,
                    timestamps=_from_planes(_member(archive, "timestamps", t * 8), np.float64),
                    boxes=_from_planes(_member(archive, "boxes", t * 16), np.float32).reshape(t, 4),
                    quality=Quality(**header["quality"]),
                    track=int(header["track"]),
                    perception=str(header["perception"]),
                    frame_size=(int(header["frame_size"][0]), int(header["frame_size"][1])),
                )
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError, zstandard.ZstdError, EOFError) as error:
            raise BadSequence(f"Not a readable gait sequence file: {error}.") from error


def _planes(array: Array) -> bytes:
    """Group bytes of equal significance, which zstd compresses about twice as well as consecutive floats."""
    return array.reshape(-1, 1).view(np.uint8).T.tobytes()


def _from_planes(data: bytes, dtype: type[np.generic]) -> Array:
    width = np.dtype(dtype).itemsize
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(width, -1).T).view(dtype).ravel()


def _member(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """Unpack one member to exactly ``size`` bytes: a false header cannot allocate more."""
    with archive.open(f"{name}.zst") as member, zstandard.ZstdDecompressor().stream_reader(member) as reader:
        data = reader.read(size + 1)
    if len(data) != size:
        raise BadSequence(f"The sequence's {name} have {len(data)} bytes, {size} expected.")
    return data


def _heatmaps(archive: zipfile.ZipFile, frames: int) -> Array:
    data = _member(archive, "heatmaps", frames * int(np.prod(HEATMAP)))
    return np.frombuffer(data, np.uint8).reshape(frames, *HEATMAP)
