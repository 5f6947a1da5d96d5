"""The tests give a busy machine its time: what waits, waits a minute, and how long something takes is no assertion.

Benches measure times. Found by reading the tests' syntax trees.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MINUTE = 60.0
CLOCKS = ("time.monotonic()", "time.perf_counter()", "time.time()")
REQUESTS = frozenset({"get", "post", "put", "patch", "delete", "head", "request", "stream", "Client"})
WAITS = frozenset({"join", "result", "settimeout", "wait"})
OWN = frozenset({"target.wait", "door.wait", "jobs.wait", "client.wait"})
"""Waits whose first argument is a count."""


def faults(source: str) -> Iterator[tuple[int, str]]:
    """Line and words of each impatience in a test's source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {word.arg: _number(word.value) for word in node.keywords}
            last = name.rpartition(".")[2]
            if (seconds := given.get("timeout")) is not None and 1 < seconds < MINUTE:
                yield node.lineno, f"{name} gives up after {seconds:g} s"
            elif name.startswith("httpx.") and last in REQUESTS and not {"timeout", "transport", None} & given.keys():
                yield node.lineno, f"{name} gives up after 5 s, where it is told no timeout"
            elif last in WAITS and name not in OWN and node.args and 1 < (_number(node.args[0]) or 0) < MINUTE:
                yield node.lineno, f"{name} waits {ast.unparse(node.args[0])} s"
            elif last == "create_connection" and len(node.args) > 1 and 1 < (_number(node.args[1]) or 0) < MINUTE:
                yield node.lineno, f"{name} gives up after {ast.unparse(node.args[1])} s"
        elif isinstance(node, ast.Assert):
            for part in ast.walk(node.test):
                if isinstance(part, ast.Compare) and isinstance(part.ops[-1], ast.Lt | ast.LtE) and _elapsed(part):
                    yield node.lineno, f"it asserts how long something takes: {ast.unparse(part)}"
        elif (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Add)
            and ast.unparse(node.left) in CLOCKS
            and 1 < (_number(node.right) or 0) < MINUTE
        ):
            yield node.lineno, f"it gives up at {ast.unparse(node)}"


def _elapsed(compared: ast.Compare) -> bool:
    sides = (compared.left, *compared.comparators)
    return any(
        isinstance(side, ast.BinOp) and isinstance(side.op, ast.Sub) and ast.unparse(side.left) in CLOCKS
        for side in sides
    )


def _number(node: ast.expr) -> float | None:
    return float(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_is_impatient(path: Path) -> None:
    source = path.read_text()
    lines = source.splitlines()
    found = [(line, words) for line, words in faults(source) if "# patient: " not in lines[line - 1]]
    assert not found, found


@pytest.mark.parametrize(
    "line",
    [
        "httpx.get(url)",
        "httpx.post(url, timeout=30)",
        "process.wait(20)",
        "thread.join(10)",
        "socket.create_connection(place, 30)",
        "end = time.monotonic() + 5",
        "assert time.monotonic() - began < 2",
    ],
)
def test_impatience_is_seen(line: str) -> None:
    assert [number for number, _ in faults(line)] == [1]


def test_patience_is_let_be() -> None:
    assert not list(faults("httpx.get(url, timeout=60); go.wait(60); end = time.monotonic() + 60; event.wait(0.2)"))
