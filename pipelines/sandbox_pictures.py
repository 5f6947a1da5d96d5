"""The parent's side of a sandboxed decoder of single pictures, for live streams."""

from __future__ import annotations

import json
import mmap
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import numpy as np

from gaitkeeper.pipelines.errors import TooLarge, Undecodable
from gaitkeeper.pipelines.pictures import Codec, Picture
from gaitkeeper.pipelines.sandbox_wire import REQUEST, SHAPE

if TYPE_CHECKING:
    from gaitkeeper.pipelines.sandbox import Channel, Sandbox

PATIENCE = 5.0
"""Maximum seconds that a decoder may be idle, or compute, for one message."""
DEATHS = 3
MOST = 32
"""Maximum number of pictures per message; an H.264 encoder delays at most 16."""


class SandboxedPictures:
    """As :class:`gaitkeeper.pipelines.pictures.PictureDecoder`, in a process of its own; for one thread.

    Message and picture lie in shared memory, one at a time. A crashed decoder is replaced, a few times.

    Args:
        sandbox: starts the decoding processes.
        codec: of the messages.
        max_pixels: of a picture.
        max_bytes: of a message.
    """

    def __init__(self, sandbox: Sandbox, codec: Codec, max_pixels: int, max_bytes: int) -> None:
        self._sandbox = sandbox
        self._job = {"codec": codec, "max_pixels": max_pixels, "max_bytes": max_bytes}
        self._max_pixels, self._max_bytes = max_pixels, max_bytes
        self._stack = ExitStack()
        self._channel: Channel | None = None
        self._deaths = 0
        self._shared: mmap.mmap | None = None

    def decode(self, data: bytes, number: int) -> list[Picture]:
        """As :meth:`gaitkeeper.pipelines.pictures.Pictures.decode`.

        Raises:
            SandboxUnavailable: no process could be started.
        """
        if len(data) > self._max_bytes:
            raise TooLarge(f"The picture's message has {len(data)} bytes, {self._max_bytes} are allowed.")
        if self._deaths >= DEATHS:
            raise Undecodable("The stream made its decoder fail repeatedly.")
        try:
            return self._decoded(data, number)
        except (OSError, ValueError) as error:  # it died, it hangs, or its answer is invalid
            self._deaths += 1
            self.close()
            raise Undecodable("The picture made its decoder fail, or exceeded the limits of decoding.") from error

    @property
    def broken(self) -> bool:
        """True if no further decoder will be started for this stream."""
        return self._deaths >= DEATHS

    def close(self) -> None:
        """End the process."""
        self._stack.close()
        self._channel = self._shared = None

    def _decoded(self, data: bytes, number: int) -> list[Picture]:
        if self._channel is None:
            self._open()
        channel, shared = self._channel, self._shared
        assert channel is not None and shared is not None
        shared[: len(data)] = data
        channel.send(REQUEST.pack(len(data), number))
        pictures: list[Picture] = []
        while len(reply := channel.receive(PATIENCE)) == SHAPE.size:
            width, height, of = SHAPE.unpack(reply)
            size = width * height * 3
            if not 0 < size <= 3 * self._max_pixels or len(pictures) > min(number, MOST):
                raise ValueError("a picture that cannot be")
            # A copy, which the other process cannot change any more.
            image = np.frombuffer(shared, np.uint8, size, self._max_bytes).reshape(height, width, 3).copy()
            pictures.append(Picture(of, image))
            channel.send(b"+")
        message = json.loads(reply)
        if not isinstance(message, dict):
            raise ValueError("a message that cannot be")
        if "code" in message:
            kind = TooLarge if message["code"] == TooLarge.code else Undecodable
            raise kind(str(message.get("detail"))[:500])
        return pictures

    def _open(self) -> None:
        from gaitkeeper.pipelines.sandbox import sealed

        memory = self._stack.enter_context(os.fdopen(sealed(self._max_bytes + 3 * self._max_pixels), "r+b"))
        self._channel = self._stack.enter_context(self._sandbox.forked({"live": self._job}, [memory.fileno()]))
        self._shared = mmap.mmap(memory.fileno(), 0)
        self._stack.callback(_closed, self._shared)


def _closed(shared: mmap.mmap) -> None:
    with suppress(BufferError):
        shared.close()
