"""What may not change the picture, and what must change it alike."""

from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.world import Skin
from splatworld.evaluate.scenes import Scene, random_scene
from splatworld.render import reference
from tests.render import builders


def draw(backend, scene: Scene):
    return backend.rasterize(scene.splats, scene.frames, scene.camera, **scene.options)


def small(seed: int, count: int = 40) -> Scene:
    return builders.doubled(random_scene(seed, count=count))


def rigid(seed: int) -> Scene:
    return replace(small(seed), skin=None)


def test_hidden_splats_change_no_bit(backend):
    view = builders.camera(40, 24, focal=30.0)
    seen = small(0).splats
    seen = replace(seen, means=seen.means * 0.3 + torch.tensor([0, 0, 2.0]), body_ids=torch.zeros_like(seen.body_ids))
    flat = replace(seen, sh=seen.sh[:, :1])
    behind = builders.splats([[0, 0, -1], [0.1, 0.1, -0.5], [0, 0, 0.0]], scale=0.2)
    beside = builders.splats([[50, 0, 1], [0, -40, 2.0]], scale=0.05)
    clear = builders.splats([[0, 0, 1.0]], opacity=0.003)
    expected = backend.rasterize(flat, builders.still(), view)
    for hidden in (behind, beside, clear):
        drawn = backend.rasterize(builders.joined(hidden, flat, hidden), builders.still(), view)
        builders.assert_same(drawn, expected)


def test_what_lies_behind_a_wall_changes_no_bit(backend):
    """Two opaque layers finish every pixel."""
    view = builders.camera(40, 24, focal=30.0)
    wall = builders.splats([[0, 0, 1.0], [0, 0, 1.1]], scale=[100.0, 100.0, 0.01], opacity=0.9999)
    back = builders.splats([[0, 0, 2], [0.2, 0.1, 3.0]], scale=0.5, opacity=0.9, color=0.1)
    expected = backend.rasterize(wall, builders.still(), view)
    assert bool((expected.alpha > 0.9985).all())
    builders.assert_same(backend.rasterize(builders.joined(back, wall), builders.still(), view), expected)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_moving_world_and_camera_together_changes_nothing(backend, seed):
    scene = small(seed)
    motion = pose.exp(torch.tensor([0.3, -0.2, 0.5, 0.4, 1.0, -0.7], dtype=torch.float64))
    moved = replace(
        scene,
        frames=pose.compose(motion, pose.compose(scene.frames, pose.identity(dtype=torch.float64))),
        camera=replace(scene.camera, world_from_camera=pose.compose(motion, scene.camera.world_from_camera)),
    )
    clear = ~reference.rasterize_flagged(scene.splats, scene.frames, scene.camera, **scene.options)[1]
    before, after = draw(backend, scene), draw(backend, moved)
    tolerance = 1e-10 if backend.name == "reference" else 2e-4
    for name in ("image", "alpha"):
        assert float((getattr(before, name) - getattr(after, name)).abs()[clear].max()) <= tolerance, name


@pytest.mark.parametrize("seed", [0, 3])
def test_the_order_of_splats_does_not_matter(backend, seed):
    scene = small(seed)
    order = torch.randperm(len(scene.splats), generator=torch.Generator().manual_seed(seed))
    skin = None if scene.skin is None else Skin(scene.skin.indices[order], scene.skin.weights[order])
    builders.assert_same(
        draw(backend, scene), draw(backend, replace(scene, splats=scene.splats.select(order), skin=skin))
    )


@pytest.mark.parametrize("seed", [0, 1, 2, 5])
def test_a_batch_is_its_singles_bit_for_bit(backend, seed):
    """Seeds 2 and 5 have one camera for all states."""
    scene = small(seed)
    together = draw(backend, scene)
    for index in range(scene.frames.shape[0]):
        camera = scene.camera
        if camera.focal.ndim == 2:
            names = ("focal", "center", "world_from_camera", "motion", "shutter")
            camera = replace(camera, **{n: v[index] for n in names if (v := getattr(camera, n)) is not None})
        alone = draw(backend, replace(scene, frames=scene.frames[index], camera=camera))
        builders.assert_same(
            alone, replace(together, **{name: getattr(together, name)[index] for name in builders.PICTURES})
        )


def test_batches_of_states_and_cameras_broadcast(backend):
    """States [2, 1] under cameras [3] are pictures [2, 3]."""
    scene = rigid(0)
    views = scene.camera.world_from_camera[:1].repeat(3, 1)
    views[:, 0] += torch.tensor([0.0, 0.1, 0.2])
    camera = replace(scene.camera, focal=scene.camera.focal[0], center=scene.camera.center[0], world_from_camera=views)
    drawn = backend.rasterize(scene.splats, scene.frames[:2, None], camera)
    assert drawn.image.shape == (2, 3, camera.height, camera.width, 3)
    assert drawn.body_ids.shape == (2, 3, camera.height, camera.width)
    one = replace(camera, world_from_camera=views[2])
    alone = backend.rasterize(scene.splats, scene.frames[1], one)
    assert torch.equal(alone.image, drawn.image[1, 2])


def test_gradients_of_a_batch_are_the_sum_of_its_singles(backend):
    scene = rigid(0)
    camera = replace(scene.camera, **{n: getattr(scene.camera, n)[0] for n in ("focal", "center", "world_from_camera")})
    batch, singles = builders.leaves(scene.splats), builders.leaves(scene.splats)
    backend.rasterize(batch, scene.frames, camera).image.sum().backward()
    for table in scene.frames:
        backend.rasterize(singles, table, camera).image.sum().backward()
    for name in builders.FLOATS:
        torch.testing.assert_close(getattr(batch, name).grad, getattr(singles, name).grad, atol=1e-3, rtol=1e-5)


def test_identity_frames_move_no_bit(backend):
    """Bodies at rest look as if there were one body only, and as if each hung on two frames at rest."""
    scene = rigid(0)
    scene = replace(scene, frames=builders.still(4))
    expected = draw(backend, scene)
    one = replace(scene.splats, body_ids=torch.zeros_like(scene.splats.body_ids))
    merged = draw(backend, replace(scene, splats=one, frames=builders.still(1)))
    assert torch.equal(merged.image, expected.image)
    assert torch.equal(merged.depth, expected.depth)
    halves = torch.full((len(one), 2), 0.5, dtype=torch.float64)
    skin = Skin(torch.stack([scene.splats.body_ids, 3 - scene.splats.body_ids], dim=1), halves)
    builders.assert_same(draw(backend, replace(scene, skin=skin)), expected)


def test_a_state_moves_only_its_body(backend):
    """Splats of a still body keep every bit while another, off the image, moves."""
    still = builders.splats([[0, 0, 2.0], [0.1, 0.1, 2.5]], body_ids=[0, 0])
    other = builders.splats([[30, 0, 2.0]], body_ids=[1])
    frames = builders.still(2)
    splats = builders.joined(still, other)
    before = backend.rasterize(splats, frames, builders.camera())
    frames[1] = pose.exp(torch.tensor([1.0, 2, 0, 0.1, 0.2, 0.3], dtype=torch.float64))
    builders.assert_same(backend.rasterize(splats, frames, builders.camera()), before)
