"""Small forms of the benches of the service: that they measure, and that the knee is where it is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import cold_start, service


def test_requests_leave_at_drawn_times_within_their_bounds() -> None:
    times = service.departures(rate=4.0, requests=400, seconds=1000.0)
    assert times == service.departures(4.0, 400, 1000.0) == sorted(times)
    assert len(times) == 400 and times[0] == 0.0
    assert times[-1] == pytest.approx(100.0, rel=0.15)
    assert service.departures(4.0, 400, 10.0) == [t for t in times if t < 10]
    assert service.departures(0.001, 5, 1.0) == [0.0]


@pytest.mark.parametrize(
    ("rows", "knee"),
    [
        ([(1, 100, 0.5), (2, 100, 0.9), (3, 100, 1.2)], 2),
        ([(1, 100, 0.5), (2, 98, 0.5), (3, 100, 0.5)], 1),
        ([(3, 0, None), (2, 99, 1.0), (1, 100, 0.9)], 2),
        ([(1, 100, 1.1), (2, 100, 0.5)], None),
    ],
)
def test_the_knee_is_the_last_rate_up_to_which_all_hold(
    rows: list[tuple[float, int, float | None]], knee: float | None
) -> None:
    rates = [
        {"offered_per_s": rate, "requests": 100, "answered": answered, "p95_s": late} for rate, answered, late in rows
    ]
    assert service.knee_of(rates, alone_s=1 / 3) == knee


def test_more_than_it_can_do_is_offered_and_told(tmp_path: Path) -> None:
    found = service.measure(tmp_path, (0.3, 50.0), requests=4, seconds=60.0, alone=1, queue=0)
    calm, flood = found["rates"]
    assert calm["requests"] == flood["requests"] == sum(flood["statuses"].values()) == 4
    assert calm["answered"] >= 1 and calm["p50_s"] <= calm["p95_s"] <= calm["p99_s"]
    assert flood["statuses"].keys() == {"200", "503"}
    assert found["most_per_s"] > 0 and found["plain_s"] > 0


def test_a_start_is_timed_from_its_beginning() -> None:
    found = cold_start.measure(runs=1, uncounted=0)
    assert 0 < found["listening_s"] < found["ready_s"] < found["first_answer_s"]
    assert found["ready_over_import_torch"] == pytest.approx(found["ready_s"] / found["import_torch_s"])
