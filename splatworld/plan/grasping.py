"""Plans of a gripper: which grasps are tried, and on from where a body is held."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.geometry.shapes import Shapes
from splatworld.plan import cem
from splatworld.plan.carrying import Ways, carry_ways, held_ways, leaving_way, load_of
from splatworld.plan.commands import actions_through, expanded, robot_of, turned_tool
from splatworld.plan.config import PlanConfig
from splatworld.plan.cost import JointTo, Reach
from splatworld.plan.goals import Goal
from splatworld.plan.grasps import Grasps, all_grasps, sample_grasps
from splatworld.plan.hands import Hand, find_hand, held, surrounds
from splatworld.plan.search import Search
from splatworld.plan.shadows import find_obstacles
from splatworld.robot.actions import open_fingers, place_tool

TRIED = 24
"""Grasps of a body that are predicted."""
KEPT = 4
"""Of these, with which the next plan begins."""
EXTRA = 0.06
"""m that a body is lifted higher than it must be, at most."""
SAME = 0.003
"""m and about rad by which a body may move and is still held where it was looked at."""
POINT = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 10.0]])


class Grasping:
    """Grasps for one goal, plan after plan."""

    def __init__(self, world: World, shapes: Shapes, goal: Goal, config: PlanConfig, rng: np.random.Generator) -> None:
        self._world, self._shapes, self._goal, self._config, self._rng = world, shapes, goal, config, rng
        self._kept: dict[int, tuple[Tensor, Grasps]] = {}

    def search(self, search: Search, hand: Hand, state: State) -> bool:
        """Try grasps, or ways on from one, in a single state; whether any makes it better."""
        still = Rollout(torch.zeros(0, len(robot_of(self._world).action)), expanded(state, 1), "")
        obstacles = find_obstacles(self._world, self._shapes, state, POINT, -1.0)
        aims = [aim for aim in self._goal.aims if not isinstance(aim, JointTo | Reach)]
        heading = float(hand.at[3])
        carried = held(hand, self._shapes, state, tuple(aim.body for aim in aims))
        for aim in aims:
            load = load_of(self._shapes, state, aim, obstacles)
            if bool(aim.reached(state)):
                if surrounds(hand, self._shapes, state, aim.body) and aim.body != carried:
                    search.try_ways(leaving_way(hand, float(load.corners[:, 2].max())), heading)
                    return True
                if aim.body != carried:
                    continue
            if carried is not None and aim.body != carried:
                continue
            if aim.body == carried:
                search.try_ways(held_ways(hand, load, np.linspace(0, EXTRA, 4)), heading)
                return True
            found = all_grasps([
                self._again(hand, state, aim.body),
                sample_grasps(hand, self._shapes, state, obstacles, aim.body, self._rng)[:TRIED],
            ])  # fmt: skip
            extra = EXTRA * self._rng.random(len(found)) ** 2
            found, ways = carry_ways(hand, load, found, extra, self._config.travel_speed)
            costs = search.try_ways(ways, heading)
            best = cem.elites(costs, KEPT / max(KEPT, len(costs)))[:KEPT]
            self._kept[aim.body] = state.world_from_body[aim.body], found[best]
        return search.best is not None and search.best.cost < float(self._goal(still))

    def approach(self, ways: Ways, state: State) -> tuple[State, Tensor]:
        """States [K] and actions [K, A] of the way of a hand, which moves nothing, to where its one way begins."""
        hand = find_hand(self._world, self._shapes, state)
        assert hand is not None
        rows = torch.from_numpy(ways.approaches[0])
        poses = turned_tool(self._world, expanded(state, 1), rows[None, :, :4], float(hand.at[3]))
        going = place_tool(self._world, expanded(state, len(rows)), poses[0])
        going = open_fingers(self._world, going, rows[:, 4])
        return going, actions_through(self._world, expanded(state, 1), poses, rows[None, :, 4])[0]

    def _again(self, hand: Hand, state: State, body: int) -> Grasps:
        """The best of the plan before, unless the body has moved or fingers have closed on nothing there."""
        if body not in self._kept:
            return Grasps.none()
        was, grasps = self._kept[body]
        moved = float((state.world_from_body[body] - was).abs().max()) > SAME
        return grasps[grasps.thick < hand.width + SAME] if not moved else Grasps.none()
