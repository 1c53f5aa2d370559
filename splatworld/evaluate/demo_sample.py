"""The sample's true scene as an outside reality: MuJoCo with a rod, in the terms of a world made from its video."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.evaluate.bodies_sample import Match
from splatworld.evaluate.sample_truth import align
from splatworld.plan.commands import tool_pose
from splatworld.simulate import tabletop  # needs the extra `sim`
from splatworld.simulate.camera import Camera as Oracle

LEGS = 3
"""Moments of an action that are kept for films."""
STIRRED = 3e-4
"""m and rad up to which a body counts as standing where it was captured: simulated bodies creep by micrometres."""
LEASH = 0.01
"""m that the rod may lag behind what it was told, until it is told less."""
STILL = 2e-3
"""m/s and rad/s below which a body counts as at rest."""
PHASES = 4
"""Points of each lamp that a picture is lit from."""
ROD_COLOR = (0.95, 0.55, 0.15, 1.0)


class SampleEnv:
    """The sample's scene, as `plan.control` carries plans out in it; a rod does what the world's tool is told.

    Attributes:
        filmed: what the scene was like `LEGS` times an action, for `pictures`.
    """

    def __init__(self, world: World, truth: dict[str, Any], found: Match, *, furnished: bool = True) -> None:
        """
        Args:
            world: made from the sample's video, with a `cylinder_pusher`.
            truth: as read by `read_truth`.
            found: which of its bodies is which true one.
            furnished: with the room, for pictures; without it is made sooner.
        """
        self._world, self._truth_from_world = world, align(world.cameras, truth)[0]
        self._scene = tabletop.build(truth["seed"], furnished=furnished, rod=True)
        geom = self._scene.model.geom("rod")
        geom.group, geom.rgba = tabletop.VISUAL_GROUP, ROD_COLOR
        placed = {each.id: each for each in self._scene.placed}
        self._bodies = {index: placed[label] for label, index in found.bodies.items()}
        self._rest = rest_state(world)
        self.reset()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Tensor, dict[str, Any]]:
        """Every body where it was filmed, the rod where the tool rests."""
        self._told = self._foot(self._rest)
        self._data = self._scene.with_rod(self._told)
        self._steps = 0
        self.filmed = [self._data.qpos.copy()]
        return self.state.world_from_body, {}

    def step(self, action: np.ndarray) -> tuple[Tensor, float, bool, bool, dict[str, Any]]:
        """One action of 0.1 s: increments of the tool's place, m."""
        way = pose.rotate(self._truth_from_world.quat, torch.from_numpy(np.asarray(action[:3], float))).numpy()
        here = self._told
        self._told = here + way
        for leg in range(LEGS):
            begin, end = (here + way * share / LEGS for share in (leg, leg + 1))
            self._scene.lead_rod(self._data, begin, end, ACTION_SECONDS / LEGS)
            self.filmed.append(self._data.qpos.copy())
        self._told = np.clip(self._told, self._rod() - LEASH, self._rod() + LEASH)
        self._steps += 1
        return self.state.world_from_body, 0.0, False, False, {}

    @property
    def state(self) -> State:
        """Now, as the world would have it whose bodies went where the true ones did."""
        rest, there = self._rest, self._truth_from_world
        poses, twists, awake = rest.world_from_body.clone(), rest.twists.clone(), torch.zeros_like(rest.awake)
        for index, placed in self._bodies.items():
            joint = self._data.joint(placed.thing.name)
            now, was = torch.from_numpy(joint.qpos.copy()), torch.from_numpy(placed.pose)
            way = pose.compose(now, pose.inverse(was))
            if bool((pose.log(pose.compose(pose.inverse(was), now)).abs() < STIRRED).all()):
                continue
            poses[index] = there.inverse().poses(pose.compose(way, there.poses(rest.world_from_body[index])))
            speed = torch.from_numpy(joint.qvel.copy())
            speed = torch.cat([speed[:3], pose.rotate(now[3:], speed[3:])])
            if bool((speed.abs() > STILL).any()):
                back = pose.conjugate_quat(there.quat)
                twists[index] = torch.cat([pose.rotate(back, part) for part in (speed[:3], speed[3:])])
                awake[index] = True
        robot = self._world.robot
        assert robot is not None
        poses[robot.tool, :3] = there.inverse().points(torch.from_numpy(self._rod())) + self._above
        awake[robot.tool] = True
        time = torch.tensor(ACTION_SECONDS * self._steps, dtype=torch.float64)
        return replace(rest, world_from_body=poses, twists=twists, awake=awake, time=time)

    def pictures(self, cameras: list[Camera], every: int = 1) -> np.ndarray:
        """[F, H, W, 3] uint8: what was filmed, one moment in `every`, each through its camera of the world's frame.

        Needs EGL.
        """
        size, focal = cameras[0].size, float(cameras[0].focal[0])
        scene, data = self._scene, self._scene.at_rest()
        eye = Oracle(scene, size=size, focal=focal, phases=PHASES)
        shown = []
        try:
            for moment, camera in zip(self.filmed[::every], cameras, strict=True):
                data.qpos[:] = moment
                tabletop.mujoco.mj_forward(scene.model, data)
                eye.show_state(data)
                shown.append(eye.clean(self._truth_from_world.poses(camera.world_from_camera.double()).numpy()))
        finally:
            eye.close()
        return np.stack(shown)

    @property
    def _above(self) -> Tensor:
        """[3] m from the rod's foot to the tool's frame."""
        return torch.tensor([0.0, 0.0, tabletop.ROD_LENGTH / 2], dtype=torch.float64)

    def _foot(self, state: State) -> np.ndarray:
        """[3] m of the tool's foot in the truth's frame."""
        return self._truth_from_world.points(tool_pose(self._world, state)[:3].double() - self._above).numpy()

    def _rod(self) -> np.ndarray:
        return np.array([float(self._data.joint(name).qpos[0]) for name in tabletop.ROD_AXES])
