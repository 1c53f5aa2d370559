"""What is checked of an action before a robot gets it."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.geometry.shapes import pack_shapes
from splatworld.plan.clearance import gaps
from splatworld.plan.commands import robot_of
from splatworld.robot.actions import apply_action

CLEAR = 0.002
"""m that links of a robot which are not made to touch keep apart."""


class Guard:
    """Refuses actions that would take the tool out of its workspace, or links of the robot into each other."""

    def __init__(
        self, world: World, workspace: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    ) -> None:
        """Links that touch at rest, as neighbours do, may go on touching.

        Args:
            world: with a robot.
            workspace: corners of where the tool may be, m; None: anywhere.
        """
        self._world, self._shapes = world, pack_shapes(world)
        self._box = None if workspace is None else torch.tensor(workspace, dtype=torch.float64)
        links = robot_of(world).bodies
        rest = torch.stack([body.rest_pose.double() for body in world.bodies])
        pairs = [(a, b) for k, a in enumerate(links) for b in links[k + 1 :] if not self._related(a, b)]
        every = torch.tensor(pairs, dtype=torch.int32).reshape(-1, 2)
        apart = [float(gaps(self._shapes, rest, pair[None], CLEAR)) >= CLEAR for pair in every]
        self._pairs = every[torch.tensor(apart, dtype=torch.bool)]

    def refusal(self, state: State, action: Tensor) -> str | None:
        """Why an action [A] must not be carried out from a single state; None if it may."""
        after = apply_action(self._world, state, action)
        robot = robot_of(self._world)
        if self._box is not None:
            now, then = (each.world_from_body[robot.tool, :3].double() for each in (state, after))
            out = self._beyond(then)
            # From outside it may come back.
            if out > 1e-6 and out >= self._beyond(now) - 1e-9:
                return f"the tool would be {1e3 * out:.0f} mm out of its workspace."
        if len(self._pairs) and float(gaps(self._shapes, after.world_from_body, self._pairs, CLEAR)) < CLEAR:
            return "links of the robot would touch each other."
        return None

    def _beyond(self, place: Tensor) -> float:
        assert self._box is not None
        return float(torch.maximum(self._box[0] - place, place - self._box[1]).clamp(min=0).norm())

    def _related(self, a: int, b: int) -> bool:
        """Whether one hangs on the other, or both are fingers, which are made to meet."""
        bodies, fingers = self._world.bodies, robot_of(self._world).fingers
        return bodies[a].parent == b or bodies[b].parent == a or (a in fingers and b in fingers)
