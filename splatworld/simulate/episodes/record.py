"""Running a scene and recording it: states five times an action, what touched what and how hard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splatworld.episodes import SUBSTATES
from splatworld.simulate.episodes.footprint import height
from splatworld.simulate.episodes.physics import GRAVITY, Physics
from splatworld.simulate.episodes.scene import Scene
from splatworld.simulate.episodes.shapes import rotation, shape

FARTHEST = 1.5
"""m from the middle of the table at which a body counts as lost."""
DEEPEST = 0.012
"""m of penetration from which on an episode counts as broken; an impact at 3 m/s reaches 6 mm in one step."""


@dataclass(frozen=True)
class Episode:
    """One recorded scene: K = T * SUBSTATES + 1 states, B bodies, T actions.

    Attributes:
        scene: shapes, hidden parameters, tool.
        actions: [T, 4] increments commanded: x, y, z m and yaw rad.
        targets: [T + 1, 4] where the tool's servos were commanded to at the ends of actions.
        poses: [K, B, 7] world_from_body.
        twists: [K, B, 6] linear velocity of the origin, angular velocity, world axes.
        asleep: [K, B] bool, where the pose is that of the state before, bit by bit.
        joints: [K, 4] of the tool, as achieved.
        joint_velocities: [K, 4].
        penetration: [K] m, the deepest since the state before.
        contacts: [C, 3] int: action, and the two numbers that touched in it: bodies, `TABLE` or `TOOL`.
        impulses: [C] N s, normal impulses summed over the action; sleeping bodies feel none.
    """

    scene: Scene
    actions: np.ndarray
    targets: np.ndarray
    poses: np.ndarray
    twists: np.ndarray
    asleep: np.ndarray
    joints: np.ndarray
    joint_velocities: np.ndarray
    penetration: np.ndarray
    contacts: np.ndarray
    impulses: np.ndarray

    def moved(self) -> np.ndarray:
        """[B] m, farthest that each body's origin got from where it started."""
        return np.linalg.norm(self.poses[:, :, :3] - self.poses[0, :, :3], axis=-1).max(0)

    def energy(self) -> np.ndarray:
        """[K, 2] J, kinetic and potential, of the bodies that can move."""
        truth, loose = self.scene.parameters, ~self.scene.fixed
        turn = rotation(self.poses[..., 3:])
        arm = np.einsum("kbij,bj->kbi", turn, truth.com)
        spin = self.twists[..., 3:]
        speed = self.twists[..., :3] + np.cross(spin, arm)
        local = np.einsum("kbji,kbj->kbi", turn, spin)
        kinetic = 0.5 * truth.mass * (speed**2).sum(-1) + 0.5 * np.einsum(
            "kbi,bij,kbj->kb", local, truth.inertia, local
        )
        potential = GRAVITY * truth.mass * (self.poses[..., 2] + arm[..., 2])
        return np.stack([kinetic[:, loose].sum(1), potential[:, loose].sum(1)], -1)


def record(physics: Physics, next_action: Callable[[], np.ndarray], count: int) -> Episode:
    """Carry out `count` actions, given one by one by `next_action`, and record."""
    states, deepest, actions, targets = [_state(physics)], [0.0], [], [physics.target.copy()]
    contacts, impulses = [], []
    every = physics.steps // SUBSTATES
    for number in range(count):
        actions.append(np.asarray(next_action(), float))
        pairs, forces, deep = [], [], 0.0
        for step, _ in enumerate(physics.act(actions[-1]), 1):
            owners, distance, force = physics.contacts()
            if len(distance):
                pairs.append(owners)
                forces.append(force)
                deep = max(deep, -float(distance.min()))
            if step % every == 0:
                states.append(_state(physics))
                deepest.append(deep)
                deep = 0.0
        targets.append(physics.target.copy())
        if pairs:
            found, which = np.unique(np.sort(np.concatenate(pairs), 1), axis=0, return_inverse=True)
            impulses.append(np.bincount(which.reshape(-1), np.concatenate(forces)) * physics.scene.step)
            contacts.append(np.column_stack([np.full(len(found), number), found]))
    poses, twists, asleep, joints, velocities = (np.array(column) for column in zip(*states, strict=True))
    asleep[1:] &= (poses[1:] == poses[:-1]).all(-1)  # not if woken and asleep again in between
    return Episode(
        scene=physics.scene,
        actions=np.array(actions).reshape(-1, 4),
        targets=np.array(targets),
        poses=poses,
        twists=twists,
        asleep=asleep,
        joints=joints,
        joint_velocities=velocities,
        penetration=np.array(deepest),
        contacts=np.concatenate(contacts) if contacts else np.zeros((0, 3), int),
        impulses=np.concatenate(impulses) if impulses else np.zeros(0),
    )


def fault(episode: Episode) -> str | None:
    """What is wrong with an episode: "exploded", "sunk", "tunnelled" or "lost"; None if nothing is."""
    numbers = (episode.poses, episode.twists, episode.joints, episode.joint_velocities, episode.impulses)
    if not all(np.isfinite(array).all() for array in numbers):
        return "exploded"
    if episode.penetration.max() > DEEPEST:
        return "sunk"
    last = zip(episode.scene.shapes, episode.poses[-1], strict=True)
    if min(height(shape(name), pose)[0] for name, pose in last) < -DEEPEST:
        return "tunnelled"
    return "lost" if np.abs(episode.poses[..., :2]).max() > FARTHEST else None


def _state(physics: Physics) -> tuple[np.ndarray, ...]:
    return physics.poses, physics.twists, physics.asleep, physics.joints, physics.joint_velocities
