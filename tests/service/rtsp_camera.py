"""A camera on the network, as far as a client must believe it: RTSP 1.0, and H.264 by RTP in the same connection."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)
LARGEST = 1200


@contextmanager
def camera(
    frames: Sequence[tuple[float, bytes]], pause: float, port: int = 0, *, until_left: bool = False
) -> Iterator[str]:
    """The address of a camera that plays frames of H.264 once to whoever comes, and then hangs up.

    Args:
        frames: seconds and Annex B bytes.
        pause: seconds between two.
        port: to listen on; 0 takes a free one.
        until_left: whether the block waits at its end until the frames were played.
    """
    with socket.create_server(("127.0.0.1", port)) as door:
        thread = threading.Thread(target=_serve, args=(door, frames, pause), daemon=True)
        thread.start()
        yield f"rtsp://127.0.0.1:{door.getsockname()[1]}/main"
        if until_left:
            thread.join(60)
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)
    thread.join(60)


def _serve(door: socket.socket, frames: Sequence[tuple[float, bytes]], pause: float) -> None:
    with suppress(OSError):
        peer, _ = door.accept()
        with peer, peer.makefile("rb") as lines:
            while request := lines.readline():
                headers = {}
                while line := lines.readline().strip():
                    name, _, value = line.partition(b":")
                    headers[name.lower()] = value.strip()
                method = request.split()[0].decode()
                reply = f"RTSP/1.0 200 OK\r\nCSeq: {headers[b'cseq'].decode()}\r\nSession: 1\r\n"
                if method == "OPTIONS":
                    reply += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
                if method == "SETUP":
                    reply += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                if method == "DESCRIBE":
                    reply += f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
                else:
                    reply += "\r\n"
                peer.sendall(reply.encode())
                if method == "PLAY":
                    _play(peer, frames, pause)
                    return


def _play(peer: socket.socket, frames: Sequence[tuple[float, bytes]], pause: float) -> None:
    number = 0
    for t, data in frames:
        units = [unit for unit in re.split(rb"\x00\x00\x00?\x01", data) if unit]
        packets = [(packet, last and unit is units[-1]) for unit in units for packet, last in _packets(unit)]
        for payload, marker in packets:
            head = struct.pack(">BBHII", 0x80, 96 | 0x80 * marker, number & 0xFFFF, round(t * 90_000), 7)
            peer.sendall(struct.pack(">cBH", b"$", 0, len(head) + len(payload)) + head + payload)
            number += 1
        time.sleep(pause)


def _packets(unit: bytes) -> Iterator[tuple[bytes, bool]]:
    """A unit's RTP payloads, RFC 6184: whole, or in fragments (FU-A); and whether each is its last."""
    if len(unit) <= LARGEST:
        yield unit, True
        return
    kind, rest = unit[0], unit[1:]
    for start in range(0, len(rest), LARGEST):
        last = start + LARGEST >= len(rest)
        flags = 0x80 * (start == 0) | 0x40 * last | kind & 0x1F
        yield bytes([kind & 0xE0 | 28, flags]) + rest[start : start + LARGEST], last
