"""Decoder processes: start them, wait for them, request forks, and replace those that ended.

A slow machine is not the clip's fault: this module waits until the deadline of the request, as long as the process is
alive.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from gaitkeeper.pipelines.errors import DeadlineExceeded, SandboxUnavailable
from gaitkeeper.pipelines.sandbox_wire import MESSAGE

T = TypeVar("T")

PASSED_ON = ("PATH", "LD_LIBRARY_PATH")
STUCK_SECONDS = 60.0
"""Maximum idle time of a process that owes an answer, over all waiting requests, before it is replaced."""
LOOK_SECONDS = 1.0
OFF = "GAITKEEPER_PIPELINE__SANDBOX=0 decodes without one, which is for clips that you trust."
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """One process of :mod:`gaitkeeper.pipelines.sandbox_worker`, which may still be starting; for one thread at a
    time."""

    def __init__(self) -> None:
        self._control, process = start_decoder(
            "gaitkeeper.pipelines.sandbox_worker", OPENBLAS_NUM_THREADS="1", MALLOC_ARENA_MAX="2"
        )
        self.pid, self.owner = process.pid, os.getpid()
        self._greeted, self._asked = False, 0
        self._watch: Watch | None = None
        self._closing = threading.Lock()
        self._end = weakref.finalize(self, _ended, self._control, process)

    def greet(self, deadline: float | None) -> None:
        """Wait until the process is ready. After the deadline, it continues to start, for the next clip.

        Raises:
            DeadlineExceeded: it was not ready.
            SandboxUnavailable: it reports that it cannot confine itself here.
            OSError, ValueError: it ended, hangs or sends invalid data, and must be replaced.
        """
        if not self._greeted:
            if fault := self._said(deadline).get("fault"):
                raise SandboxUnavailable(f"Clips cannot be decoded in a sandbox on this machine: {fault}. {OFF}")
            self._greeted = True

    def fork(self, job: dict[str, Any], descriptors: list[int], deadline: float | None) -> int:
        """The id of a process that does a job, 0 or less if the system refuses one; raises as :meth:`greet`."""
        self.greet(deadline)
        self._asked += 1
        message = json.dumps({**job, "number": self._asked}).encode()
        self._patiently(lambda: socket.send_fds(self._control, [message], descriptors), deadline)
        while (said := self._said(deadline)).get("number") != self._asked:
            self.kill(int(said.get("pid", 0)))  # belongs to a clip whose deadline has passed
        return int(said.get("pid", 0))

    def kill(self, pid: int) -> None:
        """End one of its forks."""
        with self._closing, suppress(OSError):
            self._control.send(json.dumps({"kill": pid}).encode(), socket.MSG_DONTWAIT)

    def close(self) -> None:
        """End it with all its forks."""
        with self._closing:
            self._end()

    def _said(self, deadline: float | None) -> dict[str, Any]:
        data = self._patiently(lambda: self._control.recv(MESSAGE), deadline)
        self._watch = None  # it has answered
        if not data:
            raise ConnectionError("the process ended")
        message = json.loads(data)
        if not isinstance(message, dict):
            raise ValueError("a message that cannot be")
        return message

    def _patiently(self, act: Callable[[], T], deadline: float | None) -> T:
        """Send or receive. If a deadline ends the request, the idle time so far counts for the next one."""
        self._watch = self._watch or Watch(self.pid, STUCK_SECONDS)
        return self._watch.over(self._control, act, deadline)


def start_decoder(
    module: str, passed_on: Iterable[str] = PASSED_ON, **environment: str
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a decoder process, with a socket to it.

    Args:
        module: module to run; its only argument is the descriptor of its end of the socket.
        passed_on: names of the environment variables that it inherits; the rest may contain secrets.
        environment: further environment variables.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    passed = {name: os.environ[name] for name in passed_on if name in os.environ}
    with theirs:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"PYTHONPATH": path, **environment, **passed},
            start_new_session=True,  # Ctrl-C reaches only the service, which ends its decoders itself
        )
    return ours, process


class Watch:
    """Distinguishes a process that hangs from one that waits for a processor or a disk that others use.

    Args:
        pid: process id.
        patience: seconds that the process may be idle, or compute.
    """

    def __init__(self, pid: int, patience: float) -> None:
        self._pid, self._patience = pid, patience
        self._spent: float | None = None
        self._first = 0.0
        self._still = time.monotonic()

    def over(self, channel: socket.socket, act: Callable[[], T], deadline: float | None) -> T:
        """The result of an action on the process's socket, even on a busy machine.

        Raises:
            DeadlineExceeded: the deadline came first.
            TimeoutError: the process hangs.
        """
        while True:
            channel.settimeout(max(1e-3, min(LOOK_SECONDS, self._patience / 4, _left(deadline))))
            try:
                return act()
            except TimeoutError:
                if self._hangs():
                    raise TimeoutError("the process is stuck") from None
                if _left(deadline) <= 0:
                    raise _exceeded() from None

    def _hangs(self) -> bool:
        used, waits = _work(self._pid)
        if self._spent is None:
            self._first = used
        if waits or used != self._spent:
            self._spent, self._still = used, time.monotonic()
        return used - self._first > self._patience or time.monotonic() - self._still > self._patience


def received(channel: socket.socket, pid: int, patience: float, deadline: float | None) -> bytes:
    """The next message of a decoder process, even on a busy machine.

    Args:
        channel: socket to the process.
        pid: process id.
        patience: seconds that it may be idle, or compute, for one message. Waiting for a processor or a disk that
            other processes use does not count.
        deadline: instant of ``time.monotonic`` at which to give up.

    Raises:
        DeadlineExceeded: the deadline passed first.
        TimeoutError: it hangs.
    """
    return Watch(pid, patience).over(channel, lambda: channel.recv(MESSAGE), deadline)


def _work(pid: int) -> tuple[float, bool]:
    """Seconds of processor time that a process has used, and whether it is runnable or waits for a disk."""
    used, waits = 0, False
    with suppress(OSError):  # it, or a thread, may just have ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
            waits = waits or fields[0] in "RD"
    return used / TICKS, waits


def _left(deadline: float | None) -> float:
    return float("inf") if deadline is None else deadline - time.monotonic()


def _exceeded() -> DeadlineExceeded:
    return DeadlineExceeded("The clip could not be processed in the time that a request may take.")


def _ended(control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    control.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
