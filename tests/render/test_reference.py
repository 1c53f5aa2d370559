"""The oracle itself: derivatives, a second writing of the same equations, and cases with a known answer."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.core.camera import Camera
from splatworld.core.splats import Splats
from splatworld.core.world import Skin
from splatworld.evaluate.parity import call, parameters
from splatworld.evaluate.scenes import Scene
from splatworld.render import reference, sh
from tests.render import builders


def tiny_scene(seed: int, *, skinned: bool, antialias: bool, count: int = 6, batch: tuple[int, ...] = ()) -> Scene:
    """A few splats well inside an 11 x 7 image, three frames, nothing at its default."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    means = normal(count, 3) * 0.4
    means[:, 2] += 2
    frames = normal(*batch, 3, 7) * 0.1
    frames[..., 3] += 1.2
    weights = normal(count, 4).square()
    skin = Skin(torch.randint(3, (count, 4), generator=g, dtype=torch.int32), weights / weights.sum(1, keepdim=True))
    return Scene(
        splats=Splats(
            means=means,
            log_scales=normal(count, 3) * 0.4 - 1.5,
            quats=normal(count, 4),
            opacity_logits=normal(count),
            sh=normal(count, 16, 3) * 0.2,
            body_ids=torch.randint(3, (count,), generator=g, dtype=torch.int32),
            provenance=torch.zeros(count, dtype=torch.uint8),
        ),
        frames=frames,
        camera=Camera(
            focal=torch.tensor([9.0, 8.0], dtype=torch.float64),
            center=torch.tensor([5.0, 3.0], dtype=torch.float64),
            size=(11, 7),
            world_from_camera=torch.tensor([0.05, 0, 0, 1, 0.02, 0.03, 0.01], dtype=torch.float64),
        ),
        skin=skin if skinned else None,
        background=torch.rand(3, generator=g, dtype=torch.float64),
        antialias=antialias,
    )


@pytest.mark.parametrize(
    ("seed", "skinned", "antialias", "degree", "moves", "fast"),
    [
        (1, True, True, 1, False, False),
        (2, False, False, 0, False, False),
        (22, True, False, 3, True, True),
        (33, False, True, 3, True, True),
    ],
)
def test_gradients(seed, skinned, antialias, degree, moves, fast):
    scene = tiny_scene(seed, skinned=skinned, antialias=antialias, count=3)
    if moves:
        motion = torch.tensor([0.4, -0.2, 0.1, 0.3, -0.5, 0.2], dtype=torch.float64)
        shutter = torch.tensor([0.2, 0.3], dtype=torch.float64)
        scene = replace(scene, camera=replace(scene.camera, motion=motion, shutter=shutter))
    scene = replace(scene, splats=replace(scene.splats, sh=scene.splats.sh[:, : (degree + 1) ** 2]))
    assert not reference.rasterize_flagged(scene.splats, scene.frames, scene.camera, **scene.options)[1].any()
    inputs = parameters(scene)

    def pictures(*values):
        drawn = call(reference.rasterize, scene, dict(zip(inputs, values, strict=True)))
        return drawn.image, drawn.alpha, drawn.depth

    assert torch.autograd.gradcheck(pictures, tuple(inputs.values()), fast_mode=fast)


def rotation(quat: np.ndarray) -> np.ndarray:
    w, *v = quat / np.linalg.norm(quat)
    v = np.array(v)
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + 2 * w * skew + 2 * skew @ skew


def naive(scene: Scene, table: np.ndarray) -> dict[str, np.ndarray]:
    """Pixel by pixel and splat by splat, with matrices."""
    s, cam = scene.splats, scene.camera
    eye = cam.world_from_camera.numpy()
    turn = rotation(eye[3:]).T
    (fx, fy), (cx, cy), (width, height) = cam.focal.tolist(), cam.center.tolist(), cam.size
    prepared = []
    for n in range(len(s)):
        pairs = [(int(s.body_ids[n]), 1.0)]
        if scene.skin is not None:
            pairs = list(zip(scene.skin.indices[n].tolist(), scene.skin.weights[n].tolist(), strict=True))
        first = table[pairs[0][0], 3:]
        mean, blend = np.zeros(3), np.zeros(4)
        for index, weight in pairs:
            quat = table[index, 3:] / np.linalg.norm(table[index, 3:])
            mean += weight * (rotation(quat) @ s.means[n].numpy() + table[index, :3])
            blend += weight * quat * (-1 if quat @ first < 0 else 1)
        moved = rotation(blend)
        x, y, z = turn @ (mean - eye[:3])
        if not z >= 0.01:
            continue
        own = moved @ rotation(s.quats[n].numpy())
        covariance = turn @ own @ np.diag(s.scales[n].numpy() ** 2) @ own.T @ turn.T
        tan_x, tan_y = 0.5 * width / fx, 0.5 * height / fy
        tx = z * np.clip(x / z, -(cx / fx + 0.3 * tan_x), (width - cx) / fx + 0.3 * tan_x)
        ty = z * np.clip(y / z, -(cy / fy + 0.3 * tan_y), (height - cy) / fy + 0.3 * tan_y)
        jacobian = np.array([[fx / z, 0, -fx * tx / z**2], [0, fy / z, -fy * ty / z**2]])
        flat = jacobian @ covariance @ jacobian.T
        dilated = flat + 0.3 * np.eye(2)
        opacity = float(s.opacities[n])
        if scene.antialias:
            opacity *= math.sqrt(max(0.0, np.linalg.det(flat) / np.linalg.det(dilated)))
        direction = moved.T @ (mean - eye[:3])
        direction = torch.from_numpy(direction / np.linalg.norm(direction))
        color = np.maximum(0, 0.5 + sh.evaluate(s.sh[n], direction, scene.sh_degree).numpy())
        center = np.array([fx * x / z + cx, fy * y / z + cy])
        prepared.append((z, center, np.linalg.inv(dilated), opacity, color, int(s.body_ids[n])))
    prepared.sort(key=lambda item: item[0])
    out = {
        "image": np.zeros((height, width, 3)),
        "alpha": np.zeros((height, width)),
        "depth": np.zeros((height, width)),
        "median_depth": np.zeros((height, width)),
        "body_ids": np.full((height, width), -1),
    }
    for row in range(height):
        for column in range(width):
            left, color, depth = 1.0, np.zeros(3), 0.0
            for z, center, conic, opacity, shade, body in prepared:
                offset = np.array([column + 0.5, row + 0.5]) - center
                alpha = min(0.999, opacity * math.exp(-0.5 * offset @ conic @ offset))
                if alpha < 1 / 255:
                    continue
                if left * (1 - alpha) <= 1e-4:
                    break
                color += alpha * left * shade
                depth += alpha * left * z
                if left > 0.5 >= left * (1 - alpha):
                    out["median_depth"][row, column], out["body_ids"][row, column] = z, body
                left *= 1 - alpha
            out["image"][row, column] = color + left * scene.background.numpy()
            out["alpha"][row, column] = 1 - left
            out["depth"][row, column] = depth / (1 - left) if left < 1 else 0.0
    return out


@pytest.mark.parametrize("seed", range(6))
def test_equals_a_loop_over_pixels_and_splats(seed):
    scene = tiny_scene(seed, skinned=seed % 2 == 0, antialias=seed % 3 == 0, count=40, batch=(2,))
    splats = scene.splats
    splats.opacity_logits.mul_(4)
    splats.means[:, 2] -= 1.5 if seed == 5 else 0
    scene = replace(scene, sh_degree=(None, 1)[seed % 2])
    drawn = reference.rasterize(splats, scene.frames, scene.camera, **scene.options)
    for index in range(2):
        for name, expected in naive(scene, scene.frames[index].numpy()).items():
            np.testing.assert_allclose(getattr(drawn, name)[index].numpy(), expected, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("antialias", [False, True])
def test_one_round_splat(backend, antialias):
    """On the axis its image is a Gaussian of variance (f s / z)^2 + 0.3 px^2."""
    scale, z, opacity, focal = 0.2, 2.0, 0.7, 10.0
    splat = builders.splats([[0, 0, z]], scale=scale, opacity=opacity, color=[0.9, 0.5, 0.1], body_ids=[3])
    background = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    view = builders.camera(9, 7, focal=focal)
    drawn = backend.rasterize(splat, builders.still(4), view, background=background, antialias=antialias)
    sharp = (focal * scale / z) ** 2
    peak = opacity * (sharp / (sharp + 0.3) if antialias else 1)
    xs, ys = torch.meshgrid(torch.arange(9.0) - 4, torch.arange(7.0) - 3, indexing="xy")
    alpha = peak * torch.exp(-0.5 * (xs.double() ** 2 + ys.double() ** 2) / (sharp + 0.3))
    alpha = torch.where(alpha >= 1 / 255, alpha, 0)
    shade = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
    image = alpha[..., None] * shade + (1 - alpha[..., None]) * background
    tolerance = {"atol": backend.tolerance, "rtol": 0, "check_dtype": False}
    torch.testing.assert_close(drawn.alpha, alpha, **tolerance)
    torch.testing.assert_close(drawn.image, image, **tolerance)
    torch.testing.assert_close(drawn.depth, torch.where(alpha > 0, z, 0.0).double(), **tolerance)
    assert torch.equal(drawn.body_ids, torch.where(alpha >= 0.5, 3, -1).int())
    torch.testing.assert_close(drawn.median_depth, torch.where(alpha >= 0.5, z, 0.0).double(), **tolerance)


def test_flags_mark_each_gate_and_nothing_else():
    view = builders.camera(1, 1)

    def flags(splats):
        _, flagged, median = reference.rasterize_flagged(splats, builders.still(), view)
        return bool(flagged), bool(median)

    near, far = 1 + 0.5e-4, 1 + 2e-4
    one = [[0, 0, 1.0]]
    for gate in (1 / 255, 0.999):
        assert flags(builders.splats(one, opacity=gate * near)) == (True, True)
        assert flags(builders.splats(one, opacity=gate / near)) == (True, True)
        assert flags(builders.splats(one, opacity=gate * far)) == (False, False)
        assert flags(builders.splats(one, opacity=gate / far)) == (False, False)
    assert flags(builders.splats(one, opacity=1 - 0.5 * near)) == (False, True)
    assert flags(builders.splats(one, opacity=1 - 0.5 / far)) == (False, False)
    for depth in (1 + 0.5e-4, 1.0):
        assert flags(builders.splats([*one, [0, 0, depth]], opacity=0.3)) == (True, True)
    assert flags(builders.splats([*one, [0, 0, far]], opacity=0.3)) == (False, False)
    for depth, wanted in ((0.01 * near, True), (0.01 / near, True), (0.01 * far, False), (0.01 / far, False)):
        assert flags(builders.splats([[0, 0, depth]], scale=0.001, opacity=0.3))[0] is wanted
    assert flags(builders.splats(one, color=0.5e-4)) == (True, True)
    assert flags(builders.splats(one, color=-2e-4, opacity=0.3)) == (False, False)
    for stop, wanted in ((near, True), (1 / near, True), (far, False), (1 / far, False)):
        stack = builders.splats([*one, [0, 0, 2.0]], opacity=[0.99, 1 - 1e-2 * stop])
        assert flags(stack)[0] is wanted
    # Behind what stops the pixel nothing is in doubt.
    hidden = builders.splats([*one, [0, 0, 2], [0, 0, 3], [0, 0, 3]], opacity=[0.99, 0.998, 0.3, 0.3])
    assert flags(hidden) == (False, False)


def test_float32_inputs_are_computed_in_float64():
    splat = builders.splats([[0.1, 0.2, 1.0]])
    single = replace(splat, **{name: getattr(splat, name).float() for name in builders.FLOATS})
    drawn = reference.rasterize(single, builders.still().float(), builders.camera())
    assert drawn.image.dtype == torch.float64
    assert drawn.body_ids.dtype == torch.int32
