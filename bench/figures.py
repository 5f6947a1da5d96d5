"""Extract the figures of each bench's JSON for the page, and compare two runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Section = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: unique name in a report, ``section/what``; the section is the name of the JSON file.
        label: text for the page.
        value: value in ``unit``.
        unit: "s", "ms", "MB", "×", "/s" and others.
        better: direction of improvement.
        relative: True if it was measured against a baseline in the same run, so that it can be compared between
            machines.
        bar: limit that it should keep, or None.
    """

    name: str
    label: str
    value: float
    unit: str
    better: Literal["lower", "higher"]
    relative: bool = False
    bar: float | None = None

    @property
    def section(self) -> str:
        """The name of its JSON file."""
        return self.name.partition("/")[0]

    @property
    def held(self) -> bool | None:
        """True if it keeps its limit; None without a limit."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.better == "lower" else self.value >= self.bar


def lower(name: str, label: str, value: float, unit: str, bar: float | None = None, relative: bool = False) -> Figure:
    """A figure for which less is better."""
    return Figure(name, label, float(value), unit, "lower", relative, bar)


def ratio(name: str, label: str, value: float, better: Literal["lower", "higher"], bar: float | None = None) -> Figure:
    """A figure against a baseline of the same run."""
    return Figure(name, label, float(value), "×", better, True, bar)


def networks(found: Section) -> Iterator[Figure]:
    """Milliseconds in the default precision, and the speed-up over the plain networks."""
    mode = found["default_precision"]
    for row in found["inference"]:
        what, key = f"{row['network']}, batch of {row['batch']}", f"networks/{row['network']}/{row['batch']}"
        yield ratio(
            f"{key}/faster", f"{what}: {mode} over plain", row[f"{mode}_times_faster"], "higher", found["target"]
        )
        yield lower(f"{key}/ms", f"{what}: {mode}", row["ms"][mode], "ms")
    step = found["training_step"]
    best = max(step["fp32_times_faster"], step["bf16_times_faster"])
    yield ratio("networks/training", "a training step of GaitPart over plain", best, "higher", step["target"])


def pipeline(found: Section) -> Iterator[Figure]:
    """Time to gait sequences in durations of the clip, and against decoding alone."""
    for row in found["clips"]:
        key = f"pipeline/{row['clip']}"
        yield lower(f"{key}/ratio", f"{row['clip']}: in its own durations", row["ratio"], "×", row["target"])
        decode = row["total_over_decode_alone"]
        yield ratio(f"{key}/decode", f"{row['clip']}: over decoding alone", decode, "lower")
        each = row["ms_per_person_and_frame"]
        yield lower(f"{key}/person", f"{row['clip']}: perception of one person in one frame", each, "ms")


def search(found: Section) -> Iterator[Figure]:
    """Search time relative to reading the embeddings once, and to faiss."""
    bars, size = found["targets"], f"{found['templates']:,} templates"
    ratios: tuple[tuple[str, str, Literal["lower", "higher"]], ...] = (
        ("single_over_floor", "one probe over reading the embeddings once", "lower"),
        ("single_over_faiss", "one probe over faiss flat L2", "lower"),
        ("batch_speedup", "64 probes at once, probes a second over one by one", "higher"),
    )
    for name, label, better in ratios:
        yield ratio(f"search/{name}", f"{size}: {label}", found[name], better, bars[name])
    for kind, value in found["answers"]["units_over_plain"].items():
        name = f"search/units-{kind.replace(' ', '-')}"
        yield ratio(name, f"{size}: {kind}, in units over plain", value, "lower", found["answers"]["target"])
    yield lower("search/single", f"{size}: one probe", 1e3 * found["seconds"]["single"], "ms")
    yield lower("search/batch", f"{size}: 64 probes", 1e3 * found["seconds"]["batch"], "ms")


def service(found: Section) -> Iterator[Figure]:
    """Latency of a lone request, and the maximum load."""
    yield lower("service/alone", "one request at a time", 1e3 * found["alone_s"], "ms")
    yield ratio("service/alone_over_plain", "the same over no service at all", found["alone_over_plain"], "lower")
    yield Figure("service/most", "most answered in a second", found["most_per_s"], "/s", "higher")
    yield ratio(
        "service/most_over_plain", "the same over one process without a service", found["most_over_plain"], "higher"
    )
    yield Figure("service/knee", "knee, offered requests a second", found["knee_per_s"] or 0.0, "/s", "higher")


def hosts(found: Section) -> Iterator[Figure]:
    """Clips per second through Ray Serve and in one process without it, and the cost of a clip and a walk."""
    rates, unit = found["clips_per_second"], found["units"]
    for number in (1, 2):
        name = f"replicas_{number}"
        label = f"clips a second through Ray Serve, replicas of perception: {number}"
        yield Figure(f"hosts/{name}", label, rates[name], "/s", "higher")
        over = rates[name] / rates[f"threads_{number}"]
        label = f"the same over one process without Ray, threads: {number}"
        yield ratio(f"hosts/{name}_over_plain", label, over, "higher")
    clip = unit["perception_core_seconds_per_clip_second"]
    yield lower("hosts/clip", "processor time of a second of clip", clip, "s")
    walk = 1e3 * unit["embedding_core_seconds_per_walk"]
    yield lower("hosts/walk", f"processor time of embedding a walk of {unit['frames_per_walk']} frames", walk, "ms")


def memory(found: Section) -> Iterator[Figure]:
    """Memory at rest and at its peak."""
    yield lower("memory/ready", "the service when ready", found["ready_mb"], "MB")
    yield lower("memory/peak", "at the peak, a minute of 1080p", found["peak_mb"], "MB", found["target_mb"])


def cold_start(found: Section) -> Iterator[Figure]:
    """Times from the start of the process."""
    yield lower("cold_start/ready", "until /readyz says yes", found["ready_s"], "s")
    yield lower("cold_start/first", "until a clip is answered", found["first_answer_s"], "s")
    over = found["ready_over_import_torch"]
    yield ratio("cold_start/plain", "until /readyz, over importing torch", over, "lower")


def gpu(found: Section) -> Iterator[Figure]:
    """GPU figures, and each stage relative to its lower bound; empty after a run with ``--small``."""
    if not found["measured"]:
        return
    for name, one in found["claims"].items():
        if isinstance(one, Mapping) and isinstance(one["measured"], float):
            unit = "frames/s" if name == "frames" else "sequences/s"
            yield Figure(f"gpu/{name}", f"{name}, sustained", one["measured"], unit, "higher", False, one["target"])
    for pose, rows in found["stages"].items():
        for row in rows:
            if row["times_floor"] is not None:
                label = f"{row['stage']} beside {pose}: over its floor ({row['floor_of']})"
                yield ratio(f"gpu/{pose}/{row['stage']}", label, row["times_floor"], "lower")
    yield ratio(
        "gpu/search", "search over reading its codes once", found["search"]["ms"] / found["search"]["floor_ms"], "lower"
    )


def live(found: Section) -> Iterator[Figure]:
    """The worst run of each codec."""
    for codec in sorted({run["codec"] for run in found["runs"]}):
        runs = [run for run in found["runs"] if run["codec"] == codec]
        for name, label in (("first_box_s", "to the first box"), ("first_verdict_s", "to the first verdict")):
            seen = [run[name] for run in runs if run[name] is not None]
            if seen:
                yield lower(f"live/{codec}/{name}", f"{codec}: {label}, worst run", max(seen), "s", found["bars"][name])
        late = max(run["latency_p95_s"] for run in runs)
        yield lower(f"live/{codec}/p95", f"{codec}: from frame to box, 95 %, worst run", 1e3 * late, "ms")


def load(found: Section) -> Iterator[Figure]:
    """Growth of the service under uploads."""
    crowd, large = found["crowd"], found["large"]
    yield lower(
        "load/crowd", f"{crowd['clients']} uploads at once: growth", crowd["growth_mb"], "MB", crowd["bound_mb"]
    )
    yield lower("load/large", "a body that is too large: growth", large["growth_mb"], "MB", large["bound_mb"])


def soak(found: Section) -> Iterator[Figure]:
    """Growth by identification."""
    label = f"growth for each of {found['identifications']} identifications"
    yield lower("soak/slope", label, found["slope_kb"], "kB", found["most_kb"])


def migration(found: Section) -> Iterator[Figure]:
    """Moving to another network and back."""
    key, size = f"migration-{found['store']}", f"{found['templates']:,} templates, {found['store']}"
    yield lower(f"{key}/move", f"{size}: moved", found["migration_s"], "s")
    yield lower(f"{key}/back", f"{size}: moved back", found["rollback_s"], "s", found["rollback_target_s"])
    yield lower(f"{key}/mixed", f"{size}: answers of both networks at once", found["mixed"], "", 0)


def quartet(found: Section) -> Iterator[Figure]:
    """People found."""
    yield Figure("quartet/rank_1", "four real people, seen from behind: found first", found["rank_1"], "of 4", "higher")


TAKE: dict[str, Callable[[Section], Iterator[Figure]]] = {
    "networks": networks,
    "pipeline": pipeline,
    "search": search,
    "service": service,
    "hosts": hosts,
    "memory": memory,
    "cold_start": cold_start,
    "gpu": gpu,
    "live": live,
    "load": load,
    "soak": soak,
    "migration-sqlite": migration,
    "migration-redis": migration,
    "quartet": quartet,
}
"""Extractors by name of the JSON file. Other results are shown but not compared."""


@dataclass(frozen=True)
class Change:
    """A figure in two runs.

    Attributes:
        figure: the new figure.
        old: the old value.
        worse: relative change for the worse, 0.1 for a tenth; negative if it got better.
        counts: False if the machines differ and the figure cannot be compared between machines.
        regressed: True if it counts and got worse by more than the tolerance, or no longer keeps a limit that it
            kept before.
    """

    figure: Figure
    old: float
    worse: float
    counts: bool
    regressed: bool


def figures_of(sections: Mapping[str, Section]) -> list[Figure]:
    """All compared figures, in the order of :data:`TAKE`."""
    return [figure for name, take in TAKE.items() if name in sections for figure in take(sections[name])]


def compare(old: Section, new: Section, tolerance: float) -> tuple[list[Change], list[str]]:
    """Compare two reports.

    Args:
        old, new: reports of ``python -m bench``.
        tolerance: share by which a figure may get worse.

    Returns:
        A change for each figure that both reports have, and the names of figures that only the old one has.
    """
    before = {one["name"]: Figure(**one) for one in old["figures"]}
    changes = []
    for figure in (Figure(**one) for one in new["figures"]):
        if (then := before.pop(figure.name, None)) is None:
            continue
        counts = figure.relative or _same_machine(old, new, figure.section)
        difference = figure.value - then.value if figure.better == "lower" else then.value - figure.value
        worse = difference / abs(then.value) if then.value else difference
        broke = then.held is True and figure.held is False
        changes.append(Change(figure, then.value, worse, counts, counts and (worse > tolerance or broke)))
    return changes, list(before)


def _same_machine(old: Section, new: Section, section: str) -> bool:
    then, now = (report["sections"][section]["machine"] for report in (old, new))
    return (then["processor"], then["cores"]) == (now["processor"], now["cores"])


def as_json(figures: list[Figure]) -> list[dict[str, Any]]:
    """The changes as JSON for the report."""
    return [asdict(figure) for figure in figures]
