"""The hand that leads the tool: an action every 0.1 s while there is somewhere to go or anything moves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from torch import Tensor

from splatworld.core.robot import ACTION_SECONDS
from splatworld.plan.commands import action_towards, tool_pose
from splatworld.robot.actions import idle_action
from splatworld.robot.kinematics import pose_error
from splatworld.viewer.acting import Acting
from splatworld.viewer.worker import Worker

THERE = 1e-4
"""m and rad by which the tool may miss where it is led."""
STILL = 2e-3
"""m/s and rad/s below which a body counts as at rest."""
SETTLING = 30
"""Actions that are waited at most until bodies rest."""
STUCK = 3
"""Actions that are blocked whole before the tool is led no further."""
BLOCKED = 0.99


class Hand(Worker):
    """Acts in a thread of its own.

    Attributes:
        target: [7] where the tool is led; None for nowhere.
        width: m of the gripper's opening; None: as it is.
        pace: s from one action to the next.
        says: the last thing worth telling, such as that the tool is blocked.
    """

    def __init__(
        self, acting: Acting, *, acted: Callable[[], None], rested: Callable[[], None], pace: float = ACTION_SECONDS
    ) -> None:
        """
        Args:
            acting: the world.
            acted: called after every action, in the hand's thread.
            rested: called when there is nothing more to do, or what was to be done could not be.
            pace: s from one action to the next.
        """
        super().__init__()
        self.acting, self._acted, self._rested = acting, acted, rested
        self.pace = pace
        self.target: Tensor | None = None
        self.width: float | None = None
        self.says = ""
        self._queue: list[Tensor] = []
        self._left = self._stuck = 0
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return self.target is not None or bool(self._queue) or self._left > 0

    def lead(self, target: Tensor) -> None:
        """Lead the tool to a pose [7]."""
        with self._changed:
            self.target, self._queue, self.says, self._stuck = target.double(), [], "", 0
            self._changed.notify()

    def carry_out(self, actions: Tensor) -> None:
        """Do these [T, A], one after the other."""
        with self._changed:
            self.target, self._queue, self.says, self._stuck = None, list(actions), "", 0
            self._changed.notify()

    def wait(self, actions: int) -> None:
        """Let so many actions go by in which the tool stays."""
        with self._changed:
            self._left = actions
            self._changed.notify()

    def join(self, seconds: float) -> bool:
        """Wait so long, in s, until there is nothing more to do; returns whether there is nothing."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.busy, seconds)

    @contextlib.contextmanager
    def held(self, *, stop: bool = True) -> Iterator[None]:
        """Nothing is done meanwhile, nor afterwards unless it is asked for again or `stop` is off."""
        with self._changed:
            if stop:
                self.target, self._queue, self._left, self.says = None, [], 0, ""
            yield

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self.busy)
                if self._closed:
                    return
                begin = time.monotonic()
                try:
                    self._act()
                except Exception as error:  # told on the page, where who acts looks
                    with self.held():
                        self.says = str(error)
                else:
                    self._acted()
                if not self.busy:
                    self._rested()
                    self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed, max(0.0, begin + self.pace - time.monotonic()))

    def _act(self) -> None:
        """Carry out the next action."""
        acting = self.acting
        world, state = acting.world, acting.state
        target = self.target
        if self._queue:
            action = self._queue.pop(0)
            self._left = SETTLING
        elif target is not None:
            action = action_towards(world, state, target, width=self.width)
            self._left = SETTLING
        else:
            action = idle_action(world, state)
            self._left -= 1
        blocked = acting.step(action)
        self._stuck = self._stuck + 1 if blocked > BLOCKED else 0
        if self._stuck >= STUCK:
            with self.held():
                self.says = "The tool is blocked: what is in its way does not give. Lift it, or go around."
        after = acting.state
        if target is not None and self.target is target:
            missed = pose_error(target, tool_pose(world, after).double()).abs().max()
            if float(missed) < THERE or bool((action - idle_action(world, state)).abs().max() < THERE):
                self.target = None  # or as near as it gets
        if self.target is None and not self._queue and self._left > 0 and self._still():
            self._left = 0

    def _still(self) -> bool:
        world = self.acting.world
        free = [i for i, body in enumerate(world.bodies) if body.kind != "robot"]
        state = self.acting.state
        return float(state.twists[free].abs().max()) < STILL and (
            not len(state.node_velocities) or float(state.node_velocities.abs().max()) < STILL
        )
