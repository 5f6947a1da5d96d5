"""Metrics of the service for Prometheus. They name no person, clip or key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gaitkeeper.gallery.types import Reason, Verdict
from gaitkeeper.pipelines.stages import Stage
from gaitkeeper.pipelines.walk_quality import Quality
from gaitkeeper.service.schemas import EnrollReply, IdentifyReply, WalkersReply
from gaitkeeper.service.schemas.cameras import CameraStateName

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 180, 600)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
STATES = get_args(CameraStateName)
FRAMES = (15, 30, 60, 90, 120, 180, 300, 600)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own = self.registry
        self._requests = Counter(
            "gaitkeeper_requests", "Requests answered.", ("method", "route", "status"), registry=own
        )
        self._latency = Histogram(
            "gaitkeeper_request_seconds",
            "Seconds from a request to its reply.",
            ("route",),
            buckets=SECONDS,
            registry=own,
        )
        self._refused = Counter(
            "gaitkeeper_problems", "Problem documents sent, and problems that jobs ended in.", ("code",), registry=own
        )
        self._stages = Histogram(
            "gaitkeeper_stage_seconds", "Seconds per stage of a clip.", ("stage",), buckets=SECONDS, registry=own
        )
        self._verdicts = Counter("gaitkeeper_verdicts", "Walkers judged.", ("verdict", "reason"), registry=own)
        self._enrolled = Counter("gaitkeeper_enrolments", "Templates made.", registry=own)
        self._score = Histogram("gaitkeeper_joint_score", "Mean joint score of a walker.", buckets=SHARES, registry=own)
        self._frames = Histogram("gaitkeeper_usable_frames", "Usable frames of a walker.", buckets=FRAMES, registry=own)
        self._webhooks = Counter("gaitkeeper_webhooks", "Messages to webhooks.", ("outcome",), registry=own)
        self._live = Gauge("gaitkeeper_streams", "Live streams that are running.", registry=own)
        self._live_frames = Counter(
            "gaitkeeper_stream_frames", "Frames of live streams: seen, or why dropped.", ("outcome",), registry=own
        )
        self._live_latency = Histogram(
            "gaitkeeper_stream_latency_seconds",
            "Seconds from a live frame's coming to its boxes.",
            buckets=SECONDS,
            registry=own,
        )
        self._cameras = _ByState()
        own.register(self._cameras)
        self._mqtt = Counter("gaitkeeper_mqtt_messages", "Events for the MQTT broker.", ("outcome",), registry=own)
        self._mqtt_connected = Gauge(
            "gaitkeeper_mqtt_connected", "1 while the MQTT broker takes messages, or if none is set.", registry=own
        )
        self._mqtt_connected.set(1)
        self._handles = Gauge("gaitkeeper_handles", "Handles that are kept.", registry=own)
        self._handle_bytes = Gauge("gaitkeeper_handle_bytes", "Bytes of memory that handles hold.", registry=own)
        self._occupancy = _Occupancy()
        own.register(self._occupancy)
        self._pending = Gauge(
            "gaitkeeper_clips_pending", "Number of clips that are being processed or waiting.", registry=own
        )

    def expect(self, codes: Iterable[str], drop_reasons: Iterable[str]) -> None:
        """Begin to count at 0 what may happen: Prometheus sees no rise from nothing to 1.

        Args:
            codes: codes of problems.
            drop_reasons: why frames of live streams are dropped.
        """
        for code in codes:
            self._refused.labels(code)
        for outcome in ("seen", *drop_reasons):
            self._live_frames.labels(outcome)
        for outcome in ("delivered", "failed", "given_up", "dropped"):
            self._webhooks.labels(outcome)
        for outcome in ("sent", "dropped"):
            self._mqtt.labels(outcome)
        for verdict in (Verdict.MATCH, Verdict.UNKNOWN):
            self._verdicts.labels(str(verdict), "")
        for reason in Reason:
            self._verdicts.labels(str(Verdict.INCONCLUSIVE), str(reason))

    def watch(self, pending: Callable[[], float]) -> None:
        """Register gauges for the clips being processed and waiting. They are read at each scrape."""
        self._pending.set_function(pending)

    def watch_stages(self, stages: Iterable[Stage]) -> None:
        """Register gauges for the load of these stages. They are read at each scrape."""
        self._occupancy.stages = list(stages)

    def watch_streams(self, running: Callable[[], float]) -> None:
        """Register a gauge for the live streams. It is read at each scrape."""
        self._live.set_function(running)

    def watch_cameras(self, states: Callable[[], Mapping[str, int]]) -> None:
        """Register a gauge for the cameras by state. It is read at each scrape."""
        self._cameras.states = states

    def watch_mqtt(self, connected: Callable[[], bool]) -> None:
        """Register a gauge for the connection to the broker. It is read at each scrape."""
        self._mqtt_connected.set_function(lambda: float(connected()))

    def mqtt(self, outcome: str) -> None:
        """Record an event for the broker: "sent", or "dropped" because the broker was away."""
        self._mqtt.labels(outcome).inc()

    def watch_handles(self, kept: Callable[[], float], size: Callable[[], float]) -> None:
        """Register gauges for the number of handles, and for their bytes. They are read at each scrape."""
        self._handles.set_function(kept)
        self._handle_bytes.set_function(size)

    def frame_seen(self, latency: float) -> None:
        """Record a processed live frame, with its latency in seconds."""
        self._live_frames.labels("seen").inc()
        self._live_latency.observe(latency)

    def frames_dropped(self, reason: str, count: int) -> None:
        """Record live frames that were not processed."""
        self._live_frames.labels(reason).inc(count)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record an answered request. The route is its pattern, which contains no names."""
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def problem(self, code: str) -> None:
        """Record a problem document."""
        self._refused.labels(code).inc()

    def webhook(self, outcome: str) -> None:
        """Record an attempt to send a message: "delivered", "failed" or "given_up"; or a "dropped" message."""
        self._webhooks.labels(outcome).inc()

    def enrolled(self, reply: EnrollReply) -> None:
        """Record an enrolment."""
        for one in (reply, *reply.others):
            if not one.template.duplicate:
                self._enrolled.inc()
            self._clip(one.timings, [one.template.quality])

    def identified(self, reply: IdentifyReply) -> None:
        """Record an identification."""
        for person in reply.people:
            self.judged(person.verdict, person.reason)
        self._clip(reply.timings, [person.quality for person in reply.people])

    def looked(self, reply: WalkersReply) -> None:
        """Record a look at a clip."""
        self._clip(reply.timings, [walker.quality for walker in reply.walkers])

    def judged(self, verdict: str, reason: str | None) -> None:
        """Record the verdict on a walker of a clip, or on a track of a live stream at its end."""
        self._verdicts.labels(str(verdict), str(reason or "")).inc()

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)

    def _clip(self, timings: dict[str, float], walkers: Iterable[Quality]) -> None:
        for stage, seconds in timings.items():
            self._stages.labels(stage).observe(seconds)
        for quality in walkers:
            self._score.observe(quality.mean_joint_score)
            self._frames.observe(quality.frames)


class _ByState(Collector):
    """Collector for the cameras by state, read at each scrape."""

    def __init__(self) -> None:
        self.states: Callable[[], Mapping[str, int]] = dict

    def collect(self) -> Iterator[Metric]:
        cameras = GaugeMetricFamily("gaitkeeper_cameras", "Cameras by state.", labels=("state",))
        found = self.states()
        for state in STATES:
            cameras.add_metric((state,), found.get(state, 0))
        yield cameras


class _Occupancy(Collector):
    """Collector for the load of stages, read at each scrape."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    def collect(self) -> Iterator[Metric]:
        busy = CounterMetricFamily(
            "gaitkeeper_stage_busy_seconds", "Seconds in which a stage was at work for any clip.", labels=("stage",)
        )
        share = GaugeMetricFamily(
            "gaitkeeper_stage_occupancy", "Share of the last 30 s in which a stage was at work.", labels=("stage",)
        )
        waiting = GaugeMetricFamily(
            "gaitkeeper_stage_waiting", "Frames, or of the network walkers, that wait for a stage.", labels=("stage",)
        )
        for stage in self.stages:
            busy.add_metric((stage.name,), stage.busy_seconds)
            share.add_metric((stage.name,), stage.occupancy)
            waiting.add_metric((stage.name,), stage.waiting)
        yield from (busy, share, waiting)
