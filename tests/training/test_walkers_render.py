"""Rasteriser, meshes, camera, and the frames and truth that they make together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gaitkeeper.training.walkers.body import build
from gaitkeeper.training.walkers.camera import Camera
from gaitkeeper.training.walkers.distance_fields import Ellipsoid, Loft, Solid
from gaitkeeper.training.walkers.gait import Path
from gaitkeeper.training.walkers.mesh import surface_nets
from gaitkeeper.training.walkers.noise import Noise
from gaitkeeper.training.walkers.person import Outfit, Person, draw_person
from gaitkeeper.training.walkers.raster import rasterise
from gaitkeeper.training.walkers.render import Frame, render
from gaitkeeper.training.walkers.scene import Room, Scene, Walker, background

BALL = Solid("skin", (Ellipsoid(torch.zeros(3), (0.3, 0.3, 0.3), "head"),), cell=0.03)
CAMERA = Camera((0.0, -4.0, 1.0), (0.0, 0.0, 1.0), 300.0, 200, 160)


def standing(person: Person, x: float = 0.0, y: float = 0.0, heading: float = 0.0) -> Walker:
    return Walker.along(person, Path((x, y), heading))


def picture(*walkers: Walker, times: tuple[float, ...] = (0.0,), camera: Camera = CAMERA) -> list[Frame]:
    return list(render(Scene(camera, walkers), torch.tensor(times)))


def test_camera_projects_what_its_rays_see() -> None:
    camera = Camera.around((1.0, 0.5, 0.9), 40.0, 5.0, 2.0, (64, 48), roll=0.2)
    rays = camera.rays()
    seen = camera.project(torch.tensor(camera.position) + 3.0 * rays)
    x, y = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(48) + 0.5, indexing="xy")
    torch.testing.assert_close(seen[..., 0], x, atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[..., 1], y, atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[..., 2], torch.full((48, 64), 3.0))
    torch.testing.assert_close(torch.cat((camera.rays(top=0, bottom=20), camera.rays(top=20))), rays)


def test_camera_around_puts_the_target_in_the_middle_and_up_up() -> None:
    camera = Camera.around((0.0, 0.0, 1.0), 90.0, 4.0, 1.6, (100, 80), view=2.0)
    points = torch.tensor([[0.0, 0, 1.0], [0.0, 0, 1.5], [0.5, 0, 1.0]])
    middle, above, ahead = camera.project(points)
    torch.testing.assert_close(middle[:2], torch.tensor([50.0, 40.0]))
    assert above[1] < middle[1] - 10
    assert ahead[0] < middle[0] - 10  # who walks along +x and is seen from their left goes to the left
    assert 80 / camera.focal * float(middle[2]) == pytest.approx(2.0)


def test_surface_nets_make_a_closed_outward_surface() -> None:
    vertices, faces = surface_nets(BALL, Noise(0))
    assert (vertices.norm(dim=-1) - 0.3).abs().max() < 0.003
    edges = torch.cat([faces[:, [i, (i + 1) % 3]] for i in range(3)])
    _, there = edges.unique(dim=0, return_counts=True)
    assert (there == 1).all()
    back = {(int(b), int(a)) for a, b in edges}
    assert back == {(int(a), int(b)) for a, b in edges}
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    volume = float((a * torch.linalg.cross(b, c)).sum() / 6)
    assert volume == pytest.approx(4 / 3 * math.pi * 0.3**3, rel=0.02)


def test_loft_distance_has_its_sign_right() -> None:
    tube = Loft(
        torch.tensor([0.0, 0, 1]), torch.tensor([0.0, 0, 0]), (0.0, 1.0), (0.1, 0.2), (0.1, 0.1), ("head", "head")
    )
    points = torch.tensor([[0, 0, 0.5], [0, 0.09, 0.99], [0, 0.11, 0.99], [0, 0.19, 0.02], [0.11, 0, 0.5], [0, 0, 1.1]])
    assert (tube.distance(points) < 0).tolist() == [True, True, False, True, False, False]
    assert float(tube.distance(torch.tensor([[0, 0, 1.5]]))[0]) == pytest.approx(0.48, abs=0.03)


def test_rasteriser_agrees_with_a_ball_seen_from_afar() -> None:
    vertices, faces = surface_nets(BALL, Noise(0))
    camera = Camera((0.0, -5.0, 0.0), (0.0, 0.0, 0.0), 400.0, 90, 70)
    hits = rasterise(camera.project(vertices)[None], faces, 70, 90)
    rays = camera.rays().reshape(-1, 3)
    origin = torch.tensor(camera.position)
    unit = rays / rays.norm(dim=-1, keepdim=True)
    along = -(unit @ origin)
    miss = (origin + along[:, None] * unit).norm(dim=-1)
    expected = miss < 0.3
    covered = torch.zeros(70 * 90, dtype=torch.bool)
    covered[hits.pixel] = True
    # Only pixels on the outline, within half a pixel (6 mm) of it, may differ.
    assert ((covered != expected) & ((miss - 0.3).abs() > 0.006)).sum() == 0
    depth = (along - (0.09 - miss**2).clamp_min(0).sqrt()) / rays.norm(dim=-1)
    inner = miss[hits.pixel] < 0.2
    torch.testing.assert_close(hits.depth[inner], depth[hits.pixel][inner], atol=0.004, rtol=0)


def test_rasteriser_weights_are_perspective_correct() -> None:
    """A long triangle that recedes: the blended corner is where the pixel's ray meets it."""
    corners = torch.tensor([[-1.0, 0.0, 0.2], [1.0, 8.0, 0.0], [-1.0, 6.0, 2.0]])
    screen = CAMERA.project(corners)[None]
    hits = [rasterise(screen, torch.tensor([face]), 160, 200) for face in ([0, 1, 2], [0, 2, 1])]
    assert sorted(len(h.pixel) > 0 for h in hits) == [False, True]  # one side shows, its back does not
    seen = max(hits, key=lambda h: len(h.pixel))
    face = torch.tensor([0, 1, 2] if seen is hits[0] else [0, 2, 1])
    assert len(seen.pixel) > 500
    points = (corners[face] * seen.weights[..., None]).sum(1)
    back = CAMERA.project(points)
    torch.testing.assert_close(back[:, 0], seen.pixel % 200 + 0.5, atol=0.02, rtol=0)
    torch.testing.assert_close(back[:, 1], seen.pixel // 200 + 0.5, atol=0.02, rtol=0)
    torch.testing.assert_close(back[:, 2], seen.depth, atol=1e-3, rtol=0)


def test_rasteriser_shows_the_nearest_and_keeps_pictures_apart() -> None:
    vertices, faces = surface_nets(BALL, Noise(0))
    both = torch.cat((vertices + torch.tensor([0.0, 1.0, 0.0]), vertices))
    stacked = torch.cat((faces, faces + len(vertices)))
    camera = Camera((0.0, -5.0, 0.0), (0.0, 0.0, 0.0), 400.0, 90, 70)
    nowhere = camera.project(both + torch.tensor([50.0, 0.0, 0.0]))
    hits = rasterise(torch.stack((camera.project(both), nowhere)), stacked, 70, 90)
    assert (hits.pixel < 70 * 90).all()
    assert (hits.face >= len(faces)).all()


@pytest.fixture(scope="module")
def strolls() -> dict[str, list[Frame]]:
    """A few frames of people in different clothes, seen from different sides."""
    found = {}
    for seed, azimuth, outfit in (
        (1, 90.0, Outfit()),
        (2, 30.0, Outfit(top="coat", legwear="wide trousers", hair="bob")),
        (3, 200.0, Outfit(top="hoodie", hair="hood", bag="backpack")),
        (4, 300.0, Outfit(top="shirt", legwear="skirt", hair="bun", bag="shoulder bag")),
        (5, 0.0, Outfit(hair="cap", stripes=True)),
    ):
        drawn = draw_person(seed)
        person = Person(seed, drawn.build, drawn.gait, outfit)
        camera = Camera.around((0.4, 0.0, 0.9), azimuth, 4.5, 1.5, (220, 240), view=2.3)
        found[f"{outfit.top}-{outfit.hair}"] = picture(standing(person), times=(0.0, 0.2, 0.4, 0.6), camera=camera)
    return found


def test_joints_lie_in_the_mask(strolls: dict[str, list[Frame]]) -> None:
    for name, frames in strolls.items():
        for frame in frames:
            truth = frame.people[0]
            near = F.max_pool2d(torch.from_numpy(truth.whole)[None, None].float(), 7, 1, 3)[0, 0] > 0
            x, y = np.floor(truth.joints).astype(int).T
            assert near[y, x].all(), name
            assert truth.mask.sum() == truth.whole.sum() > 2000


def test_mask_is_as_tall_as_the_person(strolls: dict[str, list[Frame]]) -> None:
    for frames in strolls.values():
        for frame in frames:
            rows = np.nonzero(frame.people[0].whole.any(1))[0]
            joints = frame.people[0].joints
            body = joints[[15, 16], 1].max() - joints[[1, 2], 1].min()  # eyes to ankles
            assert 1.02 < (rows[-1] - rows[0] + 1) / body < 1.3


def test_the_walker_is_what_differs_from_the_empty_room(strolls: dict[str, list[Frame]]) -> None:
    camera = Camera.around((0.4, 0.0, 0.9), 90.0, 4.5, 1.5, (220, 240), view=2.3)
    empty = next(iter(render(Scene(camera), torch.zeros(1), noise=0))).image.astype(int)
    frame = next(iter(render(Scene(camera, [standing(draw_person(1))]), torch.zeros(1), noise=0)))
    changed = np.abs(frame.image.astype(int) - empty).max(-1) > 25
    mask = frame.people[0].mask
    assert (changed & mask).sum() / mask.sum() > 0.8
    above_floor = np.nonzero(mask)[0].max() - 40
    outline = F.max_pool2d(torch.from_numpy(mask)[None, None].float(), 5, 1, 2)[0, 0].numpy() > 0
    assert not (changed & ~outline)[:above_floor].any()


def test_the_nearer_walker_hides_the_other() -> None:
    near, far = draw_person(1), draw_person(2)
    frame = picture(standing(far, 0.0, 0.8), standing(near, 0.15, -0.8))[0]
    behind, front = frame.people
    assert behind.depth > front.depth
    assert np.array_equal(front.mask, front.whole)
    overlap = behind.whole & front.whole
    assert overlap.sum() > 300
    assert np.array_equal(behind.mask, behind.whole & ~front.whole)


def test_order_in_the_scene_does_not_matter() -> None:
    a, b = standing(draw_person(1), 0.0, 0.5), standing(draw_person(2), 0.1, -0.5)
    one, other = picture(a, b)[0], picture(b, a)[0]
    assert np.array_equal(one.people[0].mask, other.people[1].mask)
    # Shadows multiply in another order: rounding may differ by one grey level.
    assert np.abs(one.image.astype(int) - other.image.astype(int)).max() <= 1


def test_out_of_sight_is_empty_and_no_error() -> None:
    for walker in (standing(Person(), 30.0, 0.0), standing(Person(), 0.0, -9.0)):
        frame = picture(walker)[0]
        assert not frame.people[0].mask.any()
        assert not frame.people[0].whole.any()


def test_frames_are_the_same_for_the_same_scene_whatever_the_batch() -> None:
    scene = Scene(CAMERA, [standing(draw_person(1), -0.3)], Room.drawn(4))
    times = torch.arange(5) / 10
    first, second, split = list(render(scene, times)), list(render(scene, times)), list(render(scene, times, batch=2))
    for a, b, c in zip(first, second, split, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.people[0].joints, b.people[0].joints)
        assert np.array_equal(a.people[0].mask, c.people[0].mask)
        # Soft shadows are cast on a grid that is laid over each batch.
        assert np.abs(a.image.astype(int) - c.image.astype(int)).max() <= 4


def test_frames_move_and_the_noise_is_new() -> None:
    still = list(render(Scene(CAMERA, [], Room.drawn(4)), torch.zeros(2)))
    difference = still[0].image.astype(int) - still[1].image.astype(int)
    assert 0.5 < difference.std() < 5
    assert abs(difference.mean()) < 0.2


def test_rooms_differ_and_are_not_blank() -> None:
    one, floor = background(Scene(CAMERA, room=Room.drawn(1)))
    other, _ = background(Scene(CAMERA, room=Room.drawn(2)))
    assert (one - other).abs().mean() > 0.01
    assert 0.2 < floor.mean() < 0.8
    assert one[floor > 0.99].std() > 0.005 and one[floor < 0.01].std() > 0.005
    banded, _ = background(Scene(CAMERA, room=Room.drawn(1)), band=37)
    torch.testing.assert_close(banded, one)


def test_body_is_posed_with_the_bones_and_weights_add_up() -> None:
    body = build(draw_person(6), detail=0.6)
    torch.testing.assert_close(body.weights.sum(1), torch.ones(len(body.vertices)), atol=1e-4, rtol=0)
    posed, normals = body.pose(body.rest[None] + torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(posed[0], body.vertices + torch.tensor([1.0, 0.0, 0.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(normals[0], body.normals, atol=1e-4, rtol=0)
    assert set(body.names) >= {"skin", "top", "legs", "shoes"}
    assert 0 <= body.shade.min() <= body.shade.max() <= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_renders_the_same_picture() -> None:
    scene = Scene(CAMERA, [standing(draw_person(1))])
    here, there = (next(iter(render(scene, torch.zeros(1), device=d))) for d in ("cpu", "cuda"))
    assert (here.people[0].mask != there.people[0].mask).mean() < 1e-3
    assert np.abs(here.image.astype(int) - there.image.astype(int)).mean() < 0.5
