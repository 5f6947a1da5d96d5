"""A process that enrols; imported by the tests that run several, or kill them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from gaitkeeper.gallery.errors import NotFound, StoreUnavailable
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject, NewTemplate
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.walk_quality import Quality

SHAPE = (16, 256)


def template_of(number: int) -> NewTemplate:
    """The template of the clip with that number: the same in every process."""
    rng = np.random.default_rng(number)
    return NewTemplate(
        fingerprint=Fingerprint("gaitpart", "0123456789abcdef", "1", "blazepose-full/1"),
        embedding=rng.normal(size=SHAPE).astype(np.float32),
        sequence=rng.bytes(20_000),
        has_heatmaps=False,
        quality=Quality(40, {}, 0.8, 0.9, 0.0, 1.5, 30.0, False),
        track=1,
        start=0.0,
        end=1.3,
        clip_sha256=f"{number:064x}",
    )


def enrol(url: str, numbers: range, acknowledged: Path) -> None:
    """Enrol clip after clip, five a subject, writing each number down once its enrolment has returned.

    As a caller should, it tries again where it was told that the store cannot be reached.
    """
    store = _patiently(lambda: open_store(url))
    _patiently(lambda: store.ensure_collection("default"))
    log = os.open(acknowledged, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for number in numbers:
        template = template_of(number)
        _patiently(
            lambda number=number, template=template: store.enroll("default", NewSubject(f"s{number // 5}"), template)
        )
        os.write(log, f"{number}\n".encode())
    os.close(log)
    store.close()


def merge(url: str, pairs: Iterable[tuple[str, str]], acknowledged: Path, key: bytes) -> None:
    """Merge pair after pair of subjects, writing the other one's id down once its merge has returned.

    It tries again where it was told that the store cannot be reached.
    """
    store = _patiently(lambda: open_store(url, Vault([key])))
    log = os.open(acknowledged, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for subject, other in pairs:
        with suppress(NotFound):  # an attempt that failed may have succeeded
            _patiently(lambda subject=subject, other=other: store.merge("default", subject, other))
        os.write(log, f"{other}\n".encode())
    os.close(log)
    store.close()


def _patiently(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            return what()
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)
