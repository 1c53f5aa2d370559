"""The planner: sample contact primitives, predict them, sample again around the best, polish, until time is up."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from functools import cached_property

import numpy as np
import torch

from splatworld.core.checks import InputError, check_finite
from splatworld.core.plan import Plan
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.geometry.shapes import pack_shapes
from splatworld.plan import cem, mppi
from splatworld.plan.clock import Clock
from splatworld.plan.commands import actions_along, expanded, robot_of, tool_pose
from splatworld.plan.config import PlanConfig
from splatworld.plan.cost import Reach
from splatworld.plan.feasible import obstacle
from splatworld.plan.goals import Goal
from splatworld.plan.grasping import Grasping
from splatworld.plan.hands import Hand, find_hand, surrounds
from splatworld.plan.proposals import WITHIN, Pushes, joined, lay_out, sample_pushes, vary_pushes
from splatworld.plan.search import Dynamics, Found, Search
from splatworld.plan.site import Site, look
from splatworld.robot.actions import idle_action, place_tool
from splatworld.store import world_id

NEAR = 0.012
"""m up to which the tool counts as being at a body."""
KEPT = 0.05
"""Share of the pushes that the next plan begins with."""
REACHED_WEIGHT = 0.05
"""Share of pushes that a body gets which is where it shall be, against one that is not."""


def plan(
    world: World,
    state: State,
    goal: Goal,
    *,
    dynamics: Dynamics,
    config: PlanConfig | None = None,
    deadline: float | None = None,
) -> Plan:
    """Find actions after which the goal is reached, or that bring it nearer.

    Args:
        world: with a robot, in metres.
        state: now; or a batch [K] of beliefs about now, over which costs are averaged.
        goal: see `goals`.
        dynamics: what predicts, such as `splatworld.dynamics.predict.predict`.
        config: see there.
        deadline: ms after which the best so far is given.

    Returns:
        The best plan found. One without actions where the goal is reached already; or where it is infeasible, and then
        it says why.

    Raises:
        InputError: no robot, a state that is not finite, or a deadline that is not positive.
        ShapeError: a state of another world.
    """
    return Planner(world, goal, dynamics=dynamics, config=config).plan(state, deadline=deadline)


class Planner:
    """Plans again and again for one goal, each time around what was best before."""

    def __init__(self, world: World, goal: Goal, *, dynamics: Dynamics, config: PlanConfig | None = None) -> None:
        """Arguments and errors as of `plan`."""
        robot_of(world)
        self._world, self._goal, self._dynamics = world, goal, dynamics
        self._config = config or PlanConfig()
        self._shapes = pack_shapes(world)
        self._rng = np.random.default_rng(self._config.seed)
        self._clock = Clock()
        self._kept: Pushes | None = None
        self._grasps = Grasping(world, self._shapes, goal, self._config, self._rng)
        self._checked = False

    def plan(self, state: State, *, deadline: float | None = None) -> Plan:
        """Arguments, result and errors as of `plan`."""
        begin = time.perf_counter()
        if deadline is not None and not deadline > 0:
            raise InputError(f"plan: the deadline is {deadline} ms, expected more than 0.")
        for name in ("world_from_body", "twists", "joints"):
            check_finite("plan", f"state.{name}", getattr(state, name))
        self._clock.start(begin, None if deadline is None else deadline / 1000)
        first = state[0] if state.batch else state
        hand = find_hand(self._world, self._shapes, first)
        if self._is_done(first, hand):
            return self._nothing(first, None, begin)
        reason = (
            None
            if self._checked
            else obstacle(self._world, self._shapes, first, self._goal, self._config, lifts=hand is not None)
        )
        self._checked = reason is None
        if reason is not None:
            return self._nothing(first, reason, begin)
        site = look(self._world, self._shapes, first, self._goal, self._config)
        search = Search(self._world, state, self._goal, self._dynamics, self._config, site, self._clock)
        if self._config.method == "pushes" and self._goal.bodies:
            if hand is None or not self._grasps.search(search, hand, first):
                self._push(search, site, first)
        else:
            self._steer(search, first)
        last = time.perf_counter()
        if search.best is None:
            return self._nothing(first, "no push was found that the tool can get to; make room around bodies, or give "
                                        "the tool more workspace.", begin)  # fmt: skip
        made = self._whole(search, search.best, site, first)
        self._clock.ended(time.perf_counter() - last)
        return replace(made, candidates=search.count, seconds=time.perf_counter() - begin)

    def is_done(self, state: State) -> bool:
        """Whether nothing is left to do in a single state: the goal is reached, and no hand is about its bodies."""
        return self._is_done(state, find_hand(self._world, self._shapes, state))

    def _is_done(self, state: State, hand: Hand | None) -> bool:
        if not bool(self._goal.reached(state)):
            return False
        return hand is None or not any(surrounds(hand, self._shapes, state, body) for body in self._goal.bodies)

    def _push(self, search: Search, site: Site, state: State) -> None:
        config, rng = self._config, self._rng
        weights = self._weights(state)
        shares = np.linspace(0, (1 - config.polish) * config.candidates, config.generations + 1)
        costs, tried = np.zeros(0), Pushes.none()
        for generation, size in enumerate(np.diff(np.round(shares)).astype(int).tolist()):
            size = min(size, search.room(config.generations - generation))
            best = cem.elites(costs, config.elite)
            if len(best):
                chosen = cem.parents(best, 3 * size, rng)
                pushes = vary_pushes(tried[chosen], config.push, config.narrowing**generation, rng)
            else:
                pushes = self._first(site, weights, size)
            strokes = lay_out(pushes, site.ground, config.push)
            possible = np.flatnonzero(np.isfinite(site.lengths(strokes.starts, strokes.travel)))[:size]
            found = search.try_pushes(pushes[possible], strokes[possible])
            costs, tried = np.concatenate([costs, found]), joined([tried, pushes[possible[: len(found)]]])
        search.polish(min(round(config.polish * config.candidates), search.room(0)), rng)
        self._kept = tried[cem.elites(costs, KEPT)]

    def _steer(self, search: Search, state: State) -> None:
        """Action sequences from where the tool is, by MPPI or CEM."""
        config, rng = self._config, self._rng
        nominal = self._towards(state)
        scale = np.full(nominal.shape, config.noise)
        for size in np.full(config.generations, config.candidates // config.generations).tolist():
            steps = mppi.noisy(nominal, scale, max(1, size - 1), rng)
            costs = search.try_steps(steps)
            if not len(costs):
                return
            if config.method == "cem":
                nominal, scale = cem.gaussian(steps[: len(costs)], costs, config.elite, least=0.1 * config.noise)
            else:
                nominal = mppi.weighted(steps[: len(costs)], costs, config.temperature)
        search.try_steps(nominal[None])

    def _towards(self, state: State) -> np.ndarray:
        """[H, A] straight to where the tool shall be; nothing where only bodies shall be somewhere."""
        horizon = self._config.horizon
        steps = np.zeros((horizon, len(robot_of(self._world).action)))
        aim = next((aim for aim in self._goal.aims if isinstance(aim, Reach)), None)
        if aim is None:
            return steps
        here = tool_pose(self._world, state)[:3].double()
        share = torch.linspace(0, 1, horizon + 1, dtype=torch.float64)[1:, None]
        places = here + share * (aim.target(state) - here)
        actions = actions_along(self._world, expanded(state, 1), places[None])[0].numpy()
        idle = idle_action(self._world, state).double().numpy()
        joints = robot_of(self._world).action.kind == "joints"
        return np.diff(actions, axis=0, prepend=idle[None]) if joints else actions - idle

    def _weights(self, state: State) -> dict[int, float]:
        """Body -> share of the pushes."""
        aims = [aim for aim in self._goal.aims if not isinstance(aim, Reach)]
        return {aim.body: REACHED_WEIGHT if bool(aim.reached(state)) else 1.0 for aim in aims}

    def _first(self, site: Site, weights: dict[int, float], size: int) -> Pushes:
        """The first generation: on from where the tool is, around what was best before, and by chance."""
        config, rng = self._config.push, self._rng
        pushes = []
        for body in weights:
            if site.is_down and site.ground.obstacles.of(body).gap(site.start[None, :2])[0] < NEAR:
                there = sample_pushes(site.ground, {body: 1.0}, size // 4, config, rng)
                inward = site.ground.origins[body] - site.start[:2]
                heading = np.arctan2(inward[1], inward[0]) + rng.normal(0, 0.6, len(there))
                # What is pulled by a handle goes the other way.
                heading = np.where(rng.random(len(there)) < WITHIN, there.heading, heading)
                pushes.append(replace(there, heading=heading, here=np.ones(len(there), bool)))
        if self._kept is not None and len(self._kept):
            again = self._kept[np.arange(size // 4) % len(self._kept)]
            pushes += [self._kept, vary_pushes(again, config, 0.1, rng)]
        return joined([*pushes, sample_pushes(site.ground, weights, 2 * size, config, rng)])

    def _whole(self, search: Search, found: Found, site: Site, state: State) -> Plan:
        """The plan with the tool's way to where the push begins, which moves nothing that was at rest."""
        push = found.rollout
        strokes, ways = found.strokes, found.ways
        if strokes is None and ways is None:
            return Plan(push.actions, found.cost, push, found.spread)
        world, one = self._world, expanded(state, 1)
        if ways is not None:
            going, led = self._grasps.approach(ways, state)
        elif strokes is not None:
            way = torch.from_numpy(site.way(strokes.starts[0], float(strokes.travel[0])))
            places = torch.cat([way, tool_pose(world, state)[3:].expand(len(way), 4)], dim=-1)
            going, led = place_tool(world, search.meanwhile(len(way)), places), actions_along(world, one, way[None])[0]
        count = len(led)
        going = replace(going, time=state.time + 0.1 * torch.arange(1, count + 1))
        after = replace(push.states, time=state.time + 0.1 * (count + torch.arange(len(push.states.time))))
        parts = (one, going, after[1:])
        states = State(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(State)})
        actions = torch.cat([led, push.actions])
        std = blocked = None
        if push.std is not None:
            std = torch.cat([push.std.new_zeros(count, *push.std.shape[1:]), push.std])
        if push.blocked is not None:
            blocked = torch.cat([push.blocked.new_zeros(count), push.blocked])
        return Plan(actions, found.cost, Rollout(actions, states, push.world_id, std, blocked), found.spread)

    @cached_property
    def _world_id(self) -> str:
        return world_id(self._world)

    def _nothing(self, state: State, reason: str | None, begin: float) -> Plan:
        """A plan without actions."""
        none = torch.zeros(0, len(robot_of(self._world).action), dtype=torch.float64)
        still = Rollout(none, expanded(state, 1), self._world_id)
        cost = float(self._goal(still)) if reason is None else float("inf")
        return Plan(none, cost, still, 0.0, reason, 0, time.perf_counter() - begin)
