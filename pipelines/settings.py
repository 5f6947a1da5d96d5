"""Settings of the pipeline."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class PipelineSettings(BaseModel):
    """Settings of decoding, perception, tracking and sequence building. Every field has a working default."""

    model_config = ConfigDict(extra="forbid")

    perception: str = Field(
        "blazepose",
        description="Perception backend: `blazepose`, on the CPU, or `yolo`, which is YOLO and a pose network, for a "
        "GPU. A gallery does not move between them.",
    )
    detector: str = Field(
        "yolo26m-seg",
        description="Of the backend `yolo`, what finds and outlines people: a name of `gaitkeeper weights list`, or a "
        "file, `.onnx` or `.pt`.",
    )
    pose: str = Field(
        "vitpose-b",
        description="Of the backend `yolo`, what sees joints: a name of `gaitkeeper weights list`, or an `.onnx` file.",
    )
    batch: int = Field(16, ge=1, le=256, description="Frames of a clip that the backend `yolo` looks at together.")
    tensorrt: bool = Field(
        False,
        description="Run ONNX networks on the GPU by TensorRT, whose engines take minutes to build at the first start.",
    )
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="Where networks run; `cuda` without a GPU is an error, never a fall back."
    )
    threads: int = Field(2, ge=1, description="Threads that look at people side by side.")
    detect_every: float = Field(0.2, gt=0, description="Seconds between two searches of the whole picture for people.")
    max_sequence_frames: int = Field(
        600, ge=30, description="Frames kept of one walker; some twenty gait cycles tell no less than more would."
    )
    min_frames: int = Field(
        15, ge=1, description="Usable frames a sequence needs at 30 Hz, and at a low rate as many as last as long."
    )
    live_window: float = Field(
        1.5, gt=0, description="Seconds of gait that it takes to name somebody in a live stream; told again every half."
    )
    live_longest: float = Field(
        4.0, gt=0, description="Seconds of a live walker's past that are looked at, where there are so many."
    )
    max_pixels: int = Field(4096 * 2304, ge=1, description="Largest picture, in pixels.")
    max_frames: int = Field(100_000, ge=1, description="Most frames read from one clip.")
    max_seconds: float = Field(3600, gt=0, description="Longest clip, in seconds.")
    sandbox: bool = Field(
        True,
        description="Decode in a locked-up process of its own (Linux on x86-64 or aarch64); `0` only for clips that "
        "you trust.",
    )
    nvdec: bool = Field(
        False,
        description="Decode H.264 and HEVC on the GPU's own decoder (package PyNvVideoCodec), fed by the sandbox with "
        "what it took out of the container.",
    )
    max_decode_memory: int = Field(
        2**30, ge=2**26, description="Bytes of memory that decoding one clip may take, in the sandbox."
    )
    max_decode_cpu: float = Field(
        3600, ge=1, description="Seconds of processor time that decoding one clip may take, in the sandbox."
    )
    decode_patience: float = Field(
        30,
        gt=0,
        description="Seconds that a decoder may stand still, or compute, over one picture or a clip's measures; "
        "while it waits for a busy machine, the request's deadline counts.",
    )

    @field_validator("perception")
    @classmethod
    def _known(cls, name: str) -> str:
        from pipelines.perception import BACKENDS  # imported here, because it reads these settings

        if name not in BACKENDS:
            raise ValueError(f"there is no perception backend {name!r}; known are {', '.join(sorted(BACKENDS))}")
        return name

    @model_validator(mode="after")
    def _sandboxed(self) -> Self:
        if self.nvdec and not self.sandbox:
            raise ValueError("nvdec is fed by the sandbox: it needs sandbox")
        return self
