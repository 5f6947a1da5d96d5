"""Decoding in a sandboxed process, which is confined before it reads the clip; the parent's side.

Same functions and errors as :mod:`gaitkeeper.pipelines.decode`. Answers are checked as if an attacker had sent them:
JSON and fixed-size messages, never pickles, and pictures in shared memory that can neither shrink nor grow. If a
decoder crashes, exceeds a limit or takes too long, its clip is undecodable, and the next clip gets a new decoder.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import mmap
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from gaitkeeper.pipelines import errors
from gaitkeeper.pipelines.decode import CODECS, CONTAINERS, ClipInfo, Frame, Layout, Packet, Source
from gaitkeeper.pipelines.errors import DeadlineExceeded, SandboxUnavailable, TooLarge, Undecodable
from gaitkeeper.pipelines.pictures import Codec
from gaitkeeper.pipelines.sandbox_filter import supported
from gaitkeeper.pipelines.sandbox_pictures import SandboxedPictures
from gaitkeeper.pipelines.sandbox_server import OFF, Server, received
from gaitkeeper.pipelines.sandbox_wire import PACKET, PICTURE, SLOTS
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.timing import REPAIRS
from gaitkeeper.pipelines.upright import Turn

T = TypeVar("T")

log = logging.getLogger("gaitkeeper")

IN_MEMORY = 4 * 2**20
TRIES = 3
"""Number of processes in a row that may fail before a clip is refused."""

REFUSALS: dict[str, type[errors.ClipError]] = {
    kind.code: kind
    for kind in (errors.EmptyUpload, errors.UnsupportedMedia, errors.NoVideo, errors.TooLarge, errors.Undecodable)
}


class Sandbox:
    """Decodes clips under a seccomp filter and resource limits; thread-safe.

    The process is started with the first clip, or by :meth:`start`, and ends with this object or the program.

    Args:
        settings: the limits.
    """

    def __init__(self, settings: PipelineSettings | None = None) -> None:
        self.settings = settings or PipelineSettings()
        self._lock = threading.Lock()
        self._server: Server | None = None

    @property
    def pid(self) -> int | None:
        """Process id, while there is a process."""
        server = self._server
        return server.pid if server else None

    def start(self, deadline: float | None = None) -> None:
        """Start the process and wait until it is ready.

        Args:
            deadline: instant of ``time.monotonic`` at which to give up.

        Raises:
            SandboxUnavailable: this platform has no seccomp, or the process does not start.
            DeadlineExceeded: it was not ready before the deadline.
        """
        self._asked(lambda server: server.greet(deadline), deadline)

    def close(self) -> None:
        """End the process and every decoder in it."""
        with self._lock:
            self._stop()

    def probe(self, source: Source, deadline: float | None = None) -> ClipInfo:
        """As :func:`gaitkeeper.pipelines.decode.probe`.

        Args:
            source: path, bytes or binary file.
            deadline: instant of ``time.monotonic`` at which to give up.

        Raises:
            SandboxUnavailable: as :meth:`start`.
            DeadlineExceeded: the deadline passed.
            EmptyUpload, UnsupportedMedia, NoVideo, Undecodable, TooLarge: as :mod:`gaitkeeper.pipelines.decode` raises
                them.
        """
        with self._decoder(source, {}, deadline=deadline) as channel:
            message = _json(self._receive(channel, deadline))
            try:
                return _checked(ClipInfo(**message["info"]), self.settings)
            except (KeyError, TypeError, ValueError) as error:
                raise _gave_up() from error

    def frames(self, source: Source, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        """As :func:`gaitkeeper.pipelines.decode.frames`; raises as :meth:`probe`."""
        size = info.width * info.height * 3
        memory = sealed(SLOTS * size)
        job = {"info": asdict(info)}
        with (
            os.fdopen(memory, "rb") as shared,
            self._decoder(source, job, memory, deadline=deadline) as channel,
        ):
            pictures = mmap.mmap(shared.fileno(), SLOTS * size, access=mmap.ACCESS_READ)
            index, last, part = -1, -1.0, 0
            while len(data := self._receive(channel, deadline)) == PICTURE.size:
                slot, number, moment, segment = PICTURE.unpack(data)
                if slot >= SLOTS or number <= index or segment < part or not last < moment < math.inf:
                    raise _gave_up()
                if number >= self.settings.max_frames:
                    raise TooLarge(f"The clip has more than {self.settings.max_frames} frames.")
                index, last, part = number, moment, segment
                # A copy, which the other process cannot change any more.
                image = np.frombuffer(pictures, np.uint8, size, slot * size).copy()
                with suppress(BrokenPipeError):
                    channel.send(bytes([slot]))
                yield Frame(image.reshape(info.height, info.width, 3), moment, number, segment)
            if _json(data):
                raise _gave_up()

    def packets(
        self, source: Source, info: ClipInfo, deadline: float | None = None
    ) -> Generator[Packet | Layout, None, None]:
        """The result of :func:`gaitkeeper.pipelines.decode.layout`, then of
        :func:`gaitkeeper.pipelines.decode.packets`; raises as these.

        The size of each packet is limited to that of its picture, and their number to the limit of frames.
        """
        size = info.width * info.height * 3
        memory = sealed(SLOTS * size)
        job = {"packets": True, "info": asdict(info)}
        with (
            os.fdopen(memory, "rb") as shared,
            self._decoder(source, job, memory, deadline=deadline) as channel,
        ):
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
        """A sandboxed decoder for a live stream, for one thread; the process starts with the first picture.

        Args:
            codec: of the messages.
            max_pixels: of a picture.
            max_bytes: of a message.
        """
        return SandboxedPictures(self, codec, max_pixels, max_bytes)

    def _limits(self) -> dict[str, Any]:
        return self.settings.model_dump(mode="json")

    def _receive(self, channel: Channel, deadline: float | None) -> bytes:
        patience = self.settings.decode_patience
        try:
            data = channel.receive(patience, deadline)
        except TimeoutError as error:
            raise Undecodable(f"The clip's decoder took more than {patience:g} s over one picture.") from error
        except ConnectionError as error:
            raise _gave_up() from error
        if not data:
            raise _gave_up()
        return data

    @contextmanager
    def _decoder(
        self, source: Source, job: dict[str, Any], *memory: int, deadline: float | None = None
    ) -> Iterator[Channel]:
        """A sandboxed decoder of one clip, for the duration of the block."""
        with ExitStack() as stack:
            clip = _readable(source)
            stack.callback(os.close, clip)
            yield stack.enter_context(self.forked(job, [clip, *memory], deadline))

    @contextmanager
    def forked(self, job: dict[str, Any], descriptors: list[int], deadline: float | None = None) -> Iterator[Channel]:
        """A connection to a sandboxed process that does a job with some descriptors, for the duration of the block.

        Raises:
            SandboxUnavailable, DeadlineExceeded: as :meth:`start`.
        """
        with ExitStack() as stack:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.enter_context(ours)
            with theirs:
                given = [theirs.fileno(), *descriptors]
                server, pid = self._fork({"settings": self._limits(), **job}, given, deadline)
            stack.callback(server.kill, pid)
            yield Channel(ours, pid)

    def _fork(self, job: dict[str, Any], descriptors: list[int], deadline: float | None) -> tuple[Server, int]:
        server, pid = self._asked(lambda server: (server, server.fork(job, descriptors, deadline)), deadline)
        if pid <= 0:
            raise SandboxUnavailable("The system does not allow the decoder to start a process.")
        return server, pid

    def _asked(self, ask: Callable[[Server], T], deadline: float | None) -> T:
        """The answer of the process; a process that was killed (out of memory, for example) or hangs is replaced."""
        if not self._lock.acquire(timeout=-1 if deadline is None else max(0.0, deadline - time.monotonic())):
            raise DeadlineExceeded("The clip could not be processed in the time that a request may take.")
        try:
            for _ in range(TRIES):
                try:
                    return ask(self._started())
                except (OSError, ValueError) as error:
                    fault = str(error)
                    self._stop()
                except SandboxUnavailable:
                    self._stop()
                    raise
        finally:
            self._lock.release()
        raise SandboxUnavailable(f"The decoder's process does not start: {fault}. {OFF}")

    def _started(self) -> Server:
        """The process, which may not be ready yet."""
        if self._server is None or self._server.owner != os.getpid():
            if reason := supported():
                raise SandboxUnavailable(f"Clips cannot be decoded in a sandbox on this machine: {reason}. {OFF}")
            self._server = Server()
        return self._server

    def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None


@dataclass(frozen=True)
class Channel:
    """The connection to one sandboxed process.

    Attributes:
        socket: socket to the process.
        pid: process id.
    """

    socket: socket.socket
    pid: int

    def send(self, data: bytes) -> None:
        """Send a message."""
        self.socket.send(data)

    def receive(self, patience: float, deadline: float | None = None) -> bytes:
        """The next message, empty if the process ended; see :func:`gaitkeeper.pipelines.sandbox_server.received`."""
        return received(self.socket, self.pid, patience, deadline)


def _readable(source: Source) -> int:
    """A read-only descriptor of the clip, at its start, with a file offset of its own."""
    if isinstance(source, (str, Path)):
        return os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    if isinstance(source, bytes):
        return _filled(source)
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    if size > IN_MEMORY:  # requesting the descriptor of a small upload would write it to disk
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
    """Shared memory of that many bytes, sealed: truncating it would crash its readers."""
    memory = os.memfd_create("pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, size)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return memory


def _json(data: bytes) -> dict[str, Any]:
    """Parse a message that is not a picture; raises if it is an error."""
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
    """The clip's properties. Raises ValueError if they are invalid."""
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
    """The layout of the clip's pictures. Raises ValueError, KeyError or TypeError if it is invalid."""
    found = Layout(**{**said, "turn": Turn(**said["turn"])})
    flags = (found.turn.swap, found.turn.mirror, found.turn.tumble, found.in_order)
    size = (info.height, info.width) if found.turn.swap else (info.width, info.height)
    if not isinstance(found.pixels, str) or any(not isinstance(flag, bool) for flag in flags):
        raise ValueError("a layout that cannot be")
    if (found.width, found.height) != size:
        raise ValueError("a size that is not the clip's")
    return found


def _gave_up() -> Undecodable:
    return Undecodable("The clip cannot be decoded: it made its decoder fail, or exceeded the limits of decoding.")
