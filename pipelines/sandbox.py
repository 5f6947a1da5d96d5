"""Decoding in a process of its own, locked up before it sees the clip; the parent's side.

Same functions and errors as :mod:`pipelines.decode`. What comes back is checked as if an intruder had sent it: JSON and
fixed-size messages, never pickles, and pictures by shared memory that can neither shrink nor grow. A decoder that
crashes, breaks a bound or takes too long is a clip that cannot be decoded, and the next clip gets another one.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipelines import errors
from pipelines.decode import CODECS, CONTAINERS, ClipInfo, Frame, Layout, Packet, Source
from pipelines.errors import DeadlineExceeded, SandboxUnavailable, TooLarge, Undecodable
from pipelines.pictures import Codec
from pipelines.sandbox_filter import supported
from pipelines.sandbox_pictures import SandboxedPictures
from pipelines.sandbox_wire import MESSAGE, PACKET, PICTURE, SLOTS
from pipelines.settings import PipelineSettings
from pipelines.timing import REPAIRS
from pipelines.upright import Turn

log = logging.getLogger("gaitkeeper")

IN_MEMORY = 4 * 2**20
START_SECONDS = 30.0
PASSED_ON = ("PATH", "LD_LIBRARY_PATH")

REFUSALS: dict[str, type[errors.ClipError]] = {
    kind.code: kind
    for kind in (errors.EmptyUpload, errors.UnsupportedMedia, errors.NoVideo, errors.TooLarge, errors.Undecodable)
}


class Sandbox:
    """Decodes clips under a seccomp filter and limits of the system; safe under threads.

    The process is started with the first clip, or by :meth:`start`, and ends with this object or the program.

    Args:
        settings: the limits.
    """

    def __init__(self, settings: PipelineSettings | None = None) -> None:
        self.settings = settings or PipelineSettings()
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        self._owner = 0
        self.pid: int | None = None
        """Of the process, while there is one."""

    def start(self) -> None:
        """Have the process ready.

        Raises:
            SandboxUnavailable: this platform has no seccomp, or the process does not come up.
        """
        with self._lock:
            self._ready()

    def close(self) -> None:
        """End the process and every decoder in it."""
        with self._lock:
            self._stop()

    def probe(self, source: Source, deadline: float | None = None) -> ClipInfo:
        """As :func:`pipelines.decode.probe`.

        Args:
            source: path, bytes or binary file.
            deadline: instant of ``time.monotonic`` at which to give up.

        Raises:
            SandboxUnavailable: as :meth:`start`.
            DeadlineExceeded: it took until the deadline.
            EmptyUpload, UnsupportedMedia, NoVideo, Undecodable, TooLarge: as :mod:`pipelines.decode` raises them.
        """
        with self._decoder(source, {}) as channel:
            message = _json(self._receive(channel, deadline))
            try:
                return _checked(ClipInfo(**message["info"]), self.settings)
            except (KeyError, TypeError, ValueError) as error:
                raise _gave_up() from error

    def frames(self, source: Source, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        """As :func:`pipelines.decode.frames`; raises as :meth:`probe`."""
        size = info.width * info.height * 3
        memory = sealed(SLOTS * size)
        with os.fdopen(memory, "rb") as shared, self._decoder(source, {"info": asdict(info)}, memory) as channel:
            pictures = mmap.mmap(shared.fileno(), SLOTS * size, access=mmap.ACCESS_READ)
            index, last, part = -1, -1.0, 0
            while len(data := self._receive(channel, deadline)) == PICTURE.size:
                slot, number, moment, segment = PICTURE.unpack(data)
                if slot >= SLOTS or number <= index or segment < part or not last < moment < math.inf:
                    raise _gave_up()
                if number >= self.settings.max_frames:
                    raise TooLarge(f"The clip has more than {self.settings.max_frames} frames.")
                index, last, part = number, moment, segment
                # A copy: what is looked at here cannot change any more over there.
                image = np.frombuffer(pictures, np.uint8, size, slot * size).copy()
                with suppress(BrokenPipeError):
                    channel.send(bytes([slot]))
                yield Frame(image.reshape(info.height, info.width, 3), moment, number, segment)
            if _json(data):
                raise _gave_up()

    def packets(
        self, source: Source, info: ClipInfo, deadline: float | None = None
    ) -> Generator[Packet | Layout, None, None]:
        """What :func:`pipelines.decode.layout` says, then each of :func:`pipelines.decode.packets`; raises as these.

        No packet is larger than its picture would be, and there are no more than frames are allowed.
        """
        size = info.width * info.height * 3
        memory = sealed(SLOTS * size)
        job = {"packets": True, "info": asdict(info)}
        with os.fdopen(memory, "rb") as shared, self._decoder(source, job, memory) as channel:
            try:
                yield _sound_layout(_json(self._receive(channel, deadline))["layout"], info)
            except (KeyError, TypeError, ValueError) as error:
                raise _gave_up() from error
            there = mmap.mmap(shared.fileno(), SLOTS * size, access=mmap.ACCESS_READ)
            count = 0
            while len(data := self._receive(channel, deadline)) == PACKET.size:
                slot, length, moment, segment, shown = PACKET.unpack(data)
                if slot >= SLOTS or not 0 < length <= size or not math.isfinite(moment):
                    raise _gave_up()
                count += 1
                if count > self.settings.max_frames:
                    raise TooLarge(f"The clip has more than {self.settings.max_frames} frames.")
                packet = Packet(there[slot * size : slot * size + length], moment, segment, shown)  # a copy
                with suppress(BrokenPipeError):
                    channel.send(bytes([slot]))
                yield packet
            if _json(data):
                raise _gave_up()

    def pictures(self, codec: Codec, max_pixels: int, max_bytes: int) -> SandboxedPictures:
        """A locked-up decoder of a live stream's pictures, for one thread; the process starts with the first.

        Args:
            codec: of the messages.
            max_pixels: of a picture.
            max_bytes: of a message.
        """
        return SandboxedPictures(self, codec, max_pixels, max_bytes)

    def _limits(self) -> dict[str, Any]:
        return self.settings.model_dump(mode="json")

    def _receive(self, channel: socket.socket, deadline: float | None) -> bytes:
        patience = self.settings.decode_patience
        left = math.inf if deadline is None else deadline - time.monotonic()
        channel.settimeout(max(0.0, min(patience, left)) or 1e-3)
        try:
            data = channel.recv(MESSAGE)
        except TimeoutError as error:
            if left <= patience:
                raise DeadlineExceeded(
                    "The clip could not be processed in the time that a request may take."
                ) from error
            raise Undecodable(f"The clip's decoder took more than {patience:g} s over one picture.") from error
        except ConnectionError as error:
            raise _gave_up() from error
        if not data:
            raise _gave_up()
        return data

    @contextmanager
    def _decoder(self, source: Source, job: dict[str, Any], *memory: int) -> Iterator[socket.socket]:
        """A locked-up decoder of one clip; gone when the block ends."""
        with ExitStack() as stack:
            clip = _readable(source)
            stack.callback(os.close, clip)
            yield stack.enter_context(self.forked(job, [clip, *memory]))

    @contextmanager
    def forked(self, job: dict[str, Any], descriptors: list[int]) -> Iterator[socket.socket]:
        """The way to a locked-up process that does a job with some descriptors; it is gone when the block ends.

        Raises:
            SandboxUnavailable: as :meth:`start`.
        """
        with ExitStack() as stack:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.enter_context(ours)
            with theirs:
                control, pid = self._fork({"settings": self._limits(), **job}, [theirs.fileno(), *descriptors])
            stack.callback(self._kill, control, pid)
            yield ours

    def _fork(self, job: dict[str, Any], descriptors: list[int]) -> tuple[socket.socket, int]:
        message = json.dumps(job).encode()
        with self._lock:
            for _ in range(2):  # the process may have been killed since the last clip, as where memory ran out
                control = self._ready()
                try:
                    socket.send_fds(control, [message], descriptors)
                    pid = json.loads(control.recv(MESSAGE))["pid"]
                except (OSError, ValueError):
                    self._stop()
                    continue
                if pid > 0:
                    return control, pid
                break
        raise SandboxUnavailable("The system refuses the decoder another process.")

    def _kill(self, control: socket.socket, pid: int) -> None:
        with self._lock, suppress(OSError):
            control.send(json.dumps({"kill": pid}).encode())

    def _ready(self) -> socket.socket:
        if self._control is None or self._owner != os.getpid():
            if reason := supported():
                raise SandboxUnavailable(f"Clips cannot be decoded behind a filter here: {reason}. {OFF}")
            self._control, self._end, self.pid = _started(self)
            self._owner = os.getpid()
        return self._control

    def _stop(self) -> None:
        if self._end is not None:
            self._end()
        self._control = self._end = self.pid = None


OFF = "GAITKEEPER_PIPELINE__SANDBOX=0 decodes without one, which is for clips that you trust."


def start_decoder(
    module: str, passed_on: Iterable[str] = PASSED_ON, **environment: str
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a process that decodes, and the socket that it is spoken to by.

    Args:
        module: that it runs; the number of its end of the socket is its only argument.
        passed_on: names of what it gets of this process's environment: no secret in there is its business.
        environment: what it gets besides.
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
            start_new_session=True,  # Ctrl-C is for the service, which ends its decoders itself
        )
    return ours, process


def _started(owner: Sandbox) -> tuple[socket.socket, weakref.finalize[Any, Any], int]:
    ours, process = start_decoder("pipelines.sandbox_worker", OPENBLAS_NUM_THREADS="1", MALLOC_ARENA_MAX="2")
    end = weakref.finalize(owner, _ended, ours, process)
    ours.settimeout(START_SECONDS)
    try:
        fault = json.loads(ours.recv(MESSAGE) or b'{"fault": "the process ended at once"}')["fault"]
    except OSError as error:
        fault = str(error)
    if fault:
        end()
        raise SandboxUnavailable(f"Clips cannot be decoded behind a filter here: {fault}. {OFF}")
    return ours, end, process.pid


def _ended(control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    control.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _readable(source: Source) -> int:
    """A descriptor of the clip that reads only, at its start, with a place of its own."""
    if isinstance(source, (str, Path)):
        return os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    if isinstance(source, bytes):
        return _filled(source)
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    if size > IN_MEMORY:  # asking a small upload for its descriptor would write it to disk
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{source.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
    return _filled(source)


def _filled(source: bytes | IO[bytes]) -> int:
    memory = os.memfd_create("clip", os.MFD_CLOEXEC)
    try:
        with os.fdopen(memory, "wb", closefd=False) as file:
            if isinstance(source, bytes):
                file.write(source)
            else:
                shutil.copyfileobj(source, file)
        return os.open(f"/proc/self/fd/{memory}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(memory)


def sealed(size: int) -> int:
    """Shared memory of that many bytes; were it cut short, whoever reads it would die."""
    memory = os.memfd_create("pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, size)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return memory


def _json(data: bytes) -> dict[str, Any]:
    """A message that is no picture; a refusal is raised."""
    try:
        message = json.loads(data)
    except ValueError as error:
        raise _gave_up() from error
    if not isinstance(message, dict):
        raise _gave_up()
    if "code" in message:
        detail = message.get("detail")
        kind = REFUSALS.get(str(message["code"]))
        if kind and not isinstance(detail, str):
            log.warning("a clip made its decoder raise %s", repr(message.get("fault"))[:80])
        raise kind(detail[:500]) if kind and isinstance(detail, str) else _gave_up()
    return message


def _checked(info: ClipInfo, limits: PipelineSettings) -> ClipInfo:
    """The clip's measures, or ValueError where they cannot be true."""
    numbers = (info.width, info.height, info.frames)
    sound = (
        all(isinstance(number, int) and number > 0 for number in numbers)
        and info.width * info.height <= limits.max_pixels
        and info.frames <= limits.max_frames
        and all(isinstance(number, (int, float)) and 0 <= number < math.inf for number in (info.rate, info.duration))
        and info.duration <= limits.max_seconds
        and info.codec in CODECS
        and info.container in CONTAINERS
        and isinstance(info.stream, int)
        and info.stream >= 0
        and all(kind in REPAIRS and isinstance(count, int) and count > 0 for kind, count in info.repaired.items())
    )
    if not sound:
        raise ValueError("measures out of range")
    return info


def _sound_layout(said: dict[str, Any], info: ClipInfo) -> Layout:
    """How the clip's pictures are shown, or ValueError, KeyError or TypeError where that cannot be true."""
    found = Layout(**{**said, "turn": Turn(**said["turn"])})
    flags = (found.turn.swap, found.turn.mirror, found.turn.tumble, found.in_order)
    size = (info.height, info.width) if found.turn.swap else (info.width, info.height)
    if not isinstance(found.pixels, str) or any(not isinstance(flag, bool) for flag in flags):
        raise ValueError("a layout that cannot be")
    if (found.width, found.height) != size:
        raise ValueError("a size that is not the clip's")
    return found


def _gave_up() -> Undecodable:
    return Undecodable("The clip cannot be decoded: it broke its decoder, or took more than a decoder may take.")
