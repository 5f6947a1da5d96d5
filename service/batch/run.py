"""Processes an archive clip by clip, on this machine or on a cluster. An interrupted run is continued."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

from gaitkeeper.service.batch.archive import Item, archive_at, printable
from gaitkeeper.service.batch.journal import Journal
from gaitkeeper.service.batch.lines import BatchReport, Failed, Line, Order, Warned
from gaitkeeper.service.batch.worker import Worker
from gaitkeeper.service.recognition.engine import Engine

Executor = Callable[[Order, list[Item]], Iterable[Line]]
"""Processes the clips of an order, in any sequence."""


def run(
    order: Order,
    results: Path,
    executor: Executor,
    *,
    retry: bool = False,
    tell: Callable[[str, float], None] = lambda stage, share: None,
) -> BatchReport:
    """Process every clip of an archive that no earlier run has settled.

    Args:
        order: the order.
        results: the file of results.
        executor: processes the clips.
        retry: also repeat clips whose failure was caused by the clip itself.
        tell: called with the last clip, and the completed fraction.

    Raises:
        NoArchive, OtherResults, CannotWrite: the archive or the file of results cannot be used.
    """
    started = time.perf_counter()
    with Journal(results, order) as journal:
        items = list(archive_at(order.place).items())
        settled: dict[tuple[str, str | None], Line] = {}
        for item in items:
            line = journal.known(item)
            if line is not None and (line.problem is None or (line.final and not retry)):
                settled[item.key] = line
        earlier = len(settled)
        for line in executor(order, [item for item in items if item.key not in settled]):
            journal.add(line)
            settled[line.key] = line
            tell(line.name, len(settled) / len(items))
    lines = [settled[item.key] for item in items]
    return BatchReport(
        results=printable(str(results)),
        clips=len(items),
        done=sum(line.problem is None for line in lines),
        duplicates=sum(line.template is not None and line.template.duplicate for line in lines),
        earlier=earlier,
        failed=[Failed(clip=line.name, **line.problem.model_dump()) for line in lines if line.problem is not None],
        warned=[
            Warned(
                clip=line.name, subject=line.template.subject, other=line.warning.subject, detail=line.warning.detail
            )
            for line in lines
            if line.template is not None and line.warning is not None
        ],
        seconds=time.perf_counter() - started,
    )


def here(engine: Engine, threads: int) -> Executor:
    """Processes the clips in threads of this process."""

    def do(order: Order, items: list[Item]) -> Iterator[Line]:
        worker, waiting = Worker(engine, order), iter(items)
        with ThreadPoolExecutor(threads) as pool:
            running = {pool.submit(worker, item) for item in islice(waiting, threads)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(worker, item) for item in islice(waiting, len(done))}
                for one in done:
                    yield one.result()

    return do
