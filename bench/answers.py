"""The cost of units: a gallery's answers with and without them, for ``python -m bench.search``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import numpy as np
from torch import Tensor

from gaitkeeper import models
from gaitkeeper.gallery.decision.calibration import PER_SUBJECT, Calibration, ConfidenceMap, FpirThresholds, InUnits
from gaitkeeper.gallery.decision.verdict import QualityGates
from gaitkeeper.gallery.identification.answers import Answers
from gaitkeeper.gallery.identification.passers import PassersBy
from gaitkeeper.gallery.search.index import CollectionIndex
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import Change, Changes, Digest
from gaitkeeper.gallery.types import Identification
from gaitkeeper.pipelines.fingerprint import Fingerprint, fingerprint_of
from gaitkeeper.training.datasets.sample import Inputs

COLLECTION, PERCEPTION = "default", "drawn"
PLAIN, UNITS = "plain", "units"
RATE = 0.01
Sampler = Callable[[int, int], Tensor]
"""Gives embeddings, float32 (n, P, C), for a number and a seed."""


class Drawn:
    """A source of changes for an index: templates with random embeddings, four per subject."""

    def __init__(self, count: int, fingerprint: Fingerprint, sample: Sampler) -> None:
        self.count, self._fingerprint, self._sample = count, fingerprint, sample

    def changes(self, collection: str, after: str = "", limit: int = 1000) -> Changes:
        """As :meth:`gaitkeeper.gallery.stores.protocol.Feed.changes`."""
        start = int(after or 0)
        stop = min(self.count, start + limit)
        embeddings = self._sample(stop - start, start + 1).numpy()
        return Changes(
            tuple(
                Change(f"t{number:07}", f"s{number // PER_SUBJECT:07}", self._fingerprint, embedding)
                for number, embedding in enumerate(embeddings, start)
            ),
            str(stop),
        )

    def digest(self, collection: str) -> Digest:
        """As :meth:`gaitkeeper.gallery.stores.protocol.Feed.digest`, but empty: it only gives the key of the leaves."""
        return Digest(0, bytes(32))


@contextmanager
def answering(
    templates: int, batch: int, top_k: int, sample: Sampler
) -> Iterator[dict[str, Callable[[], list[Identification]]]]:
    """Tasks that identify one probe, a batch, and one probe after each enrolment, with plain distances and with units.

    The embeddings exist already, and all tasks search one full index, so the difference is the cost of units.
    """
    network = models.build("gei")
    fingerprint = fingerprint_of(network, PERCEPTION)
    drawn = Drawn(templates, fingerprint, sample)
    index = CollectionIndex(drawn, COLLECTION)
    probes = sample(batch, 0)
    walk = Inputs(silhouettes=np.zeros((30, 64, 64), np.uint8), perception=PERCEPTION).sequence(network.inputs)
    with tempfile.TemporaryDirectory() as folder, closing(open_store(f"sqlite:///{folder}/no-passers-by.db")) as store:
        store.ensure_collection(COLLECTION)
        passers = PassersBy(store, COLLECTION)

        def identify(name: str, in_units: bool) -> dict[str, Callable[[], list[Identification]]]:
            known = {fingerprint: _calibration(fingerprint, in_units)}
            answers = Answers(COLLECTION, index, passers, known, QualityGates(), lambda seqs, _: probes[: len(seqs)])

            def after_an_enrolment() -> list[Identification]:
                drawn.count += 1
                return answers.identify(network, [walk], top_k, RATE, None)

            return {
                f"one, {name}": lambda: answers.identify(network, [walk], top_k, RATE, None),
                f"batch, {name}": lambda: answers.identify(network, [walk] * batch, top_k, RATE, None),
                f"after an enrolment, {name}": after_an_enrolment,
            }

        tasks = identify(PLAIN, False) | identify(UNITS, True)
        tasks[f"one, {UNITS}"]()
        yield tasks


def _calibration(fingerprint: Fingerprint, in_units: bool) -> Calibration:
    thresholds = (FpirThresholds(fpir=RATE, gallery_sizes=(1,), distances=(0.5,)),)
    confidence = ConfidenceMap(distances=(0.5,), confidences=(0.5,))
    known = InUnits(thresholds=thresholds, confidence=confidence)
    return Calibration(
        fingerprint=fingerprint,
        thresholds=thresholds,
        confidence=confidence,
        collection=known if in_units else None,
    )
