"""The rollouts that went worst, from above: grey where a body began, green where it went, red where it was said to."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.mesh import Mesh
from splatworld.episodes import load_shape
from splatworld.evaluate.dynamics_rollouts import Rollouts
from splatworld.evaluate.dynamics_sets import TestSet
from splatworld.files import write_file

WORST, COLUMNS = 20, 5
TILE = 300
"""px a side."""
EDGE = 0.04
"""m around what is shown."""
BEGAN, WENT, SAID, TOOL = (190, 190, 190), (70, 160, 40), (40, 40, 220), (200, 120, 30)
"""BGR."""


def save_worst(test_set: TestSet, found: Rollouts, truth: Rollouts, which: Tensor, path: Path) -> None:
    """Draw the episodes whose worst body is farthest off at the end, as one picture.

    Args:
        test_set: of N episodes.
        found, truth: predicted and true.
        which: [N, 8] bool, bodies that count.
        path: of the PNG.
    """
    gap = (found.poses[:, -1, :, :3] - truth.poses[:, -1, :, :3]).norm(dim=-1)
    worst = torch.where(which, gap, 0.0).amax(1)
    chosen = worst.argsort(descending=True)[:WORST].tolist()
    tiles = [
        _tile(test_set, found, truth, n, f"{test_set.episodes.numbers[n]}: {1e3 * worst[n]:.0f} mm") for n in chosen
    ]
    while len(tiles) % COLUMNS:
        tiles.append(np.full((TILE, TILE, 3), 255, np.uint8))
    rows = [np.concatenate(tiles[k : k + COLUMNS], axis=1) for k in range(0, len(tiles), COLUMNS)]
    write_file(path, cv2.imencode(".png", np.concatenate(rows))[1].tobytes())


def _tile(test_set: TestSet, found: Rollouts, truth: Rollouts, number: int, label: str) -> np.ndarray:
    episodes = test_set.episodes
    bodies = episodes.mask[number].nonzero()[:, 0].tolist()
    meshes = [_mesh(test_set, episodes.shapes[int(episodes.shape_ids[number, b])], "shapes") for b in bodies]
    shown: list[tuple[np.ndarray, tuple[int, int, int], bool]] = []
    for b, mesh in zip(bodies, meshes, strict=True):
        shown.append((_flat(mesh, truth.poses[number, 0, b]), BEGAN, True))
    for poses, color in ((truth.poses, WENT), (found.poses, SAID)):
        for b, mesh in zip(bodies, meshes, strict=True):
            shown.append((_flat(mesh, poses[number, -1, b]), color, False))
    tool = _mesh(test_set, episodes.tools[int(episodes.tool_ids[number])], "tools")
    shown.append((_flat(tool, truth.tools[number, -1]), TOOL, False))
    corners = np.concatenate([triangles.reshape(-1, 2) for triangles, _, _ in shown])
    low, high = corners.min(0) - EDGE, corners.max(0) + EDGE
    scale = TILE / (high - low).max()
    picture = np.full((TILE, TILE, 3), 255, np.uint8)
    for triangles, color, filled in shown:
        mask = np.zeros((TILE, TILE), np.uint8)
        for triangle in ((triangles - low) * scale).round().astype(np.int32):
            cv2.fillConvexPoly(mask, triangle, 255)
        if filled:
            picture[mask > 0] = color
        else:
            outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, outlines, -1, color, 2)
    way = ((truth.tools[number, :, :2].numpy() - low) * scale).round().astype(np.int32)
    cv2.polylines(picture, [way], False, TOOL, 1, cv2.LINE_AA)
    picture = np.ascontiguousarray(picture[::-1])
    cv2.putText(picture, label, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    cv2.rectangle(picture, (0, 0), (TILE - 1, TILE - 1), (220, 220, 220), 1)
    return picture


def _mesh(test_set: TestSet, name: str, kind: str) -> Mesh:
    mesh = load_shape(test_set.folder, name, kind=kind).mesh
    assert mesh is not None
    return mesh


def _flat(mesh: Mesh, at: Tensor) -> np.ndarray:
    """[F, 3, 2] m, triangles from above."""
    return pose.transform(at.double(), mesh.vertices.double())[mesh.faces.long()][..., :2].numpy()
