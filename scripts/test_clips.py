"""Makes the clips that tests and benches read, tests/clips: python scripts/test_clips.py [NAME…] [--assets FOLDER]

They show rendered people of training/bodies, which needs the extra ``bodies`` and MakeHuman's clothes; tests and
benches need neither. The same versions of numpy, torch and the encoder make the same files. Beside some clips lies the
truth, NAME.npz:

    joints  float32 (T, K, 17, 2), COCO-17 x and y in pixels of K people in T frames, also if hidden
    boxes   float32 (T, K, 4), x1 y1 x2 y2 in pixels of what would be seen of each person alone
    masks   uint8 (T, K, H, W / 8), a bit per pixel: pixels that mostly show the person; of ``walk`` alone

``ann-1``, ``ann-2``: two walks of Ann in one outfit, by cameras a few degrees apart; ``ann-long``: a longer one;
``bob-1``, ``cid-1``, ``dora-1``: people of other builds in other clothes; ``two``: Ann behind Bob; ``knees``: Ann, cut
off above the knees; ``short``: three frames of Ann; ``empty``: nobody; ``walk``: Bob, three seconds; ``crossing-1``,
``crossing-2``: two people walk towards and past each other; ``pacing``: Bob walks back and forth, a loop of ten
seconds; ``person-N-walk-M``: six people with two walks each, small pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gaitkeeper.training.bodies.clips import Appearance, Stage
from gaitkeeper.training.bodies.encode import encode
from gaitkeeper.training.bodies.footage import BodyClip
from gaitkeeper.training.bodies.model import body_model
from gaitkeeper.training.bodies.population import Someone
from gaitkeeper.training.bodies.recording import Recording
from gaitkeeper.training.bodies.room import Room
from gaitkeeper.training.bodies.wardrobe import Wardrobe

CLIPS = Path(__file__).resolve().parents[1] / "tests" / "clips"
SEED = 0
ANN, BOB, CID, DORA = 0, 11, 6, 3
"""Numbers among the people of the seed: a small light woman, a tall man, a heavy man in a coat, a tall heavy woman."""
OWN = (0, 1, 3, 6, 9, 11)
SIZE, SECONDS = (480, 360), 1.6
CAMERA = Recording(noise=1.0)


@dataclass(frozen=True)
class Recipe:
    """How a clip is made.

    Attributes:
        clip: makes its contents.
        crf: compression.
        truth: True to write joints and boxes beside it.
        masks: True to write masks, too.
    """

    clip: Callable[[], BodyClip]
    crf: int = 20
    truth: bool = False
    masks: bool = False


class Cast:
    """The people, drawn when first asked for."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._people: list[Someone] = []

    def walk(self, number: int, walk: int) -> Appearance:
        """A walk of a person in the usual outfit."""
        if not self._people:
            self._people = self.stage.people(1 + max(ANN, BOB, CID, DORA, *OWN), SEED)
        return self.stage.appear(self._people[number], np.random.default_rng([SEED, number, walk]))


def recipes(stage: Stage) -> dict[str, Recipe]:
    """Every clip by name."""
    cast = Cast(stage)
    room = Room.drawn(SEED)

    def crossing(number: int, walk: int, azimuth: float = 90.0, seconds: float = SECONDS) -> Recipe:
        return Recipe(
            lambda: stage.crossing(
                cast.walk(number, walk), azimuth=azimuth, height=1.5, seconds=seconds, size=SIZE, seed=walk, room=room,
                recording=CAMERA,
            )
        )  # fmt: skip

    found = {
        "ann-1": crossing(ANN, 1),
        "ann-2": crossing(ANN, 2, azimuth=86.0),
        "ann-long": crossing(ANN, 2, azimuth=86.0, seconds=2 * SECONDS),
        "short": crossing(ANN, 3, seconds=0.1),
        "bob-1": crossing(BOB, 1),
        "cid-1": crossing(CID, 1),
        "dora-1": crossing(DORA, 1),
        "two": Recipe(
            lambda: stage.in_a_row(
                cast.walk(ANN, 4), cast.walk(BOB, 4), seconds=SECONDS, size=SIZE, room=room, recording=CAMERA
            )
        ),
        "knees": Recipe(
            lambda: stage.cut_at_knees(cast.walk(ANN, 5), seconds=SECONDS, size=SIZE, room=room, recording=CAMERA)
        ),
        "empty": Recipe(lambda: stage.empty(seconds=1.0, size=SIZE, room=room, recording=CAMERA)),
        "walk": Recipe(
            lambda: stage.crossing(cast.walk(BOB, 6), seconds=3.0, size=(640, 480), seed=11, recording=CAMERA),
            truth=True,
            masks=True,
        ),
        "pacing": Recipe(lambda: stage.pacing(cast.walk(BOB, 7), size=(640, 360), recording=CAMERA), crf=26),
    }
    for number, (one, other) in enumerate(((BOB, ANN), (CID, DORA)), 1):
        found[f"crossing-{number}"] = Recipe(_two(cast, one, other, number), crf=25, truth=True)
    for place, number in enumerate(OWN):
        for walk in (1, 2):
            found[f"person-{place + 1}-walk-{walk}"] = Recipe(_small(cast, number, 10 + walk))
    return found


def _two(cast: Cast, one: int, other: int, seed: int) -> Callable[[], BodyClip]:
    return lambda: cast.stage.two_crossing(
        cast.walk(one, 8), cast.walk(other, 8), size=(848, 480), seed=seed, recording=CAMERA
    )


def _small(cast: Cast, number: int, walk: int) -> Callable[[], BodyClip]:
    return lambda: cast.stage.crossing(
        cast.walk(number, walk), seconds=1.3, size=(320, 240), seed=walk, room=Room.drawn(SEED), recording=CAMERA
    )


def make(name: str, recipe: Recipe, folder: Path) -> Iterator[Path]:
    """Write a clip, and its truth if the recipe asks for it; the files that it wrote."""
    clip, joints, boxes, masks = recipe.clip(), [], [], []

    def images() -> Iterator[np.ndarray]:
        for frame in clip.frames():
            joints.append(frame.joints)
            boxes.append(frame.boxes)
            if recipe.masks:
                masks.append(np.packbits(frame.cover > 0.5, axis=-1))
            yield frame.image

    path = folder / f"{name}.mp4"
    encode(path, images(), clip.view.size, clip.recording.rate, crf=recipe.crf, preset="slow")
    yield path
    if recipe.truth:
        truth = {"joints": np.stack(joints), "boxes": np.stack(boxes)} | ({"masks": np.stack(masks)} if masks else {})
        np.savez_compressed(folder / f"{name}.npz", **truth)
        yield folder / f"{name}.npz"


def main() -> None:
    """Make the clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="clips to make; all without one")
    parser.add_argument("--assets", type=Path, help="MakeHuman's clothes; GAITKEEPER_ASSETS or the cache without it")
    parser.add_argument("--out", type=Path, default=CLIPS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = body_model()
    known = recipes(Stage(model, Wardrobe(model, asked.assets)))
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.names or known:
        for path in make(name, known[name], asked.out):
            print(f"{path.stat().st_size:>7}  {path}")


if __name__ == "__main__":
    main()
