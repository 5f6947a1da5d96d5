"""How much hardware a load needs: the formulas of docs/scale.md."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field

CODE_BYTES = 1
"""That search keeps of each number of an embedding beside the number itself."""


class Load(BaseModel):
    """What is asked of an installation.

    Attributes:
        cameras: that send clips.
        people: who walk past each, an hour.
        seconds: of the clip that shows one of them.
        templates: enrolled.
        peak: how many times the mean the busiest minutes are.
    """

    cameras: int = Field(ge=1)
    people: float = Field(gt=0)
    seconds: float = Field(default=5.0, gt=0)
    templates: int = Field(ge=0)
    peak: float = Field(default=3.0, ge=1)


class Units(BaseModel):
    """What one unit of work costs.

    Attributes:
        perception: processor seconds for a second of clip with one walker.
        embedding: processor seconds for one walk.
        search: processor seconds for one probe against a billion numbers of embeddings.
        gpu_frames: frames a second that one GPU takes through perception; None where nobody has measured it.
        frame_rate: frames a second of a clip.
        clip: bytes of a second of clip.
        sequence: bytes of a second of gait sequence without heatmaps.
        numbers: of one embedding, parts times dims; those of the network that ships.
        precision: bytes of each in memory, 4 or 2.
        busy: share of a processor that may be used, so that queues stay short.
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
    """What a load needs, at its peak."""

    walks: float = Field(description="Walks a second.")
    perception_cores: int = Field(description="Processor cores that look at clips, where no GPU does.")
    gpus: int | None = Field(description="GPUs that look at clips instead; null where their rate is not measured.")
    embedding_cores: int = Field(description="Processor cores that embed.")
    search_cores: int = Field(description="Processor cores that search.")
    search_bytes: int = Field(description="Memory that the embeddings take in all searchers together.")
    store_bytes: int = Field(description="Of the store, without its journal and replicas.")
    network_bytes: float = Field(description="A second, into the front door and from there to the replicas.")

    def rows(self) -> list[tuple[str, str]]:
        """For people to read."""
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
    """What a load needs.

    Args:
        load: as expected.
        units: costs; those of docs/scale.md where none are given.
    """
    units = units or Units()
    walks = load.cameras * load.people / 3600 * load.peak
    seen = walks * load.seconds  # seconds of clip a second

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
