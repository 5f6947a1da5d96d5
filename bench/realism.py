"""Can a network tell rendered from real silhouettes? ``python -m bench.realism --real FORMAT:PATH --made PACK ...``.

A classifier learns to tell frames of real people from rendered ones, and is tested on other people; 50 % is chance.
Real people serve only for this evaluation: no shipped weights are trained here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench.report import write
from gaitkeeper.training.datasets import Dataset, open_dataset

Array = npt.NDArray[Any]
FOLDS = 3
PER_PERSON = 240
"""Maximum number of frames per person."""
_STEPS, _BATCH = 500, 64


def frames_of(walks: Dataset, people: int, rng: np.random.Generator) -> dict[str, Array]:
    """Silhouettes uint8 (N, 64, 64) of some people, spread over their walks."""
    chosen = rng.permutation(walks.subjects)[:people]
    by_person: dict[str, list[Any]] = {name: [] for name in chosen}
    for sample in walks:
        if sample.subject in by_person:
            by_person[sample.subject].append(sample)
    found = {}
    for name, samples in by_person.items():
        each = max(1, -(-PER_PERSON // len(samples)))
        kept = []
        for i in rng.permutation(len(samples))[:PER_PERSON]:
            silhouettes = samples[i].load().silhouettes
            if silhouettes is not None and len(silhouettes):
                kept.append(silhouettes[rng.choice(len(silhouettes), min(each, len(silhouettes)), replace=False)])
        found[name] = np.concatenate(kept)[:PER_PERSON]
    return found


def told_apart(real: list[dict[str, Array]], made: dict[str, Array], seed: int = 0) -> list[float]:
    """Balanced accuracy in percent on unseen people, one figure per fold.

    Args:
        real: frames by person for each data set; data sets have equal weight.
        made: frames of rendered people.
        seed: seed of the network and its batches.
    """
    found = []
    for fold in range(FOLDS):
        groups = [_split(people, fold) for people in [*real, made]]
        net = _learned([train for train, _ in groups], seed + fold)
        right = []
        for i, (_, test) in enumerate(groups):
            with torch.inference_mode():
                says = torch.cat([net(_tensor(test[k : k + 256])) for k in range(0, len(test), 256)])[:, 0] > 0
            right.append(float((says == (i < len(real))).float().mean()))
        found.append(50 * (float(np.mean(right[:-1])) + right[-1]))
    return found


def _split(people: dict[str, Array], fold: int) -> tuple[Array, Array]:
    """Frames of the training people and of the test people."""
    names = sorted(people)
    asked = names[fold::FOLDS]
    return tuple(np.concatenate([people[n] for n in names if (n in asked) == test]) for test in (False, True))  # type: ignore[return-value]


def _learned(groups: list[Array], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    layers: list[nn.Module] = []
    width = 1
    for channels in (12, 24, 48):
        layers += [nn.Conv2d(width, channels, 3, 1, 1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2)]
        width = channels
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d((4, 1)), nn.Flatten(), nn.Dropout(0.3), nn.Linear(4 * width, 1))
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, _STEPS)
    real = len(groups) - 1
    for _ in range(_STEPS):
        counts = [_BATCH // 2 // real] * real + [_BATCH // 2]
        rows = [_tensor(g[rng.integers(len(g), size=n)]) for g, n in zip(groups, counts, strict=True)]
        truth = torch.cat([torch.full((n,), float(i < real)) for i, n in enumerate(counts)])
        loss = nn.functional.binary_cross_entropy_with_logits(net(torch.cat(rows))[:, 0], truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def _tensor(silhouettes: Array) -> Tensor:
    return torch.from_numpy(silhouettes > 127)[:, None].float()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", nargs="+", required=True, help="FORMAT:PATH of data sets of real people")
    parser.add_argument("--made", nargs="+", type=Path, required=True, help="packs of rendered people")
    parser.add_argument("--people", type=int, default=60, help="how many of a pack")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    real = []
    for name in args.real:
        kind, _, path = name.partition(":")
        real.append(frames_of(open_dataset(kind, Path(path)), 1000, rng))
    report: dict[str, Any] = {"real": {n: len(p) for n, p in zip(args.real, real, strict=True)}, "made": {}}
    for pack in args.made:
        rates = told_apart(real, frames_of(open_dataset("walkers", pack), args.people, rng), args.seed)
        report["made"][str(pack)] = rates
        print(f"{pack.name}: told from real people in {np.mean(rates):.1f} % ({', '.join(f'{r:.1f}' for r in rates)})")
    write("realism", report)


if __name__ == "__main__":
    main()
