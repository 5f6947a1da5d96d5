"""Hardware needed for a load, with the formulas of docs/scale.md."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field

CODE_BYTES = 1
"""Bytes that the search index adds for each number of an embedding."""


class Load(BaseModel):
    """The expected load of an installation.

    Attributes:
        cameras: number of cameras that send clips.
        people: people per hour and camera.
        seconds: length of the clip of one person.
        templates: number of enrolled templates.
        peak: ratio of the peak load to the mean load.
    """

    cameras: int = Field(ge=1)
    people: float = Field(gt=0)
    seconds: float = Field(default=5.0, gt=0)
    templates: int = Field(ge=0)
    peak: float = Field(default=3.0, ge=1)


class Units(BaseModel):
    """Costs per unit of work.

    Attributes:
        perception: CPU seconds per second of clip with one walker.
        embedding: CPU seconds per walk.
        search: CPU seconds per probe and billion numbers of embeddings.
        gpu_frames: frames per second of perception on one GPU; None if not measured.
        frame_rate: frames per second of a clip.
        clip: bytes per second of clip.
        sequence: bytes per second of gait sequence without heatmaps.
        numbers: numbers per embedding, parts times dims; by default of the network that ships.
        precision: bytes per number in memory, 4 or 2.
        busy: maximum CPU utilisation that keeps queues short.
    """

    perception: float = 1.76
    embedding: float = 0.24
    search: float = 0.176
    gpu_frames: float | None = None
    frame_rate: float = 30.0
    clip: float = 250_000.0
    sequence: float = 7_400.0
    numbers: int = 56 * 64
    precision: int = 4
    busy: float = 0.6


class Size(BaseModel):
    """Hardware needed at the peak of a load."""

    walks: float = Field(description="Walks a second.")
    perception_cores: int = Field(description="Processor cores that look at clips, where no GPU does.")
    gpus: int | None = Field(description="GPUs that look at clips instead; null where their rate is not measured.")
    embedding_cores: int = Field(description="Processor cores that embed.")
    search_cores: int = Field(description="Processor cores that search.")
    search_bytes: int = Field(description="Memory that the embeddings take in all searchers together.")
    store_bytes: int = Field(description="Of the store, without its journal and replicas.")
    network_bytes: float = Field(description="A second, into the front door and from there to the replicas.")

    def rows(self) -> list[tuple[str, str]]:
        """Human-readable text."""
        return [
            ("walks a second", f"{self.walks:.1f}"),
            ("cores for perception", str(self.perception_cores)),
            ("or GPUs for perception", "not measured" if self.gpus is None else str(self.gpus)),
            ("cores for embedding", str(self.embedding_cores)),
            ("cores for search", str(self.search_cores)),
            ("memory of all searchers", f"{self.search_bytes / 1e9:.1f} GB"),
            ("store", f"{self.store_bytes / 1e9:.1f} GB"),
            ("network", f"{self.network_bytes / 1e6:.1f} MB/s"),
        ]


def size(load: Load, units: Units | None = None) -> Size:
    """Compute the hardware needed for a load.

    Args:
        load: the expected load.
        units: costs; by default those of docs/scale.md.
    """
    units = units or Units()
    walks = load.cameras * load.people / 3600 * load.peak
    seen = walks * load.seconds  # seconds of clip per second

    def cores(spent: float) -> int:
        return math.ceil(spent / units.busy)

    return Size(
        walks=walks,
        perception_cores=cores(seen * units.perception),
        gpus=None if units.gpu_frames is None else cores(seen * units.frame_rate / units.gpu_frames),
        embedding_cores=cores(walks * units.embedding),
        search_cores=cores(walks * units.search * load.templates * units.numbers / 1e9),
        search_bytes=load.templates * units.numbers * (units.precision + CODE_BYTES),
        store_bytes=round(load.templates * (4 * units.numbers + load.seconds * units.sequence)),
        network_bytes=2 * seen * units.clip,
    )
