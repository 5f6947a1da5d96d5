"""The configuration of a training: one TOML file per network and data set, read into these types."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gaitkeeper.training.errors import BadTrainingConfig

Probability = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(ge=0, le=0.3)]


class Table(BaseModel):
    """A table of the file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkTable(Table):
    """The network.

    Attributes:
        name: name of the network.
        options: fields of its ``Config``, see below; ``num_classes`` is set automatically if a loss reads logits.
        weights: weights file of the same network to start from, instead of seeded weights. It has no classifier.
    """

    name: str
    options: dict[str, Any] = {}
    weights: Path | None = None


class DataTable(Table):
    """The training data.

    Attributes:
        format: layout of the data set.
        root: the data set's folder or file; a relative path starts from the folder in which the command is called.
        partition: name, or ``.toml`` or ``.json`` path, of a division by people; None takes all people.
        part: which part of the partition trains.
        folds: number of folds of a cross-validation over walks; None trains on all walks. See
            :mod:`gaitkeeper.training.folds`.
        fold: the held-out fold, counted from 0.
        scaled: Kinect joints in units of the torso instead of metres.
        min_score: frames of a lower mean joint score, or heatmap peak, are left out.
        cache: keep read samples in memory.
    """

    format: str
    root: Path
    partition: str | None = None
    part: str = "train"
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] = 0
    scaled: bool = False
    min_score: Probability = 0.0
    cache: bool = False


class BatchTable(Table):
    """A batch of P people × K takes, and the frames of a take.

    Attributes:
        people: P, people of a batch, over all devices; drawn anew for each step.
        takes: K, walks of each person.
        by_view: spread each person's takes over views that the batch's people share.
        alike: probability that the people of a batch have similar builds, if the data set has builds; these are hard
            to distinguish.
        one_outfit: probability that a person's takes in a batch are all in one outfit; 0 takes any.
        frames: T, frames of each take.
        window: frames of the section that an ordered take is cut from, at least ``frames``: (30, 40) in GaitPart.
        segments: number of sections of an ordered take, one from each equal share of the walk, each of
            ``frames / segments`` frames out of ``window / segments``; 1 in the papers.
        ordered: False draws frames from anywhere in the walk, as a set.
        shortest: a take is an unchanged section of the walk, with a length drawn evenly from this to the whole walk or
            ``frames``, instead of ``window``; takes of one batch then differ in length.
        min_frames: a shorter walk is replaced by another of the same person.
        rate_jitter: largest relative change of the walking speed.
    """

    people: Annotated[int, Field(ge=2)]
    takes: Annotated[int, Field(ge=2)]
    by_view: bool = False
    alike: Probability = 0.0
    one_outfit: Probability = 0.0
    frames: Annotated[int, Field(ge=1)] = 30
    window: tuple[int, int] = (30, 40)
    segments: Annotated[int, Field(ge=1)] = 1
    ordered: bool = True
    shortest: Annotated[int, Field(ge=1)] | None = None
    min_frames: Annotated[int, Field(ge=1)] = 15
    rate_jitter: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _window_holds_frames(self) -> BatchTable:
        if self.shortest is not None:
            if self.shortest > self.frames or not self.ordered or self.segments > 1 or self.rate_jitter:
                raise ValueError("shortest is at most frames, of ordered takes in one segment without rate_jitter")
        elif self.ordered and not self.frames <= self.window[0] <= self.window[1]:
            raise ValueError(f"window {self.window} must be two rising numbers from frames = {self.frames} on")
        if self.frames % self.segments:
            raise ValueError(f"frames = {self.frames} cannot be cut into {self.segments} segments")
        if self.by_view and self.one_outfit:
            raise ValueError("by_view and one_outfit cannot both choose a person's takes")
        return self


class AugmentTable(Table):
    """Probabilities and sizes of the augmentations; all off by default. See :mod:`gaitkeeper.training.augment`.

    Attributes:
        flip: probability that left and right are exchanged in a whole sequence.
        rotate: probability that a whole sequence is turned.
        degrees: largest angle of ``rotate``.
        perspective: probability that a whole sequence is seen from another angle.
        distortion: largest shift of a corner by ``perspective``, as a share of the picture.
        stretch: standard deviations of the relative change of width and height.
        shear: standard deviation of the sideways shift of a point by its height.
        shift: standard deviation of the shift to the side and down, in halves of the picture's height.
        fatten: probability that the outline moves one pixel outwards in the whole sequence.
        thin: probability that the outline moves one pixel inwards in the whole sequence.
        erase: probability that a rectangle is erased in all frames of a sequence.
        erase_area: smallest and largest share of the picture that ``erase`` takes.
        occlude: probability that the person passes behind a post.
        post_width: narrowest and widest post of ``occlude``, as a share of the height.
        mask_noise: probability that the silhouettes of a sequence get ragged edges.
        noise_pixels: share of the pixels on the silhouette's edge that ``mask_noise`` flips.
        frame_drop: probability that frames of a sequence are missing.
        drop_share: share of the frames that ``frame_drop`` removes.
        joint_noise: standard deviation of the noise of every joint in every frame, in the units of the joints.
        joint_bias: standard deviation of a shift that is constant in a sequence, because pose networks place joints
            differently.
    """

    flip: Probability = 0.0
    rotate: Probability = 0.0
    degrees: Annotated[float, Field(ge=0, le=90)] = 10.0
    perspective: Probability = 0.0
    distortion: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    stretch: tuple[Spread, Spread] = (0.0, 0.0)
    shear: Spread = 0.0
    shift: tuple[Spread, Spread] = (0.0, 0.0)
    fatten: Probability = 0.0
    thin: Probability = 0.0
    erase: Probability = 0.0
    erase_area: tuple[Probability, Probability] = (0.02, 0.2)
    occlude: Probability = 0.0
    post_width: tuple[Probability, Probability] = (0.04, 0.2)
    mask_noise: Probability = 0.0
    noise_pixels: Probability = 0.3
    frame_drop: Probability = 0.0
    drop_share: Probability = 0.1
    joint_noise: Annotated[float, Field(ge=0)] = 0.0
    joint_bias: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _fatten_or_thin(self) -> AugmentTable:
        if self.fatten + self.thin > 1:
            raise ValueError("fatten and thin exclude each other: together they are at most 1")
        return self

    def only(self, *fields: str) -> AugmentTable:
        """The same table without all other augmentations."""
        return AugmentTable(**{name: getattr(self, name) for name in fields})


class LossTable(Table):
    """One term of the loss; the loss is the weighted sum of all terms. See :mod:`gaitkeeper.training.losses`.

    Attributes:
        kind: triplets ("batch_all", "batch_hard", "weighted"), or classification of the training people ("arcface",
            "cross_entropy"), which needs a network with a classifier.
        weight: factor of the term.
        margin: margin of triplets, in units of the distance, 0.2 by default; of "arcface" in radians, 0.35 by default.
        scale: factor of the logits of a classification.
        smoothing: label smoothing of "cross_entropy".
        branches: outputs of the network that the term is computed for; None for all.
    """

    kind: Literal["batch_all", "batch_hard", "weighted", "arcface", "cross_entropy"]
    weight: Annotated[float, Field(gt=0)] = 1.0
    margin: Annotated[float, Field(ge=0)] | None = None
    scale: Annotated[float, Field(gt=0)] = 1.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    branches: tuple[str, ...] | None = None

    @property
    def needs_logits(self) -> bool:
        """True if the network must have a classifier."""
        return self.kind in ("arcface", "cross_entropy")


class OptimiserTable(Table):
    """Optimiser and learning-rate schedule.

    Attributes:
        kind: Adam, AdamW (decoupled decay), or SGD with ``momentum``.
        rate: learning rate, the largest of the schedule.
        momentum: momentum of SGD.
        weight_decay: for matrices and kernels; not for vectors and scalars (norms, biases, GeM's power).
        schedule: "constant", "steps" (times ``gamma`` at each of ``milestones``), "cosine", to zero at the end, or
            "one_cycle": ``warmup`` steps up from a 25th of the rate, then down to almost zero, along cosines, while
            the momentum of Adam goes from 0.95 to 0.85 and back.
        milestones: steps of the schedule "steps", counted from 0.
        gamma: factor of the rate at each milestone.
        warmup: steps of a linear rise from zero.
        clip_norm: largest gradient norm, None for no limit.
    """

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    rate: Annotated[float, Field(gt=0)] = 1e-4
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "steps", "cosine", "one_cycle"] = "constant"
    milestones: tuple[int, ...] = ()
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    warmup: Annotated[int, Field(ge=0)] = 0
    clip_norm: Annotated[float, Field(gt=0)] | None = None


class RunTable(Table):
    """How the training runs; these options change the result only by precision and rounding.

    Attributes:
        device: "auto" takes the GPU if there is one.
        precision: "auto" is "bf16" if the device has matrix units for it, else "fp32".
        accumulate: number of forward passes of whole people per batch; losses see each pass separately.
        threads: CPU threads; None leaves torch's choice.
        workers: processes that load data; 0 loads in the training process.
        log_every: steps between two lines of the log.
        checkpoint_every: steps between two checkpoints.
        keep: number of newest checkpoints to keep.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    accumulate: Annotated[int, Field(ge=1)] = 1
    threads: Annotated[int, Field(ge=1)] | None = None
    workers: Annotated[int, Field(ge=0)] = 0
    log_every: Annotated[int, Field(ge=1)] = 20
    checkpoint_every: Annotated[int, Field(ge=1)] = 1000
    keep: Annotated[int, Field(ge=1)] = 2


class TrainingConfig(Table):
    """The whole file.

    Attributes:
        steps: steps of the whole training. A finished training can be continued with more.
        seed: seed of the first weights and of every draw; with the same seed a CPU computes the same bits.
        network: the network to train.
        data: the walks to train on.
        batch: the walks and frames of a step.
        augment: random changes of the pictures and joints.
        losses: terms of the loss, one table ``[[losses]]`` each.
        optimiser: how the weights change.
        run: how the training runs.
    """

    steps: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)] = 0
    network: NetworkTable
    data: DataTable
    batch: BatchTable
    augment: AugmentTable = AugmentTable()
    losses: Annotated[tuple[LossTable, ...], Field(min_length=1)]
    optimiser: OptimiserTable = OptimiserTable()
    run: RunTable = RunTable()

    @model_validator(mode="after")
    def _fits_together(self) -> TrainingConfig:
        if self.batch.people % self.run.accumulate or self.batch.people // self.run.accumulate < 2:
            raise ValueError("run.accumulate must divide batch.people into groups of two or more people")
        return self


def load_config(path: str | Path, changes: Iterable[str] = ()) -> TrainingConfig:
    """Read a configuration and apply changes.

    Args:
        path: a TOML file.
        changes: ``key=value`` with a dotted key (``losses.0.weight=0.5``) and a TOML value; a value that is not TOML
            is a string (``data.root=/data/casia-b``), and an empty value removes the key (``data.folds=``).

    Raises:
        BadTrainingConfig: the file is not readable, or a key or value is not allowed.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadTrainingConfig(f"There is no readable training configuration at {path} ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadTrainingConfig(f"{path} is not a TOML file: {error}.") from error
    for change in changes:
        _change(content, change)
    try:
        return TrainingConfig.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise BadTrainingConfig(f"{path} cannot be used: {problems}.") from error


def _change(content: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise BadTrainingConfig(f"{change!r} is not key=value.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *path, last = key.split(".")
    target: Any = content
    try:
        for name in path:
            target = target[int(name)] if isinstance(target, list) else target.setdefault(name, {})
        if text:
            target[int(last) if isinstance(target, list) else last] = value
        else:
            del target[int(last) if isinstance(target, list) else last]
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise BadTrainingConfig(f"{key!r} is not a key of the configuration.") from error
