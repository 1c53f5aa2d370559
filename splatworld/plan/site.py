"""What a planner knows of one moment: obstacles, ways, and how the tool gets to where a push begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.geometry.shapes import Shapes
from splatworld.plan.commands import longest_step, robot_of, tool_pose
from splatworld.plan.config import PlanConfig
from splatworld.plan.cost import JointTo, Reach
from splatworld.plan.goals import Goal
from splatworld.plan.proposals import GAP, Ground
from splatworld.plan.roads import TIGHT, find_roads
from splatworld.plan.shadows import Obstacles, body_corners, find_obstacles, hull, part_corners

MARGIN = 0.25
"""m around bodies and aims where the tool may go, if nobody says."""
OVER = 0.01
"""m that a tool keeps above bodies which it crosses."""

LOW = 0.3
"""Of a flat body's height, at which the tool pushes it at most."""
BELOW = 0.01
"""m below a part of what hangs on a joint, such as a handle, to which the tool reaches down."""
CLAMPED, ARMS = 0.004, 0.02
"""m: a tool with no more room than the first, and a body on either side no farther than the second, is clamped;
it could take the body along upward."""
OUTWARD = 32
"""Directions in which a way out from between arms is looked for."""
PULLS = 64
"""Pushes by which it is judged at which height the tool best gets behind a part."""


@dataclass(frozen=True)
class Site:
    """A moment.

    Attributes:
        ground: for pushes.
        height: m, z of the tool's frame while it pushes.
        over: m, z of the tool's frame above all bodies; infinite where it must stay down.
        start: [3] m where the tool is.
        exit: [2] m where it may go up.
        step: m that it goes in an action on its way.
        level: obstacles at the height at which the tool is now.
    """

    ground: Ground
    height: float
    over: float
    start: np.ndarray
    exit: np.ndarray
    step: float
    level: Obstacles

    @property
    def is_down(self) -> bool:
        """Whether the tool is at the height of pushes."""
        return abs(self.start[2] - self.height) < 0.003

    def lengths(self, starts: np.ndarray, travel: np.ndarray) -> np.ndarray:
        """[N] m of the tool's way to the starts [N, 2] of pushes, of which those along the ground are `travel` [N]."""
        aside = np.linalg.norm(self.exit - self.start[:2]) + np.linalg.norm(starts - self.exit, axis=1)
        over = self._crossed(starts)
        above = aside + (over - self.start[2]) + (over - self.height)
        above = np.where(self.ground.obstacles.gap(starts) > 0, above, np.inf)
        return np.minimum(travel if self.is_down else np.full_like(travel, np.inf), above)

    def _crossed(self, starts: np.ndarray) -> np.ndarray:
        """[N] m, z of the tool's frame on its way above bodies to starts [N, 2]: as it is, where nothing of that height
        lies between, so that a tool that is on its way down does not go up again whenever it is planned anew."""
        free = self.level.is_free(self.exit, starts, TIGHT)
        return np.where(free & (self.over < np.inf), self.start[2], max(self.over, self.start[2]))

    def way(self, start: np.ndarray, travel: float) -> np.ndarray:
        """[K, 3] m of the tool's frame after each action on its way to where a push begins [2]."""
        above = float(self.lengths(start[None], np.full(1, np.inf))[0])
        if self.is_down and travel <= above:
            corners = self.ground.roads.way(start) if travel > 0 else np.zeros((0, 2))
            corners = np.column_stack([corners, np.full(len(corners), self.height)])
        else:
            over = float(self._crossed(start[None])[0])
            out = [[*self.exit, self.start[2]], [*self.exit, over]]
            corners = np.array([*out, [*start, over], [*start, self.height]])
        places, here = [], self.start
        for corner in corners:
            count = int(np.ceil(np.linalg.norm(corner - here) / self.step - 1e-6))
            places += [here + (corner - here) * (k + 1) / count for k in range(count)]
            here = corner
        return np.array(places).reshape(-1, 3)


def look(world: World, shapes: Shapes, state: State, goal: Goal, config: PlanConfig) -> Site:
    """The site of a single state."""
    robot = robot_of(world)
    place = tool_pose(world, state).double().numpy()[:3]
    tool = body_corners(shapes, state, [robot.tool, *robot.fingers]) - place
    bodies = sorted(set(goal.bodies))
    corners = {body: body_corners(shapes, state, [body]) for body in bodies}
    at = state.world_from_body.double().numpy()
    targets = {body: at[body, :2] for body in bodies}
    for aim in goal.aims:
        if not isinstance(aim, Reach):
            targets[aim.body] = aim.target(state).numpy()[:2]
    flattest = min((float(each[:, 2].max()) for each in corners.values() if len(each)), default=np.inf)
    height = min(config.height, LOW * max(flattest, 0.0)) - float(tool[:, 2].min())
    hung = next((aim.body for aim in goal.aims if isinstance(aim, JointTo) and not bool(aim.reached(state))), None)
    if hung is not None:
        height = _behind(world, shapes, state, hung, targets[hung] - at[hung, :2], tool, height)
    obstacles = find_obstacles(world, shapes, state, tool, height)
    tops = [body_corners(shapes, state, [int(body)])[:, 2].max() for body in np.unique(obstacles.owners)]
    over = max(tops, default=0.0) + OVER - float(tool[:, 2].min()) if config.lift else np.inf
    low, high = bounds(state, goal, config, place, corners)
    ground = Ground(
        obstacles=obstacles,
        roads=find_roads(obstacles, place[:2], low, high),
        shadows={body: hull(each[:, :2]) for body, each in corners.items()},
        targets=targets,
        origins={body: at[body, :2] for body in bodies},
        low=low,
        high=high,
    )
    step = min(longest_step(world), 0.1 * config.travel_speed)
    level = find_obstacles(world, shapes, state, tool, float(place[2]))
    way_out = _way_out(level, place[:2])
    return Site(ground, height, over, place, way_out, step, level)


def _way_out(level: Obstacles, place: np.ndarray) -> np.ndarray:
    """[2] m where a tool may go up: where it is, unless it is clamped between the arms of a body. It would take that
    along, so that it leaves the way it came in: where most room is on a straight line."""
    gaps = level.gaps(place[None])[:, 0]
    if gaps.min(initial=np.inf) > CLAMPED:
        return place
    body = level.of(int(level.owners[gaps.argmin()]))
    turn = np.arange(OUTWARD) * 2 * np.pi / OUTWARD
    ahead = np.column_stack([np.cos(turn), np.sin(turn)])
    hits = body.hits(np.broadcast_to(place, ahead.shape), ahead, -CLAMPED / 2)
    beside = ((hits > 0) & (hits < ARMS)).any(axis=0)
    if not (beside & np.roll(beside, OUTWARD // 2)).any():
        return place
    low, high = body.boxes[:, :2].min(axis=0), body.boxes[:, 2:].max(axis=0)
    far = np.where(ahead > 0, high - place, place - low) / np.maximum(np.abs(ahead), 1e-9)
    far = far.min(axis=1) + CLAMPED
    ways = place + np.linspace(0, 1, OUTWARD)[:, None, None] * far[:, None] * ahead
    room = level.gap(ways.reshape(-1, 2)).reshape(OUTWARD, OUTWARD).min(axis=0)
    return ways[-1, int(np.lexsort((far, -np.round(room, 3)))[0])]


def _behind(
    world: World, shapes: Shapes, state: State, body: int, way: np.ndarray, tool: np.ndarray, lowest: float
) -> float:
    """m, z of the tool's frame at which it finds most places to push a body along its way [2], above the table and just
    below each of the body's parts; handles are found so, whatever they look like."""
    parts = [part_corners(shapes, state, k) for k, owner in enumerate(shapes.part_bodies.tolist()) if owner == body]
    levels = sorted({float(each[:, 2].min()) - BELOW - float(tool[:, 2].min()) for each in parts})
    ahead = np.repeat(way[None] / max(float(np.linalg.norm(way)), 1e-9), PULLS, axis=0)
    across = np.column_stack([-ahead[:, 1], ahead[:, 0]])
    spots = np.concatenate(parts)[:, :2]
    aside = spots @ across[0]
    places = across * np.linspace(aside.min(), aside.max(), PULLS)[:, None] + ahead * (spots @ ahead[0]).min()
    found = []
    for level in [lowest, *(level for level in levels if level > lowest)]:
        obstacles = find_obstacles(world, shapes, state, tool, level)
        hits = obstacles.of(body).hits(places - ahead, ahead)
        met, line = np.isfinite(hits).nonzero()
        free = obstacles.gap(places[line] + (hits[met, line] - 1 - GAP)[:, None] * ahead[line]) > TIGHT
        found.append((int(free.sum()), -level))
    return -max(found)[1]


def bounds(
    state: State, goal: Goal, config: PlanConfig, place: np.ndarray, corners: dict[int, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """[2] and [2] m, corners of where the tool may go."""
    if config.workspace is not None:
        return np.array(config.workspace[0][:2]), np.array(config.workspace[1][:2])
    spots = [place[None, :2], *(each[:, :2] for each in corners.values())]
    spots += [aim.target(state).numpy()[None, :2] for aim in goal.aims]
    spanned = np.concatenate(spots)
    return spanned.min(axis=0) - MARGIN, spanned.max(axis=0) + MARGIN
