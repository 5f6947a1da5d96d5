"""The decoder's own process, started by :mod:`gaitkeeper.pipelines.sandbox`:
``python -m gaitkeeper.pipelines.sandbox_worker FD``.

It has libav loaded and waits on a socket for jobs. It forks for each job: the fork drops everything except the clip,
one socket and the shared pictures, decodes, and ends with the clip. So a clip costs a fork instead of a process start,
and a clip that compromises its decoder cannot affect another clip.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import mmap
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import av

from gaitkeeper.pipelines import sandbox_filter
from gaitkeeper.pipelines.decode import ClipInfo, Packet, frames, layout, packets, probe
from gaitkeeper.pipelines.errors import ClipError, Undecodable
from gaitkeeper.pipelines.pictures import PictureDecoder
from gaitkeeper.pipelines.sandbox_wire import MESSAGE, PACKET, PICTURE, REQUEST, SHAPE, SLOTS
from gaitkeeper.pipelines.settings import PipelineSettings

REAP_SECONDS = 1.0


def main() -> None:
    """Fork for every job until the other end is closed; then end with all forks."""
    control = socket.socket(fileno=int(sys.argv[1]))
    _rehearse()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the service, which closes the socket
    live: set[int] = set()

    def reap(*_: Any) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)[0]) > 0:
                live.discard(ended)

    signal.signal(signal.SIGCHLD, reap)
    start = _address_space()
    control.send(json.dumps({"fault": _fault()}).encode())
    # A signal that arrives just before a wait is handled only after it, so no wait is long.
    control.settimeout(REAP_SECONDS)
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 3)
        except TimeoutError:
            continue
        if not data:
            break
        message = json.loads(data)
        if "kill" in message:
            if message["kill"] in live:
                os.kill(message["kill"], signal.SIGKILL)
            continue
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # a child must be recorded before it is reaped
        try:
            pid = os.fork()
        except OSError:
            pid = -1
        if pid == 0:
            os._exit(_job(message, descriptors, start))
        if pid > 0:
            live.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(json.dumps({"pid": pid, "number": message.get("number")}).encode())
    for pid in live:
        os.kill(pid, signal.SIGKILL)


def _rehearse() -> None:
    """Decode a tiny clip: libraries load parts on first use, and a confined process cannot open files."""
    for name in ("av.audio.codeccontext", "av.subtitles.codeccontext"):
        importlib.import_module(name)
    clip = io.BytesIO()
    with av.open(clip, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    for _ in frames(clip):
        pass
    with contextlib.suppress(ClipError):
        probe(b"\0\0\0\x08ftyp")
    pictures = av.CodecContext.create("mjpeg", "w")
    pictures.width, pictures.height, pictures.pix_fmt, pictures.time_base = 64, 64, "yuvj420p", Fraction(1, 25)
    [jpeg] = pictures.encode(av.VideoFrame(64, 64, "yuvj420p"))
    PictureDecoder("jpeg", 64 * 64).decode(bytes(jpeg), 0)
    with contextlib.suppress(ClipError):
        PictureDecoder("h264", 64 * 64).decode(b"\0\0\0\1", 0)
    gc.collect()  # a fork that freed a decoder of this process would wait for threads that do not exist in it
    gc.freeze()


def _fault() -> str | None:
    """The reason why a fork cannot confine itself, found by trying in one; None if it can."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sandbox_filter.lock()
        except OSError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        return said.read().decode() or None


def _job(message: dict[str, Any], descriptors: list[int], start: int) -> int:
    """Decode one clip, in the fork; the exit status."""
    if "live" in message:
        return _live_job(message, descriptors, start)
    channel, clip, *memory = descriptors
    try:
        _let_go(descriptors)
        settings = PipelineSettings(**message["settings"])
        end = socket.socket(fileno=channel)
        pictures = mmap.mmap(memory[0], 0) if memory else None  # mmap keeps a descriptor of its own
        for descriptor in memory:
            os.close(descriptor)
        with os.fdopen(clip, "rb") as file:
            sandbox_filter.limit(start + settings.max_decode_memory, settings.max_decode_cpu)
            sandbox_filter.lock()
            try:
                if pictures is None:
                    end.send(json.dumps({"info": asdict(probe(file, settings))}).encode())
                elif message.get("packets"):
                    info = ClipInfo(**message["info"])
                    end.send(json.dumps({"layout": asdict(layout(file, info, settings))}).encode())
                    _send_packets(end, pictures, packets(file, info))
                    end.send(b"{}")
                else:
                    _send_pictures(end, pictures, frames(file, ClipInfo(**message["info"])))
                    end.send(b"{}")
            except ClipError as error:
                end.send(json.dumps({"code": error.code, "detail": error.detail[:500]}).encode())
            except Exception as error:  # hostile clips can cause any error
                end.send(json.dumps({"code": "undecodable", "fault": type(error).__name__}).encode())
            while end.recv(SLOTS):  # exiting with unread data would discard the last message
                pass
    except BaseException:
        return 1
    return 0


def _live_job(message: dict[str, Any], descriptors: list[int], start: int) -> int:
    """Decode a live stream's messages until the other end is closed, in the fork; the exit status."""
    channel, memory = descriptors
    try:
        _let_go(descriptors)
        settings, live = PipelineSettings(**message["settings"]), message["live"]
        end = socket.socket(fileno=channel)
        shared = mmap.mmap(memory, 0)
        os.close(memory)
        decoder = PictureDecoder(live["codec"], live["max_pixels"])
        sandbox_filter.limit(start + len(shared) + settings.max_decode_memory, settings.max_decode_cpu)
        sandbox_filter.lock()
        while request := end.recv(MESSAGE):
            end.send(json.dumps(answered(end, shared, decoder, live["max_bytes"], *REQUEST.unpack(request))).encode())
    except BaseException:
        return 1
    return 0


def answered(
    end: socket.socket, shared: mmap.mmap, decoder: Any, offset: int, size: int, number: int
) -> dict[str, Any]:
    """Send the pictures of one message, one by one; returns the final status."""
    try:
        for picture in decoder.decode(shared[:size], number):
            height, width, _ = picture.image.shape
            shared[offset : offset + picture.image.nbytes] = picture.image.data.cast("B")
            end.send(SHAPE.pack(width, height, picture.number))
            end.recv(1)
    except ClipError as error:
        return {"code": error.code, "detail": error.detail[:500]}
    except Exception as error:  # hostile messages can cause any error
        return {"code": "undecodable", "detail": f"The picture cannot be decoded ({type(error).__name__})."}
    return {}


def _let_go(descriptors: list[int]) -> None:
    """End with the parent, and keep only some of its descriptors."""
    sandbox_filter.die_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    _keep_only(descriptors)


def _send_pictures(end: socket.socket, pictures: mmap.mmap, stream: Iterator[Any]) -> None:
    """Write each picture to a free slot and announce it; the other end answers with the slots that it has read."""
    slots = _Slots(end, len(pictures) // SLOTS)
    for frame in stream:
        if (slot := slots.free()) is None:
            return
        pictures[slot * slots.size : slot * slots.size + frame.image.nbytes] = frame.image.data.cast("B")
        end.send(PICTURE.pack(slot, frame.index, frame.time, frame.segment))


def _send_packets(end: socket.socket, memory: mmap.mmap, stream: Iterator[Packet]) -> None:
    """As :func:`_send_pictures`, for packets of another decoder. Raises Undecodable if one does not fit."""
    slots = _Slots(end, len(memory) // SLOTS)
    for packet in stream:
        if len(packet.data) > slots.size:
            raise Undecodable("The clip's pictures cannot be decoded: one takes more bytes coded than plain.")
        if (slot := slots.free()) is None:
            return
        memory[slot * slots.size : slot * slots.size + len(packet.data)] = packet.data
        end.send(PACKET.pack(slot, len(packet.data), packet.time, packet.segment, packet.shown))


class _Slots:
    """The free slots of the shared memory."""

    def __init__(self, end: socket.socket, size: int) -> None:
        self.size = size
        self._end = end
        self._free = list(range(SLOTS))

    def free(self) -> int | None:
        """A free slot; None if the other end has closed."""
        if not self._free:
            self._free.extend(self._end.recv(SLOTS))
        return self._free.pop() if self._free else None


def _keep_only(descriptors: list[int]) -> None:
    """Close all other descriptors; standard input and outputs go to /dev/null."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    last = 2
    for kept in sorted(descriptors):
        os.closerange(last + 1, kept)
        last = kept
    os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))


def _address_space() -> int:
    """Current address space of this process in bytes."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * mmap.PAGESIZE


if __name__ == "__main__":
    main()
