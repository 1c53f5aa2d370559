"""A gripper whose fingers point down, seen from above: where it can stand, and what is between its fingers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.geometry.shapes import Shapes
from splatworld.plan.clearance import gaps
from splatworld.plan.commands import robot_of, tool_pose
from splatworld.plan.gripping import opening
from splatworld.plan.shadows import Obstacles, body_corners

LEVEL = 0.1
"""Of the line along which fingers close, its share upward at most."""
ASIDE = 0.005
"""m by which the middle between the fingers may be beside the tool's frame."""
TOUCHES = 0.002
"""m from a finger up to which a body that both touch is held."""


@dataclass(frozen=True)
class Hand:
    """A gripper at one moment. "Along" is the line on which its fingers open, "across" the other horizontal one.

    Attributes:
        fingers: their two bodies.
        at: [4] m and rad: x, y, z of the tool's frame, and how "along" is headed.
        width: m between the fingers now.
        most: m between them at most.
        tips: m, z of the fingers' ends from the tool's frame.
        deep: m from there up to the palm.
        pad: m, across a finger and half of it, and its thickness along.
        palm: [2] m, half its extent along and across.
    """

    fingers: tuple[int, int]
    at: np.ndarray
    width: float
    most: float
    tips: float
    deep: float
    pad: tuple[float, float]
    palm: np.ndarray

    def feet(self, width: np.ndarray) -> np.ndarray:
        """[N, F, 2] m along and across, places under the fingers that are `width` [N] m apart."""
        across, thick = self.pad
        along = width[:, None] / 2 + np.linspace(0, thick, 3)
        along = np.concatenate([along, -along], axis=1)[:, :, None]
        return np.stack(np.broadcast_arrays(along, np.linspace(-across, across, 5)), axis=-1).reshape(len(width), 30, 2)

    def cover(self) -> np.ndarray:
        """[F, 2] m along and across, places under the palm."""
        ends = [np.linspace(-half, half, max(2, int(half / 0.004))) for half in self.palm]
        return np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 2)

    @property
    def reach(self) -> float:
        """m from the tool's axis to the farthest of what it covers."""
        return float(np.hypot(max(self.palm[0], self.most / 2 + self.pad[1]), self.palm[1]))


def find_hand(world: World, shapes: Shapes, state: State) -> Hand | None:
    """The hand of a world's robot; None unless it has two fingers that point down and is led by its tool."""
    robot = robot_of(world)
    if len(robot.fingers) != 2 or robot.action.kind != "end_effector":
        return None
    axes = [opening(world, state.world_from_body[None], finger)[0].double().numpy() for finger in robot.fingers]
    carrier, joints = world.bodies[robot.fingers[0]].parent, [world.bodies[finger].joint for finger in robot.fingers]
    if carrier is None or abs(axes[0][2]) > LEVEL or any(joint is None for joint in joints):
        return None
    place = tool_pose(world, state).double().numpy()[:3]
    heading = float(np.arctan2(axes[0][1], axes[0][0]))
    turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])

    def seen(body: int) -> np.ndarray:
        corners = body_corners(shapes, state, [body]) - place
        return np.column_stack([corners[:, :2] @ turn.T, corners[:, 2]])

    left, right, palm = seen(robot.fingers[0]), seen(robot.fingers[1]), seen(carrier)
    tips, deep = float(min(left[:, 2].min(), right[:, 2].min())), 0.0
    deep = float(palm[:, 2].min()) - tips if len(palm) else float(left[:, 2].max()) - tips
    if deep < 0.01 or abs(left[:, 0].min() + right[:, 0].max()) > ASIDE:
        return None
    columns = [world.joint_bodies.index(finger) for finger in robot.fingers]
    return Hand(
        fingers=(robot.fingers[0], robot.fingers[1]),
        at=np.array([*place, heading]),
        width=float(state.joints[columns].sum()),
        most=sum(joint.limits[1] for joint in joints if joint is not None),
        tips=tips,
        deep=deep,
        pad=(float(np.ptp(left[:, 1])) / 2, float(np.ptp(left[:, 0]))),
        palm=np.abs(palm[:, :2]).max(axis=0) if len(palm) else np.zeros(2),
    )


def placed(hand: Hand, spots: np.ndarray, at: np.ndarray) -> np.ndarray:
    """[N, F, 2] m in the world, of spots [N or 1, F, 2] along and across, for hands at [N, 4]."""
    c, s = np.cos(at[:, 3])[:, None], np.sin(at[:, 3])[:, None]
    along, across = spots[..., 0], spots[..., 1]
    return np.stack([c * along - s * across, s * along + c * across], axis=-1) + at[:, None, :2]


def stands_free(hand: Hand, obstacles: Obstacles, at: np.ndarray, width: np.ndarray, room: float) -> np.ndarray:
    """[N] bool, whether hands at [N, 4] with fingers `width` [N] apart get there from above and keep `room` m.

    Args:
        hand: which.
        obstacles: all, of a point.
        at: where.
        width: m.
        room: m.
    """
    free = np.ones(len(at), bool)
    tips = at[:, 2] + hand.tips
    for spots, low in ((hand.feet(width), tips), (hand.cover()[None], tips + hand.deep)):
        places = placed(hand, spots, at)
        near = obstacles.gaps(places.reshape(-1, 2)).reshape(len(obstacles.owners), *places.shape[:2]) < room
        free &= ~(near.any(axis=2) & (obstacles.tops[:, None] > low - room)).any(axis=0)
    return free


def highest(obstacles: Obstacles, start: np.ndarray, end: np.ndarray, reach: float) -> float:
    """m, z of the highest within `reach` m of a way from start [2] to end [2]; minus infinity where nothing is."""
    count = int(np.linalg.norm(end - start) / 0.01) + 2
    near = obstacles.gaps(start + np.linspace(0, 1, count)[:, None] * (end - start)).min(axis=1, initial=np.inf) < reach
    return float(obstacles.tops[near].max(initial=-np.inf))


def held(hand: Hand, shapes: Shapes, state: State, bodies: tuple[int, ...]) -> int | None:
    """Which of some bodies both fingers touch in a single state; None where it is none of them."""
    poses = state.world_from_body.double()
    for body in bodies:
        pairs = [torch.tensor([sorted((finger, body))], dtype=torch.int32) for finger in hand.fingers]
        if all(float(gaps(shapes, poses, pair, 2 * TOUCHES)) < TOUCHES for pair in pairs):
            return body
    return None


def surrounds(hand: Hand, shapes: Shapes, state: State, body: int) -> bool:
    """Whether a body reaches up between the fingers, or touches them."""
    corners = body_corners(shapes, state, [body])
    if not len(corners) or corners[:, 2].max() < hand.at[2] + hand.tips:
        return False
    c, s = np.cos(hand.at[3]), np.sin(hand.at[3])
    local = (corners[:, :2] - hand.at[:2]) @ np.array([[c, -s], [s, c]])
    half = np.array([hand.width / 2 + hand.pad[1], hand.pad[0]])
    return bool(((local.min(axis=0) < half) & (local.max(axis=0) > -half)).all())
