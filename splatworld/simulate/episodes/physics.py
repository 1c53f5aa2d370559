"""A scene in MuJoCo: friction set pair by pair, bodies that sleep, a tool on force-limited servos.

A tool is no `mocap` body, for MuJoCo takes those as standing still: friction against them would be wrong, and they
would sink in. Contacts are as stiff as the steps allow (time constant of two).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from splatworld.core.robot import ACTION_SECONDS
from splatworld.simulate.episodes.scene import Parameters, Scene, Tool
from splatworld.simulate.episodes.shapes import rotation, shape
from splatworld.simulate.episodes.solids import Part, Solid
from splatworld.simulate.episodes.tools import AXES, DAMPING, MASS, STIFFNESS, TURNING, tool

TABLE, TOOL = -1, -2
"""Stand for table and tool where bodies are numbered."""
GRAVITY = 9.81
TOOL_ON_TABLE = 0.3
"""Friction of the tool on the table."""
ROLLING = (0.003, 0.0005)
"""m, torsional and rolling friction of round bodies on the table."""
CONTACT_SOLIMP = (0.95, 0.99, 0.001, 0.5, 2.0)


@dataclass
class Physics:
    """A compiled scene and its state.

    Attributes:
        scene: what it was made of.
        model, data: MuJoCo's.
        owner: [G] who owns each geom: a body's number, `TABLE` or `TOOL`.
        target: [4] where the tool's servos are commanded to.
    """

    scene: Scene
    model: mujoco.MjModel
    data: mujoco.MjData
    owner: np.ndarray
    target: np.ndarray

    def __post_init__(self) -> None:
        free = np.flatnonzero(~self.scene.fixed)
        self._free = free
        self._bodies = np.array([self.model.body(f"body{i}").id for i in range(len(self.scene))], int)
        joints = [self.model.joint(f"body{i}") for i in free]
        self._qpos = np.array([np.arange(j.qposadr[0], j.qposadr[0] + 7) for j in joints], int).reshape(-1, 7)
        self._qvel = np.array([np.arange(j.dofadr[0], j.dofadr[0] + 6) for j in joints], int).reshape(-1, 6)
        names = AXES if self.scene.tool else ()
        self._tool_qpos = np.array([self.model.joint(name).qposadr[0] for name in names], int)
        self._tool_qvel = np.array([self.model.joint(name).dofadr[0] for name in names], int)

    @property
    def steps(self) -> int:
        """Physics steps of one action."""
        return round(ACTION_SECONDS / self.scene.step)

    @property
    def joints(self) -> np.ndarray:
        """[4] the tool's x, y, z m and yaw rad; zeros without a tool."""
        return self.data.qpos[self._tool_qpos].copy() if self.scene.tool else np.zeros(4)

    @property
    def joint_velocities(self) -> np.ndarray:
        """[4] m/s and rad/s; zeros without a tool."""
        return self.data.qvel[self._tool_qvel].copy() if self.scene.tool else np.zeros(4)

    @property
    def poses(self) -> np.ndarray:
        """[B, 7] world_from_body."""
        found = self.scene.poses.copy()
        found[self._free] = self.data.qpos[self._qpos]
        return found

    @property
    def twists(self) -> np.ndarray:
        """[B, 6] linear velocity of the origin, angular velocity, world axes."""
        found = np.zeros((len(self.scene), 6))
        velocity = self.data.qvel[self._qvel]
        turn = rotation(self.data.qpos[self._qpos[:, 3:]])
        found[self._free, :3] = velocity[:, :3]
        found[self._free, 3:] = np.einsum("bij,bj->bi", turn, velocity[:, 3:])  # MuJoCo's are in the body's axes
        return found

    @property
    def asleep(self) -> np.ndarray:
        """[B] bool, whether MuJoCo holds the body still; fixed bodies always."""
        return self.data.body_awake[self._bodies] != int(mujoco.mjtSleepState.mjS_AWAKE)

    def set_state(
        self, poses: np.ndarray, twists: np.ndarray, joints: np.ndarray, joint_velocities: np.ndarray
    ) -> None:
        """Put bodies and tool in a state: [B, 7], [B, 6], [4], [4] as the properties give them."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._qpos] = poses[self._free]
        turn = rotation(poses[self._free, 3:])
        self.data.qvel[self._qvel[:, :3]] = twists[self._free, :3]
        self.data.qvel[self._qvel[:, 3:]] = np.einsum("bji,bj->bi", turn, twists[self._free, 3:])
        if self.scene.tool:
            self.data.qpos[self._tool_qpos] = joints
            self.data.qvel[self._tool_qvel] = joint_velocities
        self.target = np.array(joints, float)
        mujoco.mj_forward(self.model, self.data)

    def settle(self, seconds: float) -> None:
        """Let bodies come to rest while the tool holds still; ends early when all sleep."""
        if self.scene.tool:
            self.data.ctrl[:] = self.target
        for step in range(round(seconds / self.scene.step)):
            mujoco.mj_step(self.model, self.data)
            if step % 10 == 9 and self.asleep.all():
                break

    def act(self, action: np.ndarray) -> Iterator[None]:
        """Carry out one action [4], a physics step at a time."""
        if self.scene.tool is None:
            for _ in range(self.steps):
                mujoco.mj_step(self.model, self.data)
                yield
            return
        start, self.target = self.scene.tool.servo.retarget(self.target, self.joints, action)
        # The command leads by what damping costs at that speed, so that a free tool does not lag behind.
        lead = action / ACTION_SECONDS * DAMPING / STIFFNESS
        for step in range(1, self.steps + 1):
            self.data.ctrl[:] = start + (self.target - start) * (step / self.steps) + lead
            mujoco.mj_step(self.model, self.data)
            yield

    def contacts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Owners [C, 2], distances [C] m (negative: how deep) and normal forces [C] N of the last step."""
        found = self.data.contact
        address = found.efc_address
        force = np.where(address >= 0, self.data.efc_force[np.maximum(address, 0)], 0.0) if len(address) else address
        return self.owner[found.geom], found.dist, force


def build(scene: Scene) -> Physics:
    """Compile a scene, in its first state, settled if it asks for it."""
    spec = mujoco.MjSpec()
    set_options(spec, scene.step)
    spec.worldbody.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 0.1))
    owners: dict[str, int] = {"table": TABLE}
    for number, name in enumerate(scene.shapes):
        body = spec.worldbody.add_body(name=f"body{number}", pos=scene.poses[number, :3], quat=scene.poses[number, 3:])
        if not scene.fixed[number]:
            body.add_freejoint(name=f"body{number}")
        weigh(body, scene.parameters, number)
        owners |= dict.fromkeys(add_parts(spec, body, f"body{number}", shape(name).parts), number)
    if scene.tool:
        owners |= dict.fromkeys(add_tool(spec, scene.tool), TOOL)
    _add_pairs(spec, scene, owners)
    model = spec.compile()
    owner = np.array([owners[model.geom(g).name] for g in range(model.ngeom)])
    joints, velocities = (scene.tool.joints, scene.tool.velocities) if scene.tool else (np.zeros(4), np.zeros(4))
    physics = Physics(scene, model, mujoco.MjData(model), owner, joints.copy())
    physics.set_state(scene.poses, scene.twists, joints, velocities)
    if scene.tool and scene.tool.target is not None:
        physics.target = scene.tool.target.copy()
    if scene.settle:
        physics.settle(scene.settle)
        physics.data.time = 0.0
    return physics


def set_options(spec: mujoco.MjSpec, step: float) -> None:
    """The solver of all scenes, with steps of `step` s."""
    option = spec.option
    option.timestep, option.gravity = step, (0, 0, -GRAVITY)
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.solver, option.cone = mujoco.mjtSolver.mjSOL_NEWTON, mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 5  # friction holds what it can hold, without creep
    option.enableflags = int(mujoco.mjtEnableBit.mjENBL_SLEEP)


def weigh(body: mujoco.MjsBody, truth: Parameters, number: int) -> None:
    """Give a body the mass, centre and inertia that the truth has for one."""
    body.explicitinertial = True
    body.mass, body.ipos = truth.mass[number], truth.com[number]
    i = truth.inertia[number]
    body.fullinertia = (i[0, 0], i[1, 1], i[2, 2], i[0, 1], i[0, 2], i[1, 2])


def add_parts(spec: mujoco.MjSpec, body: mujoco.MjsBody, name: str, parts: Sequence[Part]) -> list[str]:
    """Geoms of a solid's parts; returns their names. They touch nothing but what is paired with them."""
    kinds = {
        "box": mujoco.mjtGeom.mjGEOM_BOX,
        "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
        "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    }
    names = []
    for index, part in enumerate(parts):
        names.append(f"{name}.{index}")
        if part.kind == "hull":
            asset = spec.add_mesh(name=names[-1])
            asset.uservert = part.vertices.ravel()
            geom = body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=names[-1], name=names[-1])
        else:
            geom = body.add_geom(type=kinds[part.kind], size=part.size, pos=part.center, name=names[-1])
        geom.contype = geom.conaffinity = 0
    return names


def add_tool(spec: mujoco.MjSpec, held: Tool) -> list[str]:
    """A tool on its servos; returns the names of its geoms, which touch nothing but what is paired with them."""
    body = spec.worldbody.add_body(name="tool")
    body.gravcomp = 1
    body.explicitinertial = True
    body.mass, body.inertia = MASS, (TURNING, TURNING, TURNING)
    for name, axis in zip(AXES, (*np.eye(3), np.array([0, 0, 1.0])), strict=True):
        kind = mujoco.mjtJoint.mjJNT_HINGE if name == "yaw" else mujoco.mjtJoint.mjJNT_SLIDE
        body.add_joint(name=name, type=kind, axis=axis)
    for name, stiff, damp, limit in zip(AXES, STIFFNESS, DAMPING, held.servo.force, strict=True):
        motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.gaintype, motor.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        motor.gainprm[0] = stiff
        motor.biasprm[:3] = (0, -stiff, -damp)
        motor.forcelimited, motor.forcerange = True, (-limit, limit)
    return add_parts(spec, body, "tool", tool(held.name).parts)


def _add_pairs(spec: mujoco.MjSpec, scene: Scene, owners: dict[str, int]) -> None:
    moving = {i for i in range(len(scene)) if not scene.fixed[i]} | {TOOL}
    names = list(owners)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            a, b = owners[first], owners[second]
            if a == b or not (a in moving or b in moving):
                continue
            pair = spec.add_pair(geomname1=first, geomname2=second)
            slide = _friction(scene, a, b)
            rolls = TABLE in (a, b) and max(a, b) >= 0 and is_round(shape(scene.shapes[max(a, b)]))
            pair.condim = 6 if rolls else 3
            pair.friction = (slide, slide, *(ROLLING[:1] + ROLLING[1:] * 2 if rolls else (0, 0, 0)))
            pair.solref, pair.solimp = (2 * scene.step, 1.0), CONTACT_SOLIMP


def _friction(scene: Scene, a: int, b: int) -> float:
    low, high = sorted((a, b))
    truth = scene.parameters
    if high < 0:
        return TOOL_ON_TABLE
    if low == TABLE:
        return float(truth.table_friction[high])
    return float(truth.tool_friction[high] if low == TOOL else truth.body_friction[low, high])


def is_round(solid: Solid) -> bool:
    """Whether it may roll."""
    return any(part.kind == "cylinder" for part in solid.parts)
