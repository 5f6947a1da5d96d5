"""What a camera makes of light: exposure, blur, grey or colour, noise of the sensor, and lossy compression."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext

from gaitkeeper.training.bodies.pictures import Picture

Image = npt.NDArray[np.uint8]

_GAMMA = 1 / 2.2
_TILE = 61


@dataclass(frozen=True)
class Recording:
    """Properties of a camera's recording.

    Attributes:
        exposure: factor of the light.
        contrast: factor of the grey levels about ``middle``; 1 uses the full range.
        middle: grey level in [0, 255] that contrast does not change.
        grey: True for a grey picture.
        blur: standard deviation of the lens's blur in pixels.
        noise: standard deviation of the sensor's noise in grey levels.
        codec: "libx264", "mpeg4", or None without compression.
        quality: the codec's own quality: crf of libx264 (20 to 38), quantiser of mpeg4 (2 to 14).
        rate: frames per second.
    """

    exposure: float = 1.0
    contrast: float = 1.0
    middle: float = 110.0
    grey: bool = False
    blur: float = 0.5
    noise: float = 1.6
    codec: str | None = None
    quality: int = 23
    rate: int = 30

    def frames(self, lights: Iterable[npt.NDArray[np.float32]], seed: int) -> Iterator[Image]:
        """RGB uint8 (H, W, 3) pictures of linear light float32 (H, W, 3), H and W even.

        Args:
            lights: pictures of one size.
            seed: seed of the sensor's noise.
        """
        exposed = self._exposed(lights, np.random.default_rng([seed, 0x5E]))
        return exposed if self.codec is None else self._compressed(exposed)

    def film(self, shots: Iterable[Picture], seed: int) -> Iterator[tuple[Image, npt.NDArray[np.float32]]]:
        """The pictures as :meth:`frames` gives them, each with the cover of its shot, float32 (K, H, W)."""
        covers: deque[npt.NDArray[np.float32]] = deque()

        def lights() -> Iterator[npt.NDArray[np.float32]]:
            for shot in shots:
                covers.append(shot.cover)
                yield shot.light

        for image in self.frames(lights(), seed):
            yield image, covers.popleft()

    def _exposed(self, lights: Iterable[npt.NDArray[np.float32]], rng: np.random.Generator) -> Iterator[Image]:
        table = (np.linspace(0, 1, 4096, dtype=np.float32) ** _GAMMA * 255 - self.middle) * self.contrast + self.middle
        tile: npt.NDArray[np.float32] | None = None
        for light in lights:
            soft = cv2.GaussianBlur(light, (0, 0), self.blur) if self.blur else light
            picture = table[np.clip(soft * (4095 * self.exposure), 0, 4095).astype(np.uint16)]
            if self.grey:
                picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
            if self.noise:
                height, width, bands = picture.shape
                if tile is None:
                    tile = rng.normal(0, self.noise, (height + _TILE, width + _TILE, bands)).astype(np.float32)
                y, x = rng.integers(_TILE, size=2)
                picture = picture + tile[y : y + height, x : x + width]
            levels = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
            yield np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))

    def _compressed(self, images: Iterable[Image]) -> Iterator[Image]:
        """The pictures after the codec."""
        encoder = decoder = None
        for number, image in enumerate(images):
            if encoder is None or decoder is None:
                encoder, decoder = self._codecs(image.shape[1], image.shape[0])
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, self.rate)
            for packet in encoder.encode(frame):
                yield from map(_rgb, decoder.decode(packet))
        if encoder is not None and decoder is not None:
            for packet in encoder.encode(None):
                yield from map(_rgb, decoder.decode(packet))
            yield from map(_rgb, decoder.decode(None))

    def _codecs(self, width: int, height: int) -> tuple[VideoCodecContext, VideoCodecContext]:
        assert self.codec is not None
        encoder = av.CodecContext.create(self.codec, "w")
        decoder = av.CodecContext.create("h264" if self.codec == "libx264" else self.codec, "r")
        assert isinstance(encoder, VideoCodecContext) and isinstance(decoder, VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, self.rate), Fraction(self.rate)
        encoder.thread_count = decoder.thread_count = 1
        if self.codec == "libx264":
            encoder.options = {"crf": str(self.quality), "preset": "veryfast", "tune": "zerolatency", "threads": "1"}
        else:
            encoder.options = {"qmin": str(self.quality), "qmax": str(self.quality), "g": "12"}
        return encoder, decoder


def _rgb(frame: av.VideoFrame) -> Image:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def draw_recording(rng: np.random.Generator, small: bool, rate: int) -> Recording:
    """A random recording.

    Args:
        rng: random generator.
        small: True for a small picture, which is grey more often.
        rate: frames per second.
    """
    codec = (None, "libx264", "mpeg4")[int(rng.choice(3, p=(0.25, 0.5, 0.25)))]
    return Recording(
        exposure=float(np.exp(rng.uniform(np.log(0.45), np.log(1.8)))),
        contrast=float(rng.uniform(0.55, 1.05)),
        middle=float(rng.uniform(60, 180)),
        grey=bool(rng.random() < (0.6 if small else 0.2)),
        blur=float(rng.uniform(0.3, 1.0 if small else 1.4)),
        noise=float(np.exp(rng.uniform(np.log(0.8), np.log(9.0)))),
        codec=codec,
        quality=int(rng.integers(20, 37) if codec == "libx264" else rng.integers(2, 12)),
        rate=rate,
    )
