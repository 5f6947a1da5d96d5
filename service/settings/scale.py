"""Number of processes in a cluster."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Replicas(BaseModel):
    """A group of equal processes, scaled with the load."""

    model_config = ConfigDict(extra="forbid")

    least: int = Field(1, ge=0, description="Replicas that always run.")
    most: int = Field(4, ge=1, description="Replicas that run under load.")
    batch: int = Field(4, ge=1, description="Calls that one replica takes together.")
    wait: float = Field(0.01, ge=0, description="Seconds that the first call of a batch waits for others.")
    cpus: float = Field(1.0, ge=0, description="Processor cores that one replica reserves.")
    gpus: float | None = Field(
        None, ge=0, description="Share of a GPU that one replica reserves; none means 0.5 where `device` is `cuda`."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError("least is more than most")
        return self

    def reserved(self, device: str) -> dict[str, float]:
        """Resources of each process, as Ray's options for an actor on this device."""
        on_gpu = 0.5 if device == "cuda" else 0.0
        return {"num_cpus": self.cpus, "num_gpus": on_gpu if self.gpus is None else self.gpus}


class Scale(BaseModel):
    """Numbers of processes of `gaitkeeper serve --ray` and `gaitkeeper batch --ray`."""

    model_config = ConfigDict(extra="forbid")

    perception: Replicas = Field(default_factory=Replicas, description="They look at clips.")
    embedding: Replicas = Field(
        default_factory=lambda: Replicas(batch=32, wait=0.005), description="They embed gait sequences."
    )
    searchers: int = Field(2, ge=1, description="Actors that each search a share of every collection.")
