"""Limits of a live stream, and the rate at which its frames come."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from gaitkeeper.service.settings import Settings

DENSE_HZ = 36.0


@dataclass(frozen=True, eq=False)
class Limits:
    """Limits of one stream: pixels per picture, bytes per message, frames per second."""

    pixels: int
    message_bytes: int
    rate: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits in the settings."""
        return cls(settings.stream_pixels, settings.stream_message_bytes, settings.stream_rate)


class Rates:
    """The frame rate of one stream: by arrival, which is limited, and by time stamps.

    Args:
        rate: maximum number of frames a second on average; as many may come at once.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens, self._filled = rate, time.monotonic()
        self._stamps: deque[float] = deque(maxlen=30)

    def admit(self) -> bool:
        """Count a frame that has come; False if it exceeds the rate."""
        now = time.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def note(self, t: float) -> None:
        """Note the time stamp of a frame, in seconds."""
        self._stamps.append(t)

    def restart(self) -> None:
        """Forget the time stamps: the sender's clock has jumped."""
        self._stamps.clear()

    def are_dense(self) -> bool:
        """True if the frame rate by time stamps is above 36 Hz."""
        return len(self._stamps) >= 8 and float(np.median(np.diff(np.sort(self._stamps)))) < 1 / DENSE_HZ
