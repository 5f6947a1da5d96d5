"""Stands in for NVIDIA's package where there is no GPU: the same calls, answered by libav.

As the real one it takes packets in Annex B with a number for a time stamp, gives pictures back in the order of showing,
in NV12, in memory that the caller reads by its address, and takes a packet without data for the end.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import av
import av.error

cudaVideoCodec = SimpleNamespace(H264="h264", HEVC="hevc")  # noqa: N816


class PacketData:
    """bsl bytes at the address bsl_data."""

    bsl, bsl_data, pts = 0, 0, 0


class DecodedFrame:
    """One picture."""

    def __init__(self, frame):
        self._planes = frame.reformat(format="nv12").to_ndarray()
        self._size = frame.height, frame.width
        self._pts = frame.pts

    def getPTS(self):  # noqa: N802
        return self._pts

    def framesize(self):
        return self._planes.nbytes

    def cuda(self):
        return [SimpleNamespace(shape=[*self._size, 1])]

    def GetPtrToPlane(self, index):  # noqa: N802
        assert index == 0
        return self._planes.ctypes.data


class CreateDecoder:
    """The decoder."""

    def __init__(self, gpuid, codec, usedevicememory):
        assert gpuid == 0 and usedevicememory is False
        self._context = av.CodecContext.create(codec, "r")
        self._context.thread_count = 1

    def Decode(self, packet):  # noqa: N802
        data = ctypes.string_at(packet.bsl_data, packet.bsl) if packet.bsl else b""
        coded = None
        if data:
            assert data.startswith((b"\0\0\1", b"\0\0\0\1")), "no start code"
            coded = av.Packet(data)
            coded.pts = packet.pts
        try:
            return [DecodedFrame(frame) for frame in self._context.decode(coded)]
        except av.error.FFmpegError as error:
            raise RuntimeError("PyNvVCException") from error
