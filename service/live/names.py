"""The name shown for a track, smoothed so that it does not flicker."""

from __future__ import annotations

from gaitkeeper.gallery.types import Identification, Verdict
from gaitkeeper.service.live.events import Shown

CONFIRM = 2
STALE = 4


class Name:
    """The name of one track.

    A match is shown when two windows in a row name the same subject, whatever was shown before: every window is another
    chance of a false match. "Unknown" is shown at once if no name is shown, and replaces a name after two windows in a
    row. Inconclusive windows change nothing until there are four in a row.
    """

    def __init__(self) -> None:
        self.shown = Shown()
        self._last: tuple[Verdict, str | None] | None = None
        self._times = 0

    def judged(self, person: Identification | None, reason: str | None = None) -> bool:
        """Process the verdict on a window. Returns whether the shown name has changed.

        Args:
            person: the verdict; None if the window was not compared.
            reason: why not.
        """
        verdict = Verdict.INCONCLUSIVE if person is None else person.verdict
        best = person.candidates[0] if person is not None and verdict is Verdict.MATCH else None
        if person is not None and person.reason is not None:
            reason = person.reason.value
        outcome = (verdict, best.subject if best else None)
        self._times = self._times + 1 if outcome == self._last else 1
        self._last = outcome
        before = self.shown
        says = (before.verdict, before.subject)
        if verdict is Verdict.MATCH:
            if self._times >= CONFIRM or outcome == says:
                sure = best and best.confidence
                self.shown = Shown(verdict=verdict, reason=None, subject=best and best.subject, confidence=sure)
            elif before.verdict is Verdict.INCONCLUSIVE:
                self.shown = Shown(reason="unconfirmed")
        elif verdict is Verdict.UNKNOWN:
            if before.verdict is not Verdict.MATCH or self._times >= CONFIRM:
                self.shown = Shown(verdict=verdict, reason=None)
        elif before.verdict is Verdict.INCONCLUSIVE or self._times >= STALE:
            self.shown = Shown(reason=reason)
        return self._differs(before)

    def concluded(self, person: Identification | None, reason: str | None = None) -> bool:
        """Process the verdict on a whole track, at its end. Returns whether the shown name has changed.

        One comparison with all that was seen decides, and needs no second one to confirm it. An inconclusive one only
        replaces what is inconclusive.

        Args:
            person, reason: as of :meth:`judged`.
        """
        before = self.shown
        if person is not None and person.verdict is Verdict.MATCH:
            best = person.candidates[0]
            self.shown = Shown(verdict=Verdict.MATCH, reason=None, subject=best.subject, confidence=best.confidence)
        elif person is not None and person.verdict is Verdict.UNKNOWN:
            self.shown = Shown(verdict=Verdict.UNKNOWN, reason=None)
        elif before.verdict is Verdict.INCONCLUSIVE:
            self.shown = Shown(reason=reason if person is None or person.reason is None else person.reason.value)
        return self._differs(before)

    def _differs(self, before: Shown) -> bool:
        now = self.shown
        return (now.verdict, now.subject, now.reason) != (before.verdict, before.subject, before.reason)

    def withdraw(self) -> bool:
        """Reset, because the track may show another person now. Returns whether the shown name has changed."""
        changed = self.shown.verdict is not Verdict.INCONCLUSIVE
        self.shown = Shown(reason="likeness_changed")
        self._last, self._times = None, 0
        return changed
