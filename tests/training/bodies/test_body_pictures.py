"""Shaded pictures of bodies: the near hides the far, colours lie where the clothes are, shadows on the floor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gaitkeeper.training.bodies.backdrop import backdrop, cluttered, draw_lamp, draw_room
from gaitkeeper.training.bodies.camera import Camera
from gaitkeeper.training.bodies.kernels import fill_frames
from gaitkeeper.training.bodies.paint import Material, draw_paint
from gaitkeeper.training.bodies.pictures import Backdrop, Figure, Lamp, Picture, Viewpoint, pictures
from gaitkeeper.training.bodies.render import Posed
from gaitkeeper.training.bodies.room import Room
from gaitkeeper.training.bodies.shade import draw_nearest

SIZE = (160, 120)


@pytest.fixture(scope="module")
def view() -> Viewpoint:
    return Viewpoint.of(Camera.around((0.6, 0.0, 0.9), 80.0, 5.0, 1.5, SIZE, 2.3))


@pytest.fixture(scope="module")
def figure(walking) -> Figure:
    posed = Posed.of(walking.model, walking.who.body, walking.joints[8:12].astype(np.float64), walking.rest)
    return Figure(walking.dressed, posed, walking.paint)


@pytest.fixture(scope="module")
def plain(view: Viewpoint) -> Backdrop:
    """A floor and a wall of one brightness."""
    picture = np.full((SIZE[1], SIZE[0], 3), 0.9, np.float32)
    floor = backdrop(view, Room()).floor
    assert set(np.unique(floor.round())) == {0, 1} and (np.diff(floor.mean(1)) >= -1e-6).all()  # the floor is below
    return Backdrop(picture, floor)


def test_a_camera_projects_what_its_rays_see() -> None:
    camera = Camera.around((1.0, 0.5, 0.9), 40.0, 5.0, 2.0, (64, 48), roll=0.2)
    view = Viewpoint.of(camera)
    points = view.position + 3 * view.rays()
    x, y = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    assert np.allclose(view.project(points), np.stack((x, y), -1), atol=1e-3)
    seen = camera.project(torch.from_numpy(points)).numpy()
    assert np.allclose(seen, np.stack((x, y, np.full_like(x, 3.0)), -1), atol=1e-3)


def test_a_camera_has_its_target_in_the_middle_and_up_is_up() -> None:
    camera = Camera.around((0.0, 0.0, 1.0), 90.0, 4.0, 1.6, (100, 80), view=2.0)
    middle, above, ahead = camera.project(torch.tensor([[0.0, 0, 1.0], [0.0, 0, 1.5], [0.5, 0, 1.0]])).numpy()
    assert np.allclose(middle[:2], (50.0, 40.0), atol=1e-3) and above[1] < middle[1] - 10
    assert ahead[0] < middle[0] - 10  # who walks along +x and is seen from their left goes to the left
    assert 80 / camera.focal * float(middle[2]) == pytest.approx(2.0)


def test_the_nearer_triangle_wins_whatever_the_order() -> None:
    far = [[1, 1, 0.2, 1], [15, 1, 0.2, 1], [1, 15, 0.2, 1]]
    near = [[1, 1, 0.5, 1], [9, 1, 0.5, 1], [1, 9, 0.1, 1]]  # its lower corner lies behind
    seen = np.array(far + near, np.float32)
    owners = []
    for order in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        depth, owner = np.zeros((16, 16), np.float32), np.full((16, 16), -1, np.int32)
        draw_nearest(seen, np.array(order, np.int32), 0, depth, owner)
        owners.append(np.array([order[i][0] if i >= 0 else -1 for i in owner.ravel()]).reshape(16, 16))
    assert np.array_equal(*owners)
    assert owners[0][1, 2] == 3 and owners[0][7, 1] == 0 and owners[0][1, 12] == 0 and owners[0][15, 15] == -1


def test_a_picture_covers_what_a_silhouette_covers(walking, figure: Figure, view: Viewpoint, plain: Backdrop) -> None:
    mesh, posed = figure.dressed.mesh, figure.posed
    tangents, _, _ = posed.project(mesh, view.position, view.axes)
    count = len(tangents)
    masks = np.zeros((count, SIZE[1], SIZE[0]), np.uint8)
    origin = np.tile(-np.array(SIZE, np.float32) / 2 / np.float32(view.scale), (count, 1))
    fill_frames(tangents, mesh.triangles, 0, origin, np.full(count, 1 / view.scale, np.float32), masks)
    shots = list(pictures([figure], view, plain, Lamp()))
    assert len(shots) == count
    for shot, mask in zip(shots, masks > 0, strict=True):
        own = shot.cover[0] > 0.5
        assert (own & mask).sum() / (own | mask).sum() > 0.93
        assert shot.cover.min() >= 0 and shot.cover.max() <= 1 + 1e-6


def test_cloth_has_its_colour_and_texture_and_the_rest_stays(figure: Figure, view: Viewpoint, plain: Backdrop) -> None:
    paint = figure.paint
    colours = np.zeros_like(paint.colours)
    colours[Material.TOP], colours[Material.LEGS] = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)
    dull = replace(paint, colours=colours, patterns=np.zeros_like(paint.patterns), fastening=0.0)
    shot = next(pictures([replace(figure, paint=dull)], view, plain, Lamp()))
    red = shot.light[..., 0] > 2 * shot.light[..., 2]
    blue = shot.light[..., 2] > 2 * shot.light[..., 0]
    inside = shot.cover[0] > 0.99
    assert (red & inside).sum() > 0.15 * inside.sum() and (blue & inside).sum() > 0.15 * inside.sum()
    assert np.flatnonzero(red.any(1)).mean() < np.flatnonzero(blue.any(1)).mean()
    assert shot.light[..., 0][red & inside].std() > 0.03  # lit, with folds
    outside = shot.cover[0] == 0
    kept = plain.picture[..., 0][outside] == shot.light[..., 0][outside]
    assert 0.6 < kept.mean() < 1  # the shadow
    dark = outside & (shot.light[..., 0] < 0.8)
    assert dark.any() and plain.floor[dark].min() > 0


def test_the_nearer_person_hides_the_other(walking, figure: Figure, view: Viewpoint, plain: Backdrop) -> None:
    nearer = walking.joints[8:12].astype(np.float64) + np.array([0.0, 0.8, 0.0])
    front = replace(figure, posed=Posed.of(walking.model, walking.who.body, nearer, walking.rest))

    def seen(*figures: Figure) -> Picture:
        return next(pictures(figures, view, plain, Lamp()))

    alone, both, swapped = seen(front), seen(figure, front), seen(front, figure)
    assert np.allclose(both.cover[1], alone.cover[0], atol=1e-6) and both.cover.sum(0).max() <= 1 + 1e-6
    assert both.cover[0].sum() < 0.7 * seen(figure).cover[0].sum()
    assert np.allclose(both.cover[::-1], swapped.cover, atol=1e-6)
    assert np.allclose(both.light, swapped.light, atol=1e-3)


def test_a_person_keeps_the_skin_and_an_outfit_the_colours(walking) -> None:
    def painted(outfit: int, person: int) -> np.ndarray:
        return draw_paint(walking.model, walking.who.body, walking.who.outfits[outfit], person).colours

    own = [Material.SKIN, Material.HAIR]
    worn = [m for m in Material if m not in own]
    first, other_clothes, other_person = painted(0, 1), painted(1, 1), painted(0, 2)
    assert np.array_equal(first[own], other_clothes[own]) and not np.array_equal(first[worn], other_clothes[worn])
    assert np.array_equal(first[worn], other_person[worn]) and not np.array_equal(first[own], other_person[own])
    assert first.min() > 0 and first.max() < 1


def test_rooms_differ_and_are_not_blank(view: Viewpoint) -> None:
    one, other = (backdrop(view, Room.drawn(seed)) for seed in (1, 2))
    assert np.abs(one.picture - other.picture).mean() > 0.01
    assert np.array_equal(one.picture, backdrop(view, Room.drawn(1)).picture)
    assert 0.2 < one.floor.mean() < 0.8
    assert one.picture[one.floor > 0.99].std() > 0.005 and one.picture[one.floor < 0.01].std() > 0.005


def test_places_differ_and_are_the_seeds_own(view: Viewpoint) -> None:
    def drawn(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        room = draw_room(rng, 2.0)
        lamp = draw_lamp(room, rng)
        assert np.linalg.norm(lamp.towards) == pytest.approx(1) and lamp.towards[2] > 0.5 and room.wall > 3
        return cluttered(backdrop(view, room), rng).picture

    places = [drawn(seed) for seed in range(6)]
    assert np.array_equal(places[0], drawn(0))
    means = np.array([place.mean() for place in places])
    assert means.max() > 2 * means.min()
    assert all(place.min() > 0 and place.max() <= 1 for place in places)
