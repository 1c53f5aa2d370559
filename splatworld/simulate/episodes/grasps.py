"""A gripper in MuJoCo that closes on a body, lifts it to see whether it is held, carries it and puts it down."""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.robot.kinematics import forward_kinematics
from splatworld.robot.place import add_robot
from splatworld.robot.tools import FINGER_SIZE, HAND_HEIGHT, parallel_gripper
from splatworld.simulate.episodes import solids
from splatworld.simulate.episodes.colors import body_color
from splatworld.simulate.episodes.grasp_scenes import CLOSED, LIFTED, OPENING, PLACED, GraspScene
from splatworld.simulate.episodes.physics import (
    CONTACT_SOLIMP,
    ROLLING,
    TOOL_ON_TABLE,
    add_parts,
    is_round,
    set_options,
    weigh,
)
from splatworld.simulate.episodes.shapes import rotation, shape
from splatworld.simulate.episodes.shards import as_body
from splatworld.simulate.episodes.tools import AXES
from splatworld.simulate.episodes.world import table_world, tool_poses, with_shape

STEP = 0.002
SETTLE = 0.3
"""s that the body is given to come to rest before."""
MASS, TURNING, FINGER_MASS = 1.0, 5e-3, 0.05
"""kg, kg m^2 and kg of the hand, about the vertical axis, and of a finger."""
STIFFNESS = np.array([2e4, 2e4, 2e4, 100.0])
"""N/m and N m/rad of the hand's servos: stiff, so that what it carries hardly pulls it down."""
DAMPING = 2 * np.sqrt(STIFFNESS * [MASS, MASS, MASS, TURNING])
LIMITS = np.array([80.0, 80.0, 80.0, 5.0])
"""N and N m, the most that the hand's servos give."""
FINGER_STIFFNESS = 5000.0
FINGER_DAMPING = 2 * np.sqrt(FINGER_STIFFNESS * FINGER_MASS)
TORSION = 0.002
"""m, torsional friction of a finger's pad, for each of its contacts."""
SIDES = {"left": 1.0, "right": -1.0}
AT_GRIP = 0.01
"""m above the tips of the place by which a body is judged to be held."""
HELD = 0.02
"""m by which that place may slip in the hand while it is lifted."""


@dataclass(frozen=True)
class GraspEpisode:
    """What became of a scene.

    Attributes:
        poses: [PLACED + 1, 7] of the body.
        joints: [PLACED + 1, 5] x, y, z, yaw and width of the gripper.
        targets: [PLACED + 1, 5] where its servos were sent.
        forces: [PLACED, 2] N, mean normal force of the left and the right finger on the body in an action.
    """

    poses: np.ndarray
    joints: np.ndarray
    targets: np.ndarray
    forces: np.ndarray

    @property
    def held(self) -> bool:
        """Whether the body went up with the hand in the test lift."""
        return went_along(self.poses[CLOSED], self.poses[LIFTED], self.joints[CLOSED], self.joints[LIFTED])


def went_along(closed: np.ndarray, lifted: np.ndarray, hand_closed: np.ndarray, hand_lifted: np.ndarray) -> bool:
    """Whether what was between the fingers still is after the lift.

    Args:
        closed, lifted: [7] poses of the body.
        hand_closed, hand_lifted: [3 or more] x, y, z of the tips' middle.
    """
    grips = [hand[:3] + np.array([0, 0, AT_GRIP]) for hand in (hand_closed, hand_lifted)]
    held = (grips[0] - closed[:3]) @ rotation(closed[3:])
    return bool(np.linalg.norm(rotation(lifted[3:]) @ held + lifted[:3] - grips[1]) < HELD)


class Bench:
    """The body and the gripper of a scene in MuJoCo, action by action.

    Attributes:
        target: [5] where the gripper's servos were sent: x, y, z m of the tips' middle, yaw rad, width m.
    """

    def __init__(self, scene: GraspScene) -> None:
        """The body has come to rest where the scene says, the gripper is at its start."""
        self._model, self._fingers = _compiled(scene)
        self._data = data = mujoco.MjData(self._model)
        self._at = np.array([self._model.joint(name).qposadr[0] for name in (*AXES, *SIDES)])
        self._body = self._model.joint("body").qposadr[0] + np.arange(7)
        data.qpos[self._at] = [*scene.start[:4], *np.full(2, scene.start[4] / 2)]
        data.qpos[self._body] = scene.pose
        data.ctrl[:] = data.qpos[self._at]
        mujoco.mj_forward(self._model, data)
        for _ in range(round(SETTLE / STEP)):
            mujoco.mj_step(self._model, data)
        self.target = scene.start.copy()

    @property
    def pose(self) -> np.ndarray:
        """[7] of the body."""
        return self._data.qpos[self._body].copy()

    @property
    def twist(self) -> np.ndarray:
        """[6] m/s and rad/s of the body, world axes."""
        dof = self._model.joint("body").dofadr[0]
        speeds = self._data.qvel[dof : dof + 6]
        return np.concatenate([speeds[:3], rotation(self.pose[3:]) @ speeds[3:]])

    @property
    def joints(self) -> np.ndarray:
        """[5] x, y, z, yaw and width of the gripper."""
        return np.array([*self._data.qpos[self._at[:4]], self._data.qpos[self._at[4:]].sum()])

    def set(self, lying: np.ndarray, twist: np.ndarray, joints: np.ndarray, width: float) -> None:
        """The body at a pose [7] with a twist [6], the gripper at rest at [5], its fingers sent to a width in m."""
        data, dof = self._data, self._model.joint("body").dofadr[0]
        data.qpos[self._body], data.qpos[self._at] = lying, [*joints[:4], *np.full(2, joints[4] / 2)]
        data.qvel[:] = 0
        data.qvel[dof : dof + 6] = [*twist[:3], *(rotation(lying[3:]).T @ twist[3:])]
        data.qacc_warmstart[:] = 0
        self.target = np.array([*joints[:4], width])
        mujoco.mj_forward(self._model, data)

    def act(self, action: np.ndarray) -> np.ndarray:
        """[2] N, mean force of the left and the right finger on the body, in one action [5]: increments of x, y, z and
        yaw, and the width that is commanded."""
        leash, now = LIMITS / STIFFNESS, self.joints
        begin = self.target.copy()
        begin[:4] = np.clip(begin[:4], now[:4] - leash, now[:4] + leash)
        self.target = np.array([*(begin[:4] + action[:4]), action[4]])
        lead = action[:4] / ACTION_SECONDS * DAMPING / STIFFNESS  # what damping costs at that speed
        steps, felt = round(ACTION_SECONDS / STEP), np.zeros(2)
        for k in range(1, steps + 1):
            now = begin + (self.target - begin) * k / steps
            self._data.ctrl[:] = [*(now[:4] + lead), now[4] / 2, now[4] / 2]
            mujoco.mj_step(self._model, self._data)
            felt += _pressing(self._data, self._fingers) / steps
        return felt


def simulate(scene: GraspScene) -> GraspEpisode:
    """Run a scene in MuJoCo."""
    bench = Bench(scene)
    poses, joints, targets, forces = [bench.pose], [bench.joints], [bench.target], []
    for action in scene.way:
        forces.append(bench.act(action))
        poses.append(bench.pose)
        joints.append(bench.joints)
        targets.append(bench.target)
    return GraspEpisode(*(np.array(each) for each in (poses, joints, targets, forces)))


def _compiled(scene: GraspScene) -> tuple[mujoco.MjModel, list[int]]:
    """The model, and the geoms of the left and the right finger."""
    spec = mujoco.MjSpec()
    set_options(spec, STEP)
    spec.compiler.degree = False
    spec.worldbody.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 0.1), contype=0, conaffinity=0)
    solid, truth = shape(scene.shape), scene.parameters
    body = spec.worldbody.add_body(name="body")
    body.add_freejoint(name="body")
    weigh(body, truth, 0)
    parts = add_parts(spec, body, "body", solid.parts)
    hand = spec.worldbody.add_body(name="hand")
    _weigh_link(hand, MASS, TURNING)
    across, thick, long = FINGER_SIZE
    palm = solids.box((-0.015, -OPENING / 2 - 2 * thick, long), (0.015, OPENING / 2 + 2 * thick, long + HAND_HEIGHT))
    add_parts(spec, hand, "palm", [palm])
    for name, axis, stiff, damp, most in zip(AXES, (*np.eye(3), [0, 0, 1.0]), STIFFNESS, DAMPING, LIMITS, strict=True):
        kind = mujoco.mjtJoint.mjJNT_HINGE if name == "yaw" else mujoco.mjtJoint.mjJNT_SLIDE
        hand.add_joint(name=name, type=kind, axis=axis)
        _servo(spec, name, stiff, damp, most)
    pads = []
    for name, side in SIDES.items():
        finger = hand.add_body(name=name)
        _weigh_link(finger, FINGER_MASS, 1e-5)
        finger.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(0, side, 0))
        inner, outer = sorted((0.0, side * thick))
        pads += add_parts(spec, finger, name, [solids.box((-across / 2, inner, 0), (across / 2, outer, long))])
        _servo(spec, name, FINGER_STIFFNESS, FINGER_DAMPING, scene.force)
    joined = spec.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT, name1="left", name2="right", objtype=mujoco.mjtObj.mjOBJ_JOINT
    )
    joined.data[:5] = (0, 1, 0, 0, 0)
    joined.solref, joined.solimp = (2 * STEP, 1.0), CONTACT_SOLIMP
    friction, round_body = float(truth.tool_friction[0]), is_round(solid)
    for part in parts:
        for pad in (*pads, "palm.0"):
            _pair(spec, part, pad, (friction, friction, TORSION, 0, 0), 4)
        _pair(spec, part, "table", (*[float(truth.table_friction[0])] * 2, *ROLLING[:1], *ROLLING[1:] * 2),
              6 if round_body else 3)  # fmt: skip
    for pad in pads:
        _pair(spec, pad, "table", (TOOL_ON_TABLE, TOOL_ON_TABLE, 0, 0, 0), 3)
    model = spec.compile()
    return model, [model.geom(pad).id for pad in pads]


def _weigh_link(link: mujoco.MjsBody, mass: float, turning: float) -> None:
    link.gravcomp = 1
    link.explicitinertial = True
    link.mass, link.inertia = mass, (turning, turning, turning)


def _servo(spec: mujoco.MjSpec, name: str, stiff: float, damp: float, most: float) -> None:
    motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    motor.gaintype, motor.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    motor.gainprm[0] = stiff
    motor.biasprm[:3] = (0, -stiff, -damp)
    motor.forcelimited, motor.forcerange = True, (-most, most)


def _pair(spec: mujoco.MjSpec, one: str, other: str, friction: tuple[float, ...], condim: int) -> None:
    pair = spec.add_pair(geomname1=one, geomname2=other)
    pair.condim, pair.friction = condim, friction
    pair.solref, pair.solimp = (2 * STEP, 1.0), CONTACT_SOLIMP


def _pressing(data: mujoco.MjData, fingers: list[int]) -> np.ndarray:
    """[2] N by which fingers press on the body now."""
    found = data.contact
    force = np.where(found.efc_address >= 0, data.efc_force[np.maximum(found.efc_address, 0)], 0.0)
    return np.array([force[(found.geom == finger).any(1)].sum() if len(force) else 0.0 for finger in fingers])


def grasp_world(scene: GraspScene, episode: GraspEpisode, *, splats: int = 200) -> World:
    """Background, table, the body where it lies, and the open gripper; of the body's parameters nothing is told."""
    return bench_world(scene, episode.poses[0], episode.joints[0], splats=splats)


def bench_world(scene: GraspScene, lying: np.ndarray, joints: np.ndarray, *, splats: int = 200) -> World:
    """As `grasp_world`, the body at a pose [7] and the open gripper at [5]."""
    body = replace(as_body(scene.shape, shape(scene.shape)), name="body", mass=0.0)
    world = with_shape(table_world(splats), body, body_color(0), torch.from_numpy(lying), splats)
    base = tool_poses(torch.from_numpy(joints[:4]))
    home = {"left_finger_joint": OPENING / 2}
    return add_robot(world, parallel_gripper(OPENING), base_pose=base, home=home, splats=splats, grip_force=scene.force)


def grasp_actions(episode: GraspEpisode) -> torch.Tensor:
    """[PLACED, 7] as the world's robot takes them: how the targets of its servos went."""
    targets = torch.from_numpy(episode.targets)
    given = targets[1:] - torch.cat([torch.from_numpy(episode.joints[:1]), targets[1:-1]])
    still = torch.zeros(PLACED, 2, dtype=torch.float64)
    return torch.cat([given[:, :3], still, given[:, 3:4], targets[1:, 4:]], dim=-1)


def recorded_states(world: World, episode: GraspEpisode) -> State:
    """[PLACED + 1] states of an episode's world as they truly were, without velocities."""
    rest, count = rest_state(world), len(episode.poses)
    many = State(**{name: value.expand(count, *value.shape).clone() for name, value in vars(rest).items()})
    time = ACTION_SECONDS * torch.arange(count).to(rest.time)
    return seen_state(world, replace(many, time=time), episode.poses, episode.joints, episode.joints[0])


def seen_state(world: World, state: State, body: np.ndarray, joints: np.ndarray, first: np.ndarray) -> State:
    """States of a `bench_world`, the body at poses [..., 7], the gripper at [..., 5]; at rest it is at `first` [5]."""
    names, seen = [each.name for each in world.bodies], torch.from_numpy(joints)
    hand, poses = names.index("hand"), state.world_from_body.clone()
    in_hand = pose.compose(pose.inverse(tool_poses(torch.from_numpy(first[:4]))), world.bodies[hand].rest_pose)
    poses[..., hand, :] = pose.compose(tool_poses(seen[..., :4]), in_hand)
    poses[..., names.index("body"), :] = torch.from_numpy(body)
    half = seen[..., 4:].clamp(min=0).expand(*seen.shape[:-1], 2) / 2
    return forward_kinematics(world, replace(state, world_from_body=poses, joints=half))


def gripper_joints(world: World, state: State, first: np.ndarray) -> np.ndarray:
    """[5] of the gripper in a single state of a `bench_world`, in which it is at `first` [5] at rest."""
    hand = [each.name for each in world.bodies].index("hand")
    in_hand = pose.compose(pose.inverse(tool_poses(torch.from_numpy(first[:4]))), world.bodies[hand].rest_pose)
    base = pose.compose(state.world_from_body[hand].double(), pose.inverse(in_hand)).numpy()
    return np.array([*base[:3], 2 * np.arctan2(base[6], base[3]), float(state.joints.sum())])
