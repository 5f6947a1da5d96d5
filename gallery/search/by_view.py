"""In-memory index with separate embeddings per view, so that each search uses the current corrections of the views.

If a template's view has the correction c, the probe is shifted by c and compared with the stored template. So a new
correction changes no stored data, and the search stays exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from gaitkeeper.gallery.search.partwise import Hit, PartwiseIndex
from gaitkeeper.gallery.search.table import digest_order
from gaitkeeper.gallery.views import Corrections, View, centred


class ViewedIndex:
    """As :class:`gaitkeeper.gallery.search.partwise.PartwiseIndex`, for templates that each have a view or None.

    ``corrections`` are subtracted from the embeddings of each view, (P, C). Probes must be corrected already.

    Args:
        parts, dims, device, precision: as there.
    """

    def __init__(self, parts: int, dims: int, device: str, precision: str) -> None:
        self.shape = (parts, dims)
        self._device, self._precision = device, precision
        self._of: dict[View | None, PartwiseIndex] = {}
        self._views: dict[str, View | None] = {}
        self._owners: dict[str, str] = {}
        self._sizes: Counter[str] = Counter()  # templates, by subject

    def __len__(self) -> int:
        """Number of templates."""
        return len(self._views)

    def __contains__(self, template: str) -> bool:
        return template in self._views

    def owner(self, template: str) -> str | None:
        """The subject of a template; None if there is no such template."""
        return self._owners.get(template)

    def add(
        self, templates: Sequence[str], subjects: Sequence[str], embeddings: Tensor, views: Sequence[View | None]
    ) -> None:
        """Add n templates; as :meth:`gaitkeeper.gallery.search.partwise.PartwiseIndex.add`."""
        self._owners.update(zip(templates, subjects, strict=True))
        self._sizes.update(subjects)
        for view in dict.fromkeys(views):
            rows = [i for i, own in enumerate(views) if own == view]
            if view not in self._of:
                self._of[view] = PartwiseIndex(*self.shape, self._device, self._precision)
            some = [templates[i] for i in rows]
            self._of[view].add(some, [subjects[i] for i in rows], embeddings[rows])
            self._views.update(dict.fromkeys(some, view))

    def annotate(self, template: str, metadata: Mapping[str, str], expiry: float) -> None:
        """As :meth:`gaitkeeper.gallery.search.partwise.PartwiseIndex.annotate`."""
        self._of[self._views[template]].annotate(template, metadata, expiry)

    def remove(self, template: str) -> None:
        """Remove one template. Raises KeyError if it does not exist."""
        view = self._views.pop(template)
        owner = self._owners.pop(template)
        self._sizes[owner] -= 1
        if not self._sizes[owner]:
            del self._sizes[owner]
        self._of[view].remove(template)
        if not len(self._of[view]):
            del self._of[view]

    def search(
        self, probes: Tensor, k: int, where: Mapping[str, str] | None, corrections: Corrections
    ) -> tuple[list[list[Hit]], int]:
        """As :meth:`gaitkeeper.gallery.search.partwise.PartwiseIndex.search`, over all views."""
        found: list[list[Hit]] = [[] for _ in probes]
        size = 0
        for view, index in self._of.items():
            # A subject outside the k nearest of every view is outside the k nearest overall.
            hits, some = index.search(_shifted(probes, view, corrections), k, where)
            found = [known + new for known, new in zip(found, hits, strict=True)]
            size += some
        return [nearest(hits, k) for hits in found], size

    def nearest_of(self, subject: str, probe: Tensor, corrections: Corrections) -> Hit | None:
        """As :meth:`gaitkeeper.gallery.search.partwise.PartwiseIndex.nearest_of`, over all views."""
        hits = [index.nearest_of(subject, _shifted(probe, view, corrections)) for view, index in self._of.items()]
        first = nearest([hit for hit in hits if hit is not None], 1)
        return first[0] if first else None

    def embeddings(self, templates: Sequence[str], corrections: Corrections) -> Tensor:
        """The corrected embeddings of templates, float32 (m, P, C). Raises KeyError."""
        if not templates:
            return torch.zeros(0, *self.shape)
        found = [self._of[self._views[template]].embeddings([template])[0] for template in templates]
        return self.corrected(templates, torch.stack(found), corrections)

    def corrected(self, templates: Sequence[str], embeddings: Tensor, corrections: Corrections) -> Tensor:
        """Subtract the corrections of their views from stored embeddings of templates (m, P, C). Raises KeyError."""
        return centred(embeddings, [self._views[template] for template in templates], corrections)

    def cohort(self, people: int, each: int = 1) -> dict[str, list[str]]:
        """As :meth:`gaitkeeper.gallery.search.partwise.PartwiseIndex.cohort`, over all views."""
        found: dict[str, list[str]] = {}
        for index in self._of.values():
            for subject, templates in index.cohort(people, each).items():
                found[subject] = sorted([*found.get(subject, []), *templates])[:each]
        return {subject: found[subject] for subject in sorted(found, key=digest_order)[:people]}

    def subjects(self) -> int:
        """Number of subjects."""
        return len(self._sizes)


def _shifted(probes: Tensor, view: View | None, corrections: Corrections) -> Tensor:
    return probes if view is None or view not in corrections else probes + corrections[view].to(probes.device)


def nearest(hits: Iterable[Hit], k: int) -> list[Hit]:
    """The best hit of each subject, the ``k`` nearest of them by distance, then by id."""
    best: dict[str, Hit] = {}
    for hit in hits:
        known = best.get(hit.subject)
        if known is None or (hit.distance, hit.template) < (known.distance, known.template):
            best[hit.subject] = hit
    return sorted(best.values(), key=lambda hit: (hit.distance, hit.subject))[:k]
