"""How the tool is led: strokes against bodies, curved, with stops, and the ways around or over them in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splatworld.core.robot import ACTION_SECONDS
from splatworld.simulate.episodes.footprint import footprint, height, separation, yawed
from splatworld.simulate.episodes.physics import Physics
from splatworld.simulate.episodes.shapes import shape
from splatworld.simulate.episodes.solids import Solid
from splatworld.simulate.episodes.tools import MAX_SPEED, tool

REACH = 0.45
"""m, the tool stays this near to the middle of the table along x and y."""
ACCELERATION = 2.0
"""m/s^2 at most from one action to the next."""
TRAVEL = 0.4
"""m/s, the tool's speed above the bodies."""
TIPPING = (0.6, 3.0)
"""Of the distance from a body's back to its middle, how far a stroke goes that may tip it."""
BACK = 0.1
"""m by which the tool draws back after its last stroke."""
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


@dataclass(frozen=True)
class Stroke:
    """One push.

    Attributes:
        start: [4] x, y, z m, yaw rad of the tool in front of the body.
        heading: rad, where the push goes first.
        curvature: 1/m of its path.
        length: m.
        speed: m/s.
        spin: rad/s of the tool.
        stops: chance that an action begins a stop.
        last: whether the tool draws back after it and stays there.
    """

    start: np.ndarray
    heading: float
    curvature: float
    length: float
    speed: float
    spin: float
    stops: float
    last: bool = False


def plan_stroke(
    names: tuple[str, ...],
    fixed: np.ndarray,
    poses: np.ndarray,
    pusher: Solid,
    speed: tuple[float, float],
    rng: np.random.Generator,
    tries: int = 30,
    rise: tuple[float, float] | None = None,
) -> Stroke | None:
    """A push against one of the bodies from a free place beside it; None if none was found in some tries.

    Args:
        names, fixed, poses: [B] shapes, [B] which cannot move, [B, 7] where they are.
        pusher: the tool's shape.
        speed: m/s, range of the push's.
        rng: decides all.
        tries: how many places are looked at.
        rise: of a body's height, from where to where the tool's lowest point may be; None: near the table.
    """
    low, _ = height(pusher, np.array([0, 0, 0, *UPRIGHT]))
    polygons = [footprint(shape(name), pose) for name, pose in zip(names, poses, strict=True)]
    for _ in range(tries):
        number = int(rng.choice(len(names) if rng.random() < 0.05 else np.flatnonzero(~fixed)))
        bottom, top = height(shape(names[number]), poses[number])
        clearance = min(rng.uniform(0.002, 0.012), 0.35 * top) if rise is None else rng.uniform(*rise) * top
        if bottom > clearance or (pusher.parts[0].kind == "sphere" and top < clearance - low):
            continue  # it stands on another body, or the ball would climb it
        heading = rng.uniform(0, 2 * np.pi)
        ahead = np.array([np.cos(heading), np.sin(heading)])
        across = np.array([-ahead[1], ahead[0]])
        # Blunt tools mostly face where they go.
        yaw = heading + (rng.normal(0, 0.25) if rng.random() < 0.75 else rng.uniform(-np.pi, np.pi))
        yaw = (yaw + np.pi) % (2 * np.pi) - np.pi
        aside = (polygons[number] - poses[number, :2]) @ across
        offset = rng.uniform(0.7 * aside.min(), 0.7 * aside.max()) * rng.uniform()
        shadow = footprint(pusher, np.array([0, 0, 0, *yawed(UPRIGHT, yaw)]))
        back = ((polygons[number] - poses[number, :2]) @ ahead).min()
        behind = back - (shadow @ ahead).max()
        gap = rng.uniform(0.004, 0.02)
        spot = poses[number, :2] + across * offset + ahead * (behind - gap)
        if np.abs(spot).max() > REACH or min(separation(shadow + spot, p) for p in polygons) < 0.003:
            continue
        return Stroke(
            start=np.array([*spot, clearance - low, yaw]),
            heading=heading + rng.normal(0, 0.1),
            curvature=rng.normal(0, 4.0) * (rng.random() < 0.7),
            length=gap + (aside.std() + rng.uniform(0.04, 0.25) if rise is None else -back * rng.uniform(*TIPPING)),
            speed=float(np.exp(rng.uniform(*np.log(speed)))),
            spin=rng.normal(0, 1.0) * (rng.random() < 0.4),
            stops=0.1 * (rng.random() < 0.4),
        )
    return None


class Pusher:
    """Leads the tool of a scene, action by action; knows the true state, as whoever shows a task does."""

    def __init__(self, physics: Physics, first: Stroke, speed: tuple[float, float], rng: np.random.Generator) -> None:
        assert physics.scene.tool is not None
        self._physics, self._speed, self._rng = physics, speed, rng
        self._servo = physics.scene.tool.servo
        self._tool = tool(physics.scene.tool.name)
        self._velocity = np.zeros(4)
        self._way: list[np.ndarray] = []
        self._begin(first)

    def _begin(self, stroke: Stroke | None) -> None:
        self._stroke = stroke
        self._heading = stroke.heading if stroke else 0.0
        self._pushed, self._blocked, self._stop = 0.0, 0, 0
        self._over = False

    def action(self) -> np.ndarray:
        """The next action [4]: increments of x, y, z m and yaw rad."""
        wanted = self._travel() if self._way else self._push()
        change = wanted - self._velocity
        change[:3] *= min(1.0, ACCELERATION * ACTION_SECONDS / max(float(np.linalg.norm(change[:3])), 1e-12))
        self._velocity = np.clip(self._velocity + change, -MAX_SPEED, MAX_SPEED)
        return self._velocity * ACTION_SECONDS

    def _push(self) -> np.ndarray:
        stroke, joints, rng = self._stroke, self._physics.joints, self._rng
        stuck = (np.abs(self._physics.target - joints)[:2] > 0.9 * self._servo.leash[:2]).any()
        self._blocked = self._blocked + 1 if stuck else 0
        outside = np.abs(joints[:2]).max() > REACH
        if stroke is None or self._pushed > stroke.length or outside or self._blocked > 6:
            self._next()
            return self._travel() if self._way else np.zeros(4)
        if self._stop or rng.random() < stroke.stops:
            self._stop = self._stop - 1 if self._stop else int(rng.integers(1, 4))
            return np.zeros(4)
        speed = stroke.speed * max(0.0, 1 + rng.normal(0, 0.15))
        self._pushed += speed * ACTION_SECONDS
        self._heading += stroke.curvature * speed * ACTION_SECONDS
        rise = (stroke.start[2] - self._physics.target[2]) / ACTION_SECONDS
        return np.array([speed * np.cos(self._heading), speed * np.sin(self._heading), rise, stroke.spin])

    def _travel(self) -> np.ndarray:
        """Speed towards the next waypoint; the last one is entered only if it is still free."""
        if len(self._way) == 1 and self._stroke is not None and self._is_taken(self._stroke.start):
            self._next()
            if not self._way:
                return np.zeros(4)
        left = self._way[0] - self._physics.target
        left[3] = (left[3] + np.pi) % (2 * np.pi) - np.pi
        seconds = max(np.linalg.norm(left[:3]) / TRAVEL, abs(left[3]) / MAX_SPEED[3], ACTION_SECONDS)
        if seconds <= ACTION_SECONDS:
            self._way.pop(0)
        return left / seconds

    def _next(self) -> None:
        """Choose another stroke and the way to where it starts; after the last one draw back."""
        if self._over or (self._stroke is not None and self._stroke.last):
            self._way = [] if self._over else [self._behind()]
            self._stroke, self._over = None, True
            return
        scene, joints, poses = self._physics.scene, self._physics.joints, self._physics.poses
        stroke = plan_stroke(scene.shapes, scene.fixed, poses, self._tool, self._speed, self._rng)
        self._begin(stroke)
        self._way = []
        if stroke is None:
            return
        start = stroke.start
        around = self._around(joints, start, poses) if self._rng.random() < 0.4 else None
        if around is not None:
            self._way = around
            return
        low, _ = height(self._tool, np.array([0, 0, 0, *UPRIGHT]))
        above = max(height(shape(name), pose)[1] for name, pose in zip(scene.shapes, poses, strict=True)) - low + 0.02
        up, over = joints.copy(), start.copy()
        up[2] = over[2] = max(above, joints[2])
        self._way = [up, over, start]

    def _behind(self) -> np.ndarray:
        """[4] where the tool is out of the way of what it pushed."""
        ahead = np.array([np.cos(self._heading), np.sin(self._heading), 0, 0])
        return self._physics.joints - BACK * ahead

    def _around(self, joints: np.ndarray, start: np.ndarray, poses: np.ndarray) -> list[np.ndarray] | None:
        """Waypoints on the table around the body nearest to where the stroke starts; None if the way is not free."""
        scene = self._physics.scene
        number = int(np.argmin(np.linalg.norm(poses[:, :2] - start[:2], axis=1)))
        middle = poses[number, :2]
        radius = shape(scene.shapes[number]).radius + self._tool.radius + 0.015
        ends = [np.arctan2(*(place[:2] - middle)[::-1]) for place in (joints, start)]
        turn = (ends[1] - ends[0] + np.pi) % (2 * np.pi) - np.pi
        way = []
        for share in np.linspace(0, 1, max(2, int(np.ceil(abs(turn) / 0.5)))):
            angle = ends[0] + share * turn
            spot = middle + radius * np.array([np.cos(angle), np.sin(angle)])
            way.append(np.array([*spot, start[2], joints[3] + share * (start[3] - joints[3])]))
        if any(np.abs(place[:2]).max() > REACH + 0.1 or self._is_taken(place) for place in way):
            return None
        return [*way, start]

    def _is_taken(self, joints: np.ndarray) -> bool:
        scene = self._physics.scene
        shadow = footprint(self._tool, np.array([*joints[:3], *yawed(UPRIGHT, joints[3])]))
        bodies = zip(scene.shapes, self._physics.poses, strict=True)
        return any(separation(shadow, footprint(shape(name), pose)) < 0.002 for name, pose in bodies)
