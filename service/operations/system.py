"""Description of the service: networks and their weights, the machine, and its load."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from gaitkeeper.gallery import DEFAULT_NETWORK
from gaitkeeper.gallery.decision.calibration import Calibration
from gaitkeeper.models import NETWORKS
from gaitkeeper.models.weights import Entry, manifest
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.service import DISTRIBUTION
from gaitkeeper.service.background.jobs import Jobs
from gaitkeeper.service.http.limits import WorkQueue
from gaitkeeper.service.operations.doctor import weights_state
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.schemas import (
    Calibrated,
    Limits,
    Load,
    Model,
    ModelsReply,
    ModelWeights,
    MqttState,
    StoreState,
    SystemReply,
)


def models(calibrations: Mapping[Fingerprint, Calibration]) -> ModelsReply:
    """Every network that a collection can be pinned to, by name.

    Args:
        calibrations: the known calibrations, by fingerprint.
    """
    known = {name: entry for name, entry in manifest().items() if entry.kind == "network"}
    return ModelsReply(
        models=[_model(name, known.get(name), calibrations) for name in sorted({*NETWORKS, *known})],
    )


def _model(name: str, entry: Entry | None, calibrations: Mapping[Fingerprint, Calibration]) -> Model:
    network = NETWORKS.get(name)
    about = (sys.modules[network.__module__].__doc__ or "").partition("\n")[0] if network else ""
    return Model(
        name=name,
        about=about or (entry.about if entry else ""),
        inputs=network.inputs if network else (),
        default=name == DEFAULT_NETWORK,
        trained=entry is not None or name == "gei",
        weights=None
        if entry is None
        else ModelWeights(
            sha256=entry.sha256, licence=entry.licence, about=entry.about, state=weights_state(entry.name)
        ),
        calibrated=[
            Calibrated(
                fingerprint=fingerprint,
                fpirs=[table.fpir for table in calibration.thresholds],
                gallery_sizes=list(calibration.thresholds[0].gallery_sizes),
                fmrs=list(calibration.verification.fmrs) if calibration.verification else [],
            )
            for fingerprint, calibration in calibrations.items()
            if entry is not None and fingerprint.weights == entry.sha256[: len(fingerprint.weights)]
        ],
    )


def system(
    engine: Engine, queue: WorkQueue, jobs: Jobs, *, started: float, locked: bool, mqtt: MqttState | None
) -> SystemReply:
    """The machine and its load.

    Args:
        engine: engine of the service.
        queue: queue of its clips.
        jobs: its jobs.
        started: start time in seconds since 1970.
        locked: whether the service needs keys.
        mqtt: the connection to its broker.
    """
    settings = engine.settings
    promises = engine.store.promises()
    listed = engine.collections().collections
    return SystemReply(
        version=version(DISTRIBUTION),
        torch=torch.__version__,
        device=settings.pipeline.device,
        device_name=torch.cuda.get_device_name() if settings.pipeline.device == "cuda" else None,
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=settings.pipeline.threads,
        network=settings.network or DEFAULT_NETWORK,
        precision=settings.precision,
        perception=settings.pipeline.perception,
        sandbox=settings.pipeline.sandbox,
        locked=locked,
        store=StoreState(
            kind=settings.store.partition("://")[0],
            durable=promises.durable,
            encrypted=promises.encrypted,
            collections=len(listed),
            subjects=sum(one.subjects for one in listed),
            templates=sum(one.templates for one in listed),
        ),
        load=Load(
            clips_pending=queue.pending,
            clips_bound=queue.bound,
            workers=settings.workers,
            jobs_waiting=jobs.waiting(),
            jobs_bound=settings.jobs,
            load_average=os.getloadavg()[0],
            memory_bytes=resident(),
        ),
        limits=Limits(
            max_upload_bytes=settings.max_upload_bytes,
            max_seconds=settings.pipeline.max_seconds,
            async_seconds=settings.async_seconds,
            deadline=settings.deadline,
            rate=settings.rate,
        ),
        mqtt=mqtt,
        started=datetime.fromtimestamp(started, UTC),
        uptime=time.time() - started,
    )


def resident() -> int | None:
    """Memory of this process in bytes; None if the kernel does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
