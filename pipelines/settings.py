"""Settings of the pipeline."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class PipelineSettings(BaseModel):
    """Settings of decoding, perception, tracking and sequence building. Every field has a working default."""

    model_config = ConfigDict(extra="forbid")

    perception: str = Field(
        "blazepose",
        description="Perception backend: `blazepose` on the CPU, or `yolo` (YOLO and a pose network) on a GPU. "
        "A gallery cannot change its backend.",
    )
    detector: str = Field(
        "yolo26m-seg",
        description="Detector of the backend `yolo`: a name of `gaitkeeper weights list`, or a file, `.onnx` or `.pt`.",
    )
    pose: str = Field(
        "vitpose-b",
        description="Pose network of the backend `yolo`: a name of `gaitkeeper weights list`, or an `.onnx` file.",
    )
    batch: int = Field(16, ge=1, le=256, description="Frames per batch of the backend `yolo`.")
    tensorrt: bool = Field(
        False,
        description="Run ONNX networks on the GPU by TensorRT. The first start takes minutes to build its engines.",
    )
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="Device for networks. `cuda` without a GPU is an error; there is no fallback."
    )
    threads: int = Field(2, ge=1, description="Number of threads for perception.")
    detect_every: float = Field(0.2, gt=0, description="Seconds between two searches of the whole picture for people.")
    look_rate: float = Field(
        15,
        gt=0,
        description="Looks a second at a walker for whom that is enough: one who is tall in the picture, or of whom "
        "there are 45 usable frames. Two thirds of it from 75 usable frames on. Other walkers are looked at in every "
        "frame. `1000` looks at all of them in every frame.",
    )
    max_sequence_frames: int = Field(
        600, ge=30, description="Maximum frames kept of one walker. More than about twenty gait cycles do not help."
    )
    min_frames: int = Field(
        15,
        ge=1,
        description="Usable frames that a sequence needs at 30 Hz; at a lower rate, the frames of the same duration.",
    )
    live_window: float = Field(
        1.5,
        gt=0,
        description="Seconds of gait needed for a verdict in a live stream. Verdicts are updated after half of that.",
    )
    live_longest: float = Field(4.0, gt=0, description="Maximum seconds of a live walker's past that a verdict uses.")
    max_pixels: int = Field(4096 * 2304, ge=1, description="Maximum pixels of a picture.")
    max_frames: int = Field(100_000, ge=1, description="Maximum frames of a clip.")
    max_seconds: float = Field(3600, gt=0, description="Maximum duration of a clip in seconds.")
    sandbox: bool = Field(
        True,
        description="Decode in a sandboxed process (Linux on x86-64 or aarch64); set `0` only for clips that "
        "you trust.",
    )
    nvdec: bool = Field(
        False,
        description="Decode H.264 and HEVC by the GPU's decoder (package PyNvVideoCodec); the sandbox still "
        "opens the container.",
    )
    max_decode_memory: int = Field(
        2**30, ge=2**26, description="Maximum bytes of memory for decoding one clip in the sandbox."
    )
    max_decode_cpu: float = Field(
        3600, ge=1, description="Maximum seconds of processor time for decoding one clip in the sandbox."
    )
    decode_patience: float = Field(
        30,
        gt=0,
        description="Maximum seconds that a decoder may stall or compute for one picture or a clip's header. "
        "If the machine is busy, the request's deadline applies instead.",
    )

    @field_validator("perception")
    @classmethod
    def _known(cls, name: str) -> str:
        from gaitkeeper.pipelines.perception import BACKENDS  # imported here, because it reads these settings

        if name not in BACKENDS:
            raise ValueError(f"there is no perception backend {name!r}; known are {', '.join(sorted(BACKENDS))}")
        return name

    @model_validator(mode="after")
    def _sandboxed(self) -> Self:
        if self.nvdec and not self.sandbox:
            raise ValueError("nvdec needs sandbox")
        return self
