"""The GPU decoder's own process, started by :mod:`gaitkeeper.pipelines.nvdec`:
``python -m gaitkeeper.pipelines.nvdec_worker FD``.

It never reads a container: jobs are packets in Annex B, one at a time, in shared memory.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import socket
import sys
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.errors import TooLarge, Undecodable
from gaitkeeper.pipelines.pictures import Picture
from gaitkeeper.pipelines.sandbox_wire import MESSAGE, REQUEST
from gaitkeeper.pipelines.sandbox_worker import answered


class NvPictures:
    """Pictures of one clip, decoded by PyNvVideoCodec to NV12 in host memory, in display order.

    Args:
        nvc: the package.
        codec: "h264" or "hevc".
        max_pixels: of a picture.
    """

    def __init__(self, nvc: Any, codec: str, max_pixels: int) -> None:
        self._nvc = nvc
        self._max_pixels = max_pixels
        kinds = {"h264": nvc.cudaVideoCodec.H264, "hevc": nvc.cudaVideoCodec.HEVC}
        self._decoder = nvc.CreateDecoder(gpuid=0, codec=kinds[codec], usedevicememory=False)

    def decode(self, data: bytes, number: int) -> list[Picture]:
        """The pictures of a packet; empty data marks the end of the clip and returns the rest."""
        packet = self._nvc.PacketData()
        held = np.frombuffer(data, np.uint8)
        packet.bsl, packet.bsl_data, packet.pts = len(data), held.ctypes.data if len(data) else 0, number
        try:
            return [self._picture(frame) for frame in self._decoder.Decode(packet)]
        except RuntimeError as error:  # includes the package's own errors
            raise Undecodable("The clip's pictures cannot be decoded: the file is damaged.") from error

    def _picture(self, frame: Any) -> Picture:
        height, width = frame.cuda()[0].shape[:2]
        if height * width > self._max_pixels or frame.framesize() != height * width * 3 // 2:
            raise TooLarge(f"The picture has {width} × {height} pixels, {self._max_pixels} are allowed.")
        plain = (ctypes.c_uint8 * frame.framesize()).from_address(frame.GetPtrToPlane(0))
        planes = np.frombuffer(plain, np.uint8).reshape(height * 3 // 2, width)
        image: npt.NDArray[np.uint8] = np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_NV12), np.uint8)
        return Picture(int(frame.getPTS()), image)


def main() -> None:
    """Decode clip after clip until the other end is closed."""
    end = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import PyNvVideoCodec
    except (ImportError, OSError, RuntimeError) as error:  # no driver, or not for this Python
        end.send(json.dumps({"fault": str(error).strip().rstrip(".")[:500]}).encode())
        return
    end.send(b'{"fault": null}')
    while True:
        job, descriptors, _, _ = socket.recv_fds(end, MESSAGE, 1)
        if not job:
            return
        about = json.loads(job)
        with mmap.mmap(descriptors[0], 0) as shared:
            os.close(descriptors[0])
            decoder = NvPictures(PyNvVideoCodec, about["codec"], about["max_pixels"])
            size = 1
            while size:  # the last request of a clip is empty
                if not (request := end.recv(MESSAGE)):
                    return
                size, number = REQUEST.unpack(request)
                answer = answered(end, shared, decoder, about["offset"], size, number)
                end.send(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
