"""Skeletons as graphs of joints, limbs and body parts, for graph convolutions and part pooling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

Limb = tuple[int, int, int]


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints.

    A limb lists its joints from the trunk outwards: shoulder, elbow, wrist, or hip, knee, ankle.

    Attributes:
        joints: names, in the order of the tensors.
        bones: pairs of joints that a bone connects.
        centre: the joint used as the body's centre of gravity.
        head, trunk, pelvis: joints of the body's axis; the shoulders and hips belong to their limbs.
    """

    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    centre: int
    head: tuple[int, ...]
    trunk: tuple[int, ...]
    pelvis: tuple[int, ...]
    left_arm: Limb
    right_arm: Limb
    left_leg: Limb
    right_leg: Limb

    def __len__(self) -> int:
        return len(self.joints)

    def adjacency(self, alpha: float) -> Tensor:
        """Normalised adjacency (3, V, V) of the three subsets: the joint itself, centripetal, centrifugal neighbours.

        Spatial configuration partitioning of ST-GCN (Yan et al. 2018, section 3.3): among the neighbours of joint i,
        row i, the centripetal ones are nearer to the centre, counted in bones. Normalised as JointsGait (eq. 2) does,
        Λ^(−1/2) A Λ^(−1/2) with Λ = degree + ``alpha``. The subsets are directed graphs; the degrees are those of the
        rows on the left and of the columns on the right. With the degrees of the rows on both sides, as in the paper,
        an edge to a joint with an empty row would be multiplied by alpha^(−1/2) = 32.
        """
        depth = self._depth()
        a = torch.zeros(3, len(self), len(self))
        a[0] = torch.eye(len(self))
        for one, other in self.bones:
            near, far = sorted((one, other), key=depth.__getitem__)
            a[1, far, near] = 1
            a[2, near, far] = 1
        rows, columns = a.sum(2) + alpha, a.sum(1) + alpha
        return a * rows[:, :, None].rsqrt() * columns[:, None, :].rsqrt()

    def _depth(self) -> list[int]:
        depth = [-1] * len(self)
        depth[self.centre] = 0
        queue = [self.centre]
        for joint in queue:
            for bone in self.bones:
                if joint in bone:
                    other = bone[0] + bone[1] - joint
                    if depth[other] < 0:
                        depth[other] = depth[joint] + 1
                        queue.append(other)
        return depth

    def groups(self, scale: int) -> list[tuple[int, ...]]:
        """Joints of the groups of one scale of JointsGait's pyramid (section 3.2, figure 4), named by their number.

        =====  ==========================================================================================
        scale  groups
        =====  ==========================================================================================
        1      the whole body
        2      head, trunk and arms; pelvis and legs
        3      left arm and right leg; right arm and left leg; head, trunk and pelvis
        5      left arm; right arm; left leg; right leg; head, trunk and pelvis
        12     upper and lower half of each limb (elbows and knees belong to both halves); head;
               shoulders with the top of the trunk; torso (trunk, shoulders, hips, pelvis); hips with the pelvis
        V      each joint by itself (18 joints in the paper)
        =====  ==========================================================================================

        The figure was not available: scales 1, 2, 3, 5 and V follow the text, the last four groups of 12 are our
        choice.

        Raises:
            ValueError: there is no such scale.
        """
        limbs = (self.left_arm, self.right_arm, self.left_leg, self.right_leg)
        axis = self.head + self.trunk + self.pelvis
        shoulders = (self.left_arm[0], self.right_arm[0])
        hips = (self.left_leg[0], self.right_leg[0])
        by_scale: dict[int, list[tuple[int, ...]]] = {
            1: [tuple(range(len(self)))],
            2: [self.head + self.trunk + self.left_arm + self.right_arm, self.pelvis + self.left_leg + self.right_leg],
            3: [self.left_arm + self.right_leg, self.right_arm + self.left_leg, axis],
            5: [*limbs, axis],
            12: [half for limb in limbs for half in (limb[:2], limb[1:])]
            + [self.head, self.trunk[:1] + shoulders, self.trunk + shoulders + hips + self.pelvis, self.pelvis + hips],
            len(self): [(joint,) for joint in range(len(self))],
        }
        if scale not in by_scale:
            raise ValueError(f"scale {scale} is none of {sorted(by_scale)}")
        return by_scale[scale]

    def pyramid(self, scales: Iterable[int]) -> list[tuple[int, ...]]:
        """The groups of several scales, one after the other."""
        return [group for scale in scales for group in self.groups(scale)]


_LEFT_RIGHT = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")

COCO_NECK = Skeleton(
    joints=("nose", *(f"{side}_{name}" for name in _LEFT_RIGHT for side in ("left", "right")), "neck"),
    bones=(
        *((17, 0), (0, 1), (0, 2), (1, 3), (2, 4)),
        *((17, 5), (5, 7), (7, 9), (17, 6), (6, 8), (8, 10)),
        *((17, 11), (11, 13), (13, 15), (17, 12), (12, 14), (14, 16)),
    ),
    centre=17,
    head=(0, 1, 2, 3, 4),
    trunk=(17,),
    pelvis=(),
    left_arm=(5, 7, 9),
    right_arm=(6, 8, 10),
    left_leg=(11, 13, 15),
    right_leg=(12, 14, 16),
)
"""The 18 joints of OpenPose with its limbs, in COCO's order with the neck last; its centre is the neck, as ST-GCN's."""

KINECT_16 = Skeleton(
    joints=(
        *("head", "shoulder_centre", "right_shoulder", "left_shoulder", "right_elbow", "left_elbow"),
        *("right_wrist", "left_wrist", "spine", "hip_centre", "right_hip", "left_hip"),
        *("right_knee", "left_knee", "right_ankle", "left_ankle"),
    ),
    bones=(
        *((0, 1), (1, 8), (8, 9)),
        *((1, 2), (2, 4), (4, 6), (1, 3), (3, 5), (5, 7)),
        *((9, 10), (10, 12), (12, 14), (9, 11), (11, 13), (13, 15)),
    ),
    centre=8,
    head=(0,),
    trunk=(1, 8),
    pelvis=(9,),
    left_arm=(3, 5, 7),
    right_arm=(2, 4, 6),
    left_leg=(11, 13, 15),
    right_leg=(10, 12, 14),
)
"""16 of the 20 joints of Kinect V1, in its order: all but hands and feet, whose positions the sensor guesses."""

KINECT_16_OF_20 = (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17)
"""Indices of the joints of ``KINECT_16`` among the 20 of the Kinect Gait Biometry Dataset."""
