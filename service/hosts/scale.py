"""What is reserved of a cluster."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Reserved(BaseModel):
    """What one process that looks at clips reserves."""

    cpus: float = Field(1.0, ge=0, description="Processor cores that each process on a Ray cluster reserves.")
    gpus: float | None = Field(
        None, ge=0, description="Share of a GPU that each reserves; none means 0.5 where `device` is `cuda`."
    )

    def on(self, device: str) -> dict[str, float]:
        """As Ray's options for a task that works on that device."""
        on_gpu = 0.5 if device == "cuda" else 0.0
        return {"num_cpus": self.cpus, "num_gpus": on_gpu if self.gpus is None else self.gpus}
