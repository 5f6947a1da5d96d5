"""Decoding on the GPU's own decoder (NVDEC), the service's side.

Containers are hostile input, and are opened only in the sandbox. The sandbox passes on packets, whose place, size and
time are checked, and a worker process decodes them. The worker is a process of its own, because CUDA does not work
behind the sandbox's filter, and because a fault in a driver ends the process. Its results are checked like those of
the sandbox. Only libraries that take packets can be used; torchcodec opens containers itself, so it cannot.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import threading
from collections.abc import Generator
from dataclasses import replace
from importlib.util import find_spec

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.decode import ClipInfo, Clock, Frame, Layout, Packet, Source, at_gait_rate
from gaitkeeper.pipelines.errors import ClipError, DeadlineExceeded, NvdecUnavailable, Undecodable
from gaitkeeper.pipelines.pictures import Codec, Picture, Pictures
from gaitkeeper.pipelines.sandbox import Sandbox, sealed
from gaitkeeper.pipelines.sandbox_server import PASSED_ON, received, start_decoder
from gaitkeeper.pipelines.sandbox_wire import REQUEST, SHAPE
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.timing import Shown

PACKAGE = "PyNvVideoCodec"
CODECS = ("h264", "hevc")
PIXELS = ("yuv420p", "yuvj420p")
MOST = 32
"""Maximum number of pictures per packet: no encoder delays more."""
START_SECONDS = 300.0
"""Maximum time that a worker may be idle, or compute, before it is ready: loading a driver takes long."""
OF_CUDA = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES")


class NvDecoder:
    """Decodes H.264 and HEVC of eight bits on the GPU, and other codecs in the sandbox; thread-safe.

    Args:
        settings: the limits.

    Raises:
        NvdecUnavailable: the package is not installed.
    """

    def __init__(self, settings: PipelineSettings) -> None:
        if find_spec(PACKAGE) is None:
            raise NvdecUnavailable(f"Decoding on the GPU needs the package {PACKAGE}: pip install {PACKAGE}.")
        self.settings = settings
        self._sandbox = Sandbox(settings)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def probe(self, source: Source, deadline: float | None = None) -> ClipInfo:
        """As :meth:`gaitkeeper.pipelines.sandbox.Sandbox.probe`."""
        return self._sandbox.probe(source, deadline)

    def pictures(self, codec: Codec, max_pixels: int, max_bytes: int) -> Pictures:
        """As :meth:`gaitkeeper.pipelines.sandbox.Sandbox.pictures`: live pictures arrive one by one, so a GPU gains
        nothing."""
        return self._sandbox.pictures(codec, max_pixels, max_bytes)

    def frames(self, source: Source, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        """As :func:`gaitkeeper.pipelines.decode.frames`.

        Raises:
            NvdecUnavailable: the worker does not start.
            SandboxUnavailable, ClipError, DeadlineExceeded: as of the sandbox.
        """
        if info.codec in CODECS:
            taken = self._sandbox.packets(source, info, deadline)
            layout: Layout = next(taken)  # type: ignore[assignment]
            if layout.pixels in PIXELS:
                return at_gait_rate(self._decoded(taken, info, layout, deadline), info)  # type: ignore[arg-type]
            taken.close()
        return self._sandbox.frames(source, info, deadline)

    def close(self) -> None:
        """End every process."""
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.close()
        self._sandbox.close()

    def _decoded(
        self, taken: Generator[Packet, None, None], info: ClipInfo, layout: Layout, deadline: float | None
    ) -> Generator[Frame, None, None]:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or Worker(deadline)
        try:
            sent: list[Packet] = []
            shown, clock = Shown(layout.in_order), Clock()
            limits, count = self.settings, 0
            for picture in worker.decode(
                _noted(taken, sent, shown), info, limits.max_pixels, deadline, limits.decode_patience
            ):
                if not 0 <= picture.number < len(sent):
                    raise _broken()
                count += 1
                packet = sent[shown.place(picture.number)]
                if packet.shown:
                    yield clock.frame(_laid_out(picture.image, layout), packet.time, packet.segment)
            if count == 0:
                raise Undecodable("No picture of the clip could be decoded.")
        except BaseException:
            worker.close()  # it may still be working
            raise
        finally:
            taken.close()
        with self._lock:
            self._idle.append(worker)


class Worker:
    """One process that decodes on the GPU, one clip and one thread at a time.

    The process is reused for the next clip, because starting CUDA takes longer than decoding a clip. A failed process
    is not reused.

    Args:
        deadline: instant of ``time.monotonic`` at which to give up waiting for it.

    Raises:
        NvdecUnavailable: it does not start, for example without a driver.
        DeadlineExceeded: it was not ready before the deadline.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._channel, self._process = start_decoder("gaitkeeper.pipelines.nvdec_worker", (*PASSED_ON, *OF_CUDA))
        try:
            data = received(self._channel, self._process.pid, START_SECONDS, deadline)
            fault = json.loads(data or b'{"fault": "its process ended at once"}')["fault"]
        except DeadlineExceeded:
            self.close()
            raise
        except (OSError, ValueError) as error:
            fault = str(error)
        if fault:
            self.close()
            raise NvdecUnavailable(f"Clips cannot be decoded on the GPU here: {fault}.")

    def decode(
        self,
        packets: Generator[Packet, None, None],
        info: ClipInfo,
        max_pixels: int,
        deadline: float | None,
        patience: float,
    ) -> Generator[Picture, None, None]:
        """The pictures of some packets, each with the number of the packet that it came in.

        Args:
            packets: in the order of decoding.
            info: of their clip.
            max_pixels: of a picture, which may change its size in the middle.
            deadline: instant of ``time.monotonic`` at which to give up.
            patience: seconds to wait for one answer.

        Raises:
            Undecodable: they cannot be decoded, or the results are inconsistent.
            DeadlineExceeded: the deadline passed.
        """
        size = max_pixels * 3
        descriptor = sealed(2 * size)
        with os.fdopen(descriptor, "r+b") as memory, mmap.mmap(descriptor, 0) as shared:
            job = {"codec": info.codec, "max_pixels": max_pixels, "offset": size}
            try:
                socket.send_fds(self._channel, [json.dumps(job).encode()], [memory.fileno()])
                number = 0
                for number, packet in enumerate(packets, 1):
                    yield from self._answers(shared, packet.data, number - 1, max_pixels, deadline, patience)
                yield from self._answers(shared, b"", number, max_pixels, deadline, patience)
            except TimeoutError as error:
                raise Undecodable(f"The GPU took more than {patience:g} s over one picture.") from error
            except (OSError, ValueError) as error:  # it died, or its answer is invalid
                raise _broken() from error

    def close(self) -> None:
        """End the process."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def _answers(
        self, shared: mmap.mmap, data: bytes, number: int, max_pixels: int, deadline: float | None, patience: float
    ) -> Generator[Picture, None, None]:
        shared[: len(data)] = data
        self._channel.send(REQUEST.pack(len(data), number))
        count = 0
        while len(reply := self._receive(deadline, patience)) == SHAPE.size:
            width, height, of = SHAPE.unpack(reply)
            count += 1
            if not 0 < width * height <= max_pixels or count > MOST:
                raise ValueError("a picture that cannot be")
            image = np.frombuffer(shared, np.uint8, width * height * 3, max_pixels * 3)
            yield Picture(of, image.reshape(height, width, 3).copy())
            self._channel.send(b"+")
        message = json.loads(reply)
        if message:
            raise Undecodable(str(message.get("detail"))[:500])

    def _receive(self, deadline: float | None, patience: float) -> bytes:
        if not (reply := received(self._channel, self._process.pid, patience, deadline)):
            raise ConnectionError("it ended")
        return reply


def _noted(taken: Generator[Packet, None, None], sent: list[Packet], shown: Shown) -> Generator[Packet, None, None]:
    """Pass on the packets and record their properties, because their data is freed later."""
    for packet in taken:
        if packet.shown:
            shown.sent(len(sent))
        sent.append(replace(packet, data=b""))
        yield packet


def _laid_out(image: npt.NDArray[np.uint8], layout: Layout) -> npt.NDArray[np.uint8]:
    """The picture with square pixels, upright."""
    if image.shape[:2] != (layout.height, layout.width):
        image = np.asarray(cv2.resize(image, (layout.width, layout.height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return layout.turn(image)


def _broken() -> ClipError:
    return Undecodable("The clip cannot be decoded: it made the GPU's decoder fail, or exceeded its limits.")
