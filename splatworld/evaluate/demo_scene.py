"""What a demo makes of a world whatever it shows: a body with room around it, a tool beside it, new places for two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.world import World, rest_state
from splatworld.evaluate.dynamics_rendered import freest_way
from splatworld.geometry.mesh import surface_points, transform_mesh
from splatworld.plan.goals import Goal, goal_of_document
from splatworld.robot.place import add_robot
from splatworld.robot.tools import cylinder_pusher

POINTS = 2000
"""Of each body's surface."""
PUSH = 0.10
"""m that a body is pushed."""
BESIDE = 0.05
"""m out of what the bodies span that a push may end."""
MOVES = (0.20, 0.16, 0.12, 0.08)
"""m that a body is to be moved by the plan; the first that leaves room."""
HEADINGS = 16
APART = 0.03
"""m of room that a body needs where it is to go: the tool has to fit between."""
WIDE = 0.08
"""m of room beyond which more is no better."""
CENTRAL = 0.2
"""m of room that a metre nearer to the middle is worth: there most was filmed."""
LYING = 2.0
"""Times its width that a body may be high to be rearranged: what is higher topples."""


@dataclass(frozen=True)
class Armed:
    """A world with a tool beside a body.

    Attributes:
        world: with the tool.
        body: index of the body that it is to push.
        actions: [T, A] of the push.
    """

    world: World
    body: int
    actions: Tensor


def outsides(world: World) -> dict[int, np.ndarray]:
    """Body -> [P, 3] m, points of its surface at rest, for every body that a push can move.

    Raises:
        InputError: there is none, or lengths are not metres; says what to do.
    """
    if world.scale.source == "none":
        raise InputError(
            "the world's scale is not known, so that nothing can be pushed; put a printed marker into view "
            "(--marker-size), or tell a length (`splatworld scale`)."
        )
    found = {}
    for index, body in enumerate(world.bodies):
        if body.kind == "rigid" and body.mesh is not None:
            mesh = transform_mesh(body.mesh, body.rest_pose.double())
            found[index] = surface_points(mesh, POINTS, 0)[0].numpy()
    if not found:
        raise InputError(
            "no bodies were told apart from the background, so that there is nothing to push; film things that stand "
            'clear of each other, or mark them by hand in the viewer\'s tab "Bodies".'
        )
    return found


def with_tool(world: World) -> Armed:
    """Stand a rod beside the body that has most room to be pushed, and let it push.

    Raises:
        InputError: as `outsides`, or there is no room for the rod beside any body.
    """
    points = {index: each[:, :2] for index, each in outsides(world).items()}
    every = np.concatenate(list(points.values()))
    low, high = every.min(axis=0) - BESIDE, every.max(axis=0) + BESIDE
    best, most = None, 0.0
    for index, own in points.items():
        others = np.concatenate([np.zeros((0, 2)), *(each for other, each in points.items() if other != index)])
        path, room = freest_way(own, others, PUSH)
        inside = bool(((path[-1, :2] >= low) & (path[-1, :2] <= high)).all())
        room = min(room, 1.0) if inside else min(room, 1.0) / 100
        if room > most:
            best, most = (index, path), room
    if best is None:
        raise InputError("no body has room beside it for the tool; take some away, or move them apart.")
    body, path = best
    base = pose.identity(dtype=torch.float64)
    base[:3] = torch.from_numpy(path[0])
    armed = add_robot(world, cylinder_pusher(), base_pose=base)
    assert armed.robot is not None
    actions = torch.zeros(len(path) - 1, len(armed.robot.action), dtype=torch.float64)
    actions[:, :3] = torch.from_numpy(np.diff(path, axis=0))
    return Armed(armed, body, actions)


def rearranged(world: World, *, most: int = 2) -> tuple[Goal, dict[int, Tensor]]:
    """New places for bodies: those where most room is left, a hand's breadth from where they are.

    Args:
        world: with a tool.
        most: bodies.

    Returns:
        The goal, and body -> pose [7] where it shall be.

    Raises:
        InputError: as `outsides`, or no body has room anywhere near.
    """
    points = {index: each[:, :2] for index, each in outsides(world).items()}
    every = np.concatenate(list(points.values()))
    low, high = every.min(axis=0), every.max(axis=0)
    found: dict[int, Tensor] = {}
    state = rest_state(world)
    for length in MOVES:
        while len(found) < most and (move := _freest(world, points, length, low, high, tuple(found))) is not None:
            index, step = move
            points[index] = points[index] + step
            target = state.world_from_body[index].clone()
            target[:2] += torch.from_numpy(step)
            found[index] = target
    if not found:
        raise InputError("no body has room near it to be moved to; take some away, or move them apart.")
    aims = [{"body": world.bodies[index].name, "position": to[:2].tolist()} for index, to in found.items()]
    return goal_of_document(world, state, {"aims": aims}), found


def _lies(world: World, index: int) -> bool:
    """Whether a body is not so slender that a push at its foot topples it."""
    mesh = world.bodies[index].mesh
    assert mesh is not None
    extent = transform_mesh(mesh, world.bodies[index].rest_pose.double()).vertices
    size = extent.max(0).values - extent.min(0).values
    return float(size[2]) < LYING * float(size[:2].min())


def _freest(
    world: World, points: dict[int, np.ndarray], length: float, low: np.ndarray, high: np.ndarray, done: tuple[int, ...]
) -> tuple[int, np.ndarray] | None:
    """A body and the step [2] m of this length that leaves room around it and stays near the middle of what was filmed.

    Args:
        world: see `rearranged`.
        points: body -> [P, 2] m, where its surface is or shall be.
        length: m.
        low, high: [2] m, corners of what the bodies span.
        done: bodies that are not to be moved any more.
    """
    best, most, middle = None, -np.inf, (low + high) / 2
    for index in sorted(points.keys() - set(done)):
        if not _lies(world, index):
            continue
        others = np.concatenate([np.zeros((0, 2)), *(each for other, each in points.items() if other != index)])
        for angle in 2 * np.pi * np.arange(HEADINGS) / HEADINGS:
            step = length * np.array([np.cos(angle), np.sin(angle)])
            there = points[index] + step
            if bool(((there >= low) & (there <= high)).all()):
                room = float(cKDTree(others).query(there)[0].min()) if len(others) else 1.0
                aside = float(np.linalg.norm([points[index].mean(0) - middle, there.mean(0) - middle], axis=1).sum())
                value = min(room, WIDE) - CENTRAL * aside
                if room > APART and value > most:
                    best, most = (index, step), value
    return best
