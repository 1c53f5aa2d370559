"""Models that break just one promise each, so that the checks of `permanence` can be seen to fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.evaluate.tabletop import PUSHED, TOP, index

Mutant = Callable[[World, State, State], State]
"""World, the state before and the state after a step -> what a broken model would have said."""


def _nudged(world: World, after: State, name: str, by: float) -> State:
    poses = after.world_from_body.clone()
    poses[index(world, name), 0] += by
    return replace(after, world_from_body=poses)


def drifting(world: World, before: State, after: State) -> State:
    return _nudged(world, after, "far", 1e-15)


def forgetful(world: World, before: State, after: State) -> State:
    """A body that lies still goes back to where it was first."""
    i = index(world, PUSHED)
    if not torch.equal(before.world_from_body[i], after.world_from_body[i]):
        return after
    poses = after.world_from_body.clone()
    poses[i] = world.bodies[i].rest_pose
    return replace(after, world_from_body=poses)


def floating(world: World, before: State, after: State) -> State:
    """What was asleep stays where it is."""
    i = index(world, TOP)
    poses, twists = after.world_from_body.clone(), after.twists.clone()
    poses[i], twists[i] = before.world_from_body[i], 0
    return replace(after, world_from_body=poses, twists=twists)


def forgetting(world: World) -> World:
    """The world without the splats of one body."""
    return replace(world, splats=world.splats.select(world.splats.body_ids != index(world, "other")))


_calls = 0


def remembering(world: World, before: State, after: State) -> State:
    """Something beside the state decides what comes next: how often it was asked."""
    global _calls
    _calls += 1
    return _nudged(world, after, PUSHED, 1e-12 * _calls)
