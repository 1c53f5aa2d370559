"""What exact truth says of bodies: whose splats they are, and the scene without each of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.bodies.lift import vote
from splatworld.bodies.masks import from_masks
from splatworld.bodies.remove import without
from splatworld.bodies.surface import sample
from splatworld.core.camera import resize
from splatworld.core.checks import InputError
from splatworld.core.splats import Provenance
from splatworld.core.world import World
from splatworld.evaluate.sample_truth import frame_number
from splatworld.geometry.mesh import read_mesh, surface_points, transform_mesh
from splatworld.render.render import render

NEAR = 0.006
"""m from observed splats within which surface counts as seen."""
FOUND = 0.5
"""IoU from which a body counts as found."""


def votes_of_truth(world: World, folder: Path, truth: dict[str, Any]) -> Tensor:
    """[N, bodies + 1] what the true id pictures of the held-out frames say of each splat, 0 for the background."""
    labels = 1 + max(body["id"] for body in truth["bodies"])
    frames = [name for name in world.cameras if frame_number(name) in truth["held_out"]]

    def shown():
        for name in frames:
            ids = _picture(folder / "ids" / f"{frame_number(name):06d}.png")
            camera = world.cameras[name]
            small = cv2.resize(ids, camera.size, interpolation=cv2.INTER_NEAREST)
            yield camera, torch.from_numpy(small.astype(np.int64))

    return vote(world.splats, shown(), labels)


def ious(world: World, votes: Tensor) -> Tensor:
    """[B, T] IoU of the world's bodies with true ones over the observed splats, each counting as much as it is seen."""
    observed = world.splats.provenance == int(Provenance.OBSERVED)
    weight, true = votes.sum(dim=1) * observed, votes.argmax(dim=1)
    found = world.splats.body_ids.long()
    table = torch.zeros(len(world.bodies), votes.shape[1]).double()
    table.index_put_((found, true), weight.double(), accumulate=True)
    union = table.sum(dim=1, keepdim=True) + table.sum(dim=0, keepdim=True) - table
    return table / union.clamp(min=1e-9)


def removed_psnr(world: World, names: dict[int, str], folder: Path, truth: dict[str, Any]) -> dict[int, float]:
    """PSNR in dB of what is revealed when a body goes, its shadow included, over all held-out frames.

    The video's exposure drifts: one gain a channel is fitted to the pixels that stay the same.

    Args:
        world: completed.
        names: true body id -> name of the body that was found for it.
        folder: the sample's.
        truth: as read by `read_truth`.
    """
    found = {}
    for body, name in names.items():
        bare, errors = without(world, [name]), []
        for entry in truth["removed"]:
            camera_name = f"frame_{entry['frame']:06d}"
            if entry["body"] != body or camera_name not in world.cameras:
                continue
            target, mask = _revealed(folder, entry)
            camera = world.cameras[camera_name]
            if camera.size != (mask.shape[1], mask.shape[0]):
                camera = resize(camera, (mask.shape[1], mask.shape[0]))
            image = render(bare, None, camera).image.numpy()
            gain = (target[~mask] * image[~mask]).sum(axis=0) / (image[~mask] ** 2).sum(axis=0)
            errors.append(((np.clip(image * gain, 0, 1) - target)[mask] ** 2).ravel())
        if errors:
            found[body] = float(-10 * np.log10(np.concatenate(errors).mean()))
    return found


def _revealed(folder: Path, entry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The true picture without the body [H, W, 3] in 0 to 1, and which pixels that changes [H, W]."""
    target = _picture(folder / "clean" / f"{entry['frame']:06d}.webp")[..., 2::-1].astype(np.float32) / 255
    crop = _picture(folder / entry["path"])
    x, y, width, height = entry["box"]
    changed = crop[..., 3] == 255
    target[y : y + height, x : x + width][changed] = crop[..., 2::-1][changed].astype(np.float32) / 255
    mask = np.zeros(target.shape[:2], dtype=bool)
    mask[y : y + height, x : x + width] = changed
    return target, mask


@dataclass(frozen=True)
class SurfaceErrors:
    """Symmetric Chamfer distances between a true mesh and the one that was found.

    Attributes:
        seen: m, where the surface was seen; None if none of it was.
        completed: m, where it was completed; None if nothing was.
        diagonal: m, of the box around the true mesh.
    """

    seen: float | None
    completed: float | None
    diagonal: float


def chamfer(world: World, found: dict[int, int], folder: Path, truth: dict[str, Any]) -> dict[int, SurfaceErrors]:
    """How far true and found meshes are apart, by true body id.

    A part of a surface counts as seen where an observed splat of the body is within `NEAR` of it; each distance is the
    mean over both directions.

    Args:
        world: in the truth's frame, its bodies with meshes.
        found: true body id -> body.
        folder: the sample's.
        truth: as read by `read_truth`.
    """
    rows: dict[int, SurfaceErrors] = {}
    for entry in truth["bodies"]:
        body = world.bodies[found.get(entry["id"], 0)]
        if entry["id"] not in found or body.mesh is None:
            continue
        real = transform_mesh(read_mesh(folder / entry["mesh"]), torch.tensor(entry["world_from_body"]).double())
        made = transform_mesh(body.mesh, body.rest_pose.double())
        own = (world.splats.body_ids == found[entry["id"]]) & (world.splats.provenance == int(Provenance.OBSERVED))
        splats = cKDTree(sample(world.splats, own & (world.splats.opacities > 0.2)).points.numpy())
        a, b = (surface_points(mesh, 5000, 0)[0].numpy() for mesh in (real, made))
        ways = [(a, cKDTree(b).query(a)[0]), (b, cKDTree(a).query(b)[0])]
        seen = [splats.query(points)[0] < NEAR for points, _ in ways]
        parts = []
        for side in (True, False):
            means = [
                away[mask == side].mean() for (_, away), mask in zip(ways, seen, strict=True) if (mask == side).any()
            ]
            parts.append(float(np.mean(means)) if means else None)
        extent = real.vertices.amax(0) - real.vertices.amin(0)
        rows[entry["id"]] = SurfaceErrors(parts[0], parts[1], float(extent.norm()))
    return rows


def outline_ious(world: World, file: Path) -> dict[str, float]:
    """Mean IoU of drawn outlines with the rendered body that fits each best over all frames, by name."""
    drawn = json.loads(file.read_text())
    totals: dict[str, list[Tensor]] = {}
    for frame in drawn["frames"]:
        if frame["name"] in world.cameras:
            camera = resize(world.cameras[frame["name"]], tuple(drawn["size"]))
            ids = render(world, None, camera).body_ids
            for name in frame["bodies"]:
                true = _labels(frame, [name], drawn["size"]) == 1
                totals.setdefault(name, []).append(
                    torch.stack([_iou(ids == i, true) for i in range(len(world.bodies))])
                )
    best = {name: torch.stack(found).mean(dim=0)[1:] for name, found in totals.items()}
    return {name: float(mean.max()) if len(mean) else 0.0 for name, mean in best.items()}


def objects_apart(world: World, file: Path) -> int:
    """How many of the drawn things have a body of their own, which shows their outline with an IoU above `FOUND`."""
    drawn = json.loads(file.read_text())
    apart = set()
    for frame in drawn["frames"]:
        ids = render(world, None, resize(world.cameras[frame["name"]], tuple(drawn["size"]))).body_ids
        for name in frame["bodies"]:
            true = _labels(frame, [name], drawn["size"]) == 1
            if any(float(_iou(ids == i, true)) > FOUND for i in range(1, len(world.bodies))):
                apart.add(name)
    return len(apart)


def lifted_outline_ious(world: World, file: Path) -> dict[str, float]:
    """Mean IoU of drawn outlines with bodies made of the outlines in all other frames, by name."""
    drawn = json.loads(file.read_text())
    frames = [frame for frame in drawn["frames"] if frame["name"] in world.cameras]
    names = sorted({name for frame in frames for name in frame["bodies"]})
    cameras = {frame["name"]: resize(world.cameras[frame["name"]], tuple(drawn["size"])) for frame in frames}
    world = replace(world, cameras=cameras)
    found: dict[str, list[float]] = {}
    for frame in frames:
        others = {other["name"]: _labels(other, names, drawn["size"]) for other in frames if other is not frame}
        made = from_masks(world, others)
        ids, true = render(made, None, cameras[frame["name"]]).body_ids, _labels(frame, names, drawn["size"])
        index = {body.name: i for i, body in enumerate(made.bodies)}
        for label, name in enumerate(names, 1):
            if name in frame["bodies"]:
                own = index.get(f"body {label}", -1)
                found.setdefault(name, []).append(float(_iou(ids == own, true == label)))
    return {name: sum(each) / len(each) for name, each in found.items()}


def _labels(frame: dict[str, Any], names: list[str], size: list[int]) -> Tensor:
    """[H, W] int64, 1 + index in `names` within a drawn outline, 0 elsewhere."""
    canvas = np.zeros((size[1], size[0]), np.uint8)
    for label, name in enumerate(names, 1):
        if name in frame["bodies"]:
            cv2.fillPoly(canvas, [np.round(np.array(frame["bodies"][name])).astype(np.int32)], label)
    return torch.from_numpy(canvas.astype(np.int64))


def _iou(a: Tensor, b: Tensor) -> Tensor:
    return (a & b).sum() / (a | b).sum().clamp(min=1)


def _picture(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise InputError(f"eval bodies: {file} cannot be read; make the sample again (data/README.md).")
    return picture
