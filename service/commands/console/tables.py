"""Replies as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Column, Table

from gaitkeeper.gallery.types import (
    AuditEntry,
    Collection,
    Explanation,
    Identification,
    Outlier,
    OutlierReason,
    PartImpostors,
    Subject,
    Template,
    Verdict,
    Verification,
    ViewStatistics,
)
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.service.schemas import Clip, Kept, Skipped, TrackChoice, WalkerSeen

if TYPE_CHECKING:
    from gaitkeeper.gallery.types import StrangerGroup
    from gaitkeeper.gallery.types.pairs import Double
    from gaitkeeper.models.weights import Entry
    from gaitkeeper.service.auth.keys import Key
    from gaitkeeper.service.operations.doctor import Check

BLOCKS = "▁▂▃▄▅▆▇█"
COLOURS = {Verdict.MATCH: "green", Verdict.UNKNOWN: "yellow", Verdict.INCONCLUSIVE: "cyan"}


def plain(text: str) -> str:
    """Escape text from outside, so that square brackets are not read as markup."""
    return escape(text)


def folding(*columns: str | Column, box: Box | None = SIMPLE_HEAD, show_header: bool = True) -> Table:
    """A table that wraps its cells on narrow terminals, so that no number is cut."""
    given = (one if isinstance(one, Column) else Column(one) for one in columns)
    return Table(*(replace(one, overflow="fold") for one in given), box=box, show_header=show_header)


def people(found: Iterable[Identification]) -> Group:
    """One table of candidates per walker, nearest first."""
    return Group(*(person(walker) for walker in found))


def person(found: Identification, truth: str | None = None) -> Group:
    """One walker's ranked candidates.

    Args:
        found: the gallery's answer.
        truth: the true subject, if known. This candidate is marked.
    """
    verdict = f"[{COLOURS[found.verdict]}]{found.verdict}[/]" + (f" ({found.reason})" if found.reason else "")
    again = "" if found.same_as is None else f", the same person as track {found.same_as}"
    title = (
        f"track {found.track}: {found.start:.1f} to {found.end:.1f} s, {found.quality.frames} frames: {verdict}{again}"
    )
    table = folding("rank", "subject", "distance", "confidence")
    for candidate in found.candidates:
        confidence = "–" if candidate.confidence is None else f"{candidate.confidence:.2f}"
        name = plain(candidate.subject) + (" [green]✓[/]" if candidate.subject == truth else "")
        table.add_row(str(candidate.rank), name, f"{candidate.distance:.3f}", confidence)
    if not found.candidates:
        table.add_row("", "nobody is enrolled", "", "")
    limit = found.threshold
    told = [] if limit.value is None else [f"threshold {limit.value:.3f} (FPIR {limit.fpir:g}, {limit.basis})"]
    return Group(title, table, *told, *([explanation(found.explanation)] if found.explanation else []))


def explanation(found: Explanation) -> Group:
    """One mark per part of each candidate. A higher mark means that more pairs of different people are as near in this
    part.
    """
    known = found.source is not None
    title = (
        f"part by part, low and green speaks for, high and red against ({found.pairs} pairs, {found.source})"
        if known
        else "part by part, as distances: too few people are known to say what is near"
    )
    table = folding("subject", _order(found.parts))
    for candidate in found.candidates:
        shares = candidate.impostor_shares
        farthest = max(candidate.distances) or 1.0
        marks = (
            "".join(_mark(distance / farthest, None) for distance in candidate.distances)
            if shares is None
            else "".join(_mark(share, share) for share in shares)
        )
        table.add_row(plain(candidate.subject), marks)
    return Group(title, table)


def _order(parts: Sequence[PartImpostors]) -> str:
    """Label of the axis along which the marks are arranged."""
    tops = [part.top for part in parts if part.top is not None]
    if not tops or any(part.top is None for part in parts[: len(tops)]):
        return f"parts 1 to {len(parts)}"
    rounds = 1 + sum(below <= above for above, below in pairwise(tops))
    often = "" if rounds == 1 else f", {rounds} times"
    rest = len(parts) - len(tops)
    return f"head → feet{often}" + (f", then {rest} without a place" if rest else "")


def _mark(height: float, share: float | None) -> str:
    block = BLOCKS[min(int(height * len(BLOCKS)), len(BLOCKS) - 1)]
    colour = None if share is None else "green" if share <= 0.05 else "red" if share > 0.5 else "yellow"
    return block if colour is None else f"[{colour}]{block}[/]"


def audit(entries: Iterable[AuditEntry]) -> Table:
    """The log of a collection, oldest first. Subjects are shown by the first digits of their digest."""
    table = folding("time", "who", "what", "subject", Column("templates", justify="right"))
    for entry in entries:
        when = entry.at.astimezone(UTC).isoformat(" ", "seconds")
        table.add_row(when, plain(entry.actor), entry.action, (entry.subject or "")[:12], str(entry.templates))
    return table


def verification(found: Verification) -> str:
    """The result of a verification, in one line: verdict, distance, threshold with its rate and basis, confidence."""
    verdict = f"[{COLOURS[found.verdict]}]{found.verdict}[/]" + (f" ({found.reason})" if found.reason else "")
    distance = "" if found.distance is None else f", distance {found.distance:.3f}"
    limit = found.threshold
    threshold = "" if limit.value is None else f" of at most {limit.value:.3f} (FMR {limit.fmr:g}, {limit.basis})"
    confidence = "" if found.confidence is None else f", confidence {found.confidence:.2f}"
    return f"{plain(found.subject)}: {verdict}{distance}{threshold}{confidence}"


def outlier(found: Outlier) -> str:
    """The problem with an outlier template, in one line."""
    if found.reason is OutlierReason.NEARER_TO_OTHER:
        why = f"nearer to {plain(str(found.other_subject))}, {found.other_distance:.3f}, than to its own"
    else:
        why = "far from its own"
    return f"[yellow]outlier {found.template[:8]}[/]: {why}, the nearest of which is {found.own_distance:.3f} away"


def cameras(views: Sequence[ViewStatistics]) -> Table:
    """Table of cameras."""
    table = folding("camera", "heading", Column("walks", justify="right"))
    for view in views:
        table.add_row(view.camera, view.heading, str(view.walks))
    return table


def collections(listed: Iterable[Collection]) -> Table:
    """The collections."""
    table = folding("collection", "subjects", "templates", "fingerprint", "other fingerprint")
    for item in listed:
        other = "" if item.shadow is None else f"{item.shadow.fingerprint} ({item.shadow.missing} missing)"
        table.add_row(item.name, str(item.subjects), str(item.templates), str(item.fingerprint or "–"), other)
    return table


def notes(console: Console, fingerprint: Fingerprint, trained: bool, skipped: Sequence[Skipped]) -> None:
    """Notes to a ranking."""
    console.print(f"network {fingerprint.network}, fingerprint {fingerprint}", style="dim", soft_wrap=True)
    if not trained:
        console.print(
            "This network is untrained: its weights are random, and the ranking means little.", style="yellow"
        )
    skipped_ones(console, skipped)


def walkers(seen: Iterable[TrackChoice]) -> Table:
    """Table of the walkers in a clip."""
    table = folding(
        "track",
        "seconds",
        "frames",
        "left out",
        "rate",
        "gait cycles",
        "joint score",
        "mask stability",
    )
    for walker in seen:
        quality = walker.quality
        table.add_row(
            str(walker.track),
            f"{walker.start:.1f}–{walker.end:.1f}",
            str(quality.frames),
            ", ".join(f"{count} {reason}" for reason, count in quality.skipped.items()),
            f"{quality.rate_hz:.0f} Hz",
            f"{quality.gait_cycles:.1f}",
            f"{quality.mean_joint_score:.2f}",
            f"{quality.mask_stability:.2f}",
        )
    return table


def unfit(console: Console, seen: Iterable[WalkerSeen]) -> None:
    """One line per walker who is another's return, or who cannot be enrolled."""
    for walker in seen:
        if walker.same_as is not None:
            console.print(f"track {walker.track} seems to be the same person as track {walker.same_as}", style="dim")
        if walker.unfit is not None:
            told = f"track {walker.track} cannot be enrolled: {walker.unfit.detail} [{walker.unfit.code}]"
            console.print(told, style="yellow", markup=False, soft_wrap=True)


def kept(console: Console, reply: Kept) -> None:
    """The handle under which a clip's walkers are kept, and until when."""
    if reply.handle is not None and reply.expires is not None:
        until = reply.expires.astimezone(UTC).isoformat(" ", "seconds")
        console.print(f"handle {reply.handle}, kept until {until}", markup=False, highlight=False, soft_wrap=True)


def repaired(console: Console, clip: Clip) -> None:
    """One line per kind of corrected timestamps."""
    from gaitkeeper.pipelines.timing import REPAIRS  # imports numpy, which most tables do without

    for kind, count in clip.repaired.items():
        console.print(f"repaired {kind}, {count}: {REPAIRS.get(kind, '')}", style="dim", markup=False)


def skipped_ones(console: Console, skipped: Iterable[Skipped]) -> None:
    """One line per person who was seen and cannot be identified."""
    for tracklet in skipped:
        console.print(
            f"skipped track {tracklet.track}, {tracklet.start:.1f} to {tracklet.end:.1f} s: {tracklet.reason} "
            f"({tracklet.usable} of {tracklet.frames} frames usable)",
            style="dim",
        )


def doubles(found: Sequence[Double]) -> Table:
    """Pairs of subjects who are likely the same person."""
    table = folding("subject", "other", "distance", "threshold", "confidence")
    for one in found:
        confidence = "–" if one.confidence is None else f"{one.confidence:.2f}"
        limit = "–" if one.threshold.value is None else f"{one.threshold.value:.3f}"
        table.add_row(plain(one.subject), plain(one.other), f"{one.distance:.3f}", limit, confidence)
    return table


def subjects(listed: Iterable[Subject]) -> Table:
    """Table of the enrolled people. A column is shown if any of them has a value for it."""
    people = list(listed)
    columns: dict[str, Callable[[Subject], str]] = {
        "subject": lambda one: one.subject,
        "name": lambda one: one.display_name or "",
        "templates": lambda one: str(one.templates),
        "enrolled": lambda one: f"{one.created:%Y-%m-%d %H:%M} UTC",
        "metadata": lambda one: ", ".join(f"{key}={value}" for key, value in one.metadata.items()),
        "legal basis": lambda one: one.legal_basis or "",
    }
    always = ("subject", "templates", "enrolled")
    shown = {name: told for name, told in columns.items() if name in always or any(map(told, people))}
    table = folding(*shown)
    for subject in people:
        table.add_row(*(plain(told(subject)) for told in shown.values()))
    return table


def strangers(groups: Iterable[StrangerGroup]) -> Table:
    """Table of groups of unknown walkers."""
    table = folding("group", "walks", "first seen", "last seen", "spread")
    for group in groups:
        first, last = (moment.astimezone(UTC) for moment in (group.first_seen, group.last_seen))
        table.add_row(
            group.id,
            str(len(group.strangers)),
            f"{first:%Y-%m-%d %H:%M} UTC",
            f"{last:%Y-%m-%d %H:%M} UTC",
            f"{group.spread:.3f}",
        )
    return table


def templates(listed: Iterable[Template]) -> Table:
    """One person's templates."""
    table = folding("template", "enrolled", "clip", "track", "seconds", "frames")
    for item in listed:
        table.add_row(
            item.id[:8],
            f"{item.created:%Y-%m-%d %H:%M}",
            (item.clip_sha256 or "–")[:8],
            str(item.track),
            f"{item.start:.1f}–{item.end:.1f}",
            str(item.quality.frames),
        )
    return table


def weights(entries: Iterable[Entry], states: Mapping[str, str]) -> Table:
    """Table of the known weights."""
    table = folding("name", "kind", "state", "licence", "about")
    for entry in entries:
        colour = "green" if states[entry.name] == "present" else "yellow"
        table.add_row(entry.name, entry.kind, f"[{colour}]{states[entry.name]}[/]", entry.licence, entry.about)
    return table


def keys(listed: Iterable[Key]) -> Table:
    """The API keys."""
    table = folding("id", "name", "scopes", "collections", "made", "")
    for key in listed:
        where = ", ".join(key.collections) if key.collections else "every"
        table.add_row(
            key.id,
            plain(key.name),
            ", ".join(key.scopes),
            where,
            f"{key.created:%Y-%m-%d %H:%M} UTC",
            "[red]revoked[/]" if key.revoked else "",
        )
    return table


def checks(made: Iterable[Check]) -> Table:
    """Table of the doctor's findings."""
    table = folding("", "check", "finding", show_header=False, box=None)
    for check in made:
        table.add_row("[green]ok[/]" if check.ok else "[red]wrong[/]", check.name, plain(check.finding))
    return table
