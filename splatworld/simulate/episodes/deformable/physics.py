"""A deformable body in MuJoCo: a flex whose edges keep their lengths, or that is elastic, and a tool acting on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np

from splatworld.core.robot import ACTION_SECONDS
from splatworld.simulate.episodes.deformable.families import Parameters
from splatworld.simulate.episodes.deformable.shapes import Shape
from splatworld.simulate.episodes.physics import GRAVITY, TOOL_ON_TABLE, add_parts, add_tool
from splatworld.simulate.episodes.scene import Tool
from splatworld.simulate.episodes.shapes import shape as library_shape
from splatworld.simulate.episodes.tools import AXES, DAMPING, GRIP, STIFFNESS, tool

POISSON = 0.3
NAME = "flex"
TWIST_DAMPING = 0.01
"""N m s of a rope's segments about themselves: without it a straight rope rolls like a steel rod."""


@dataclass(frozen=True)
class Scene:
    """A deformable body at its first instant; the table is the plane z = 0.

    Attributes:
        shape: the body.
        points: [M, 3] m, where its nodes are.
        velocities: [M, 3] m/s.
        parameters: hidden truth.
        tool: None where the body moves by itself.
        held: the node that the tool holds; None where it pushes.
        obstacles: names of shapes of the library that nothing moves.
        obstacle_poses: [O, 7] world_from_body.
        settle: s that the body is given to come to rest before the episode begins.
        step: s of a physics step.
    """

    shape: Shape
    points: np.ndarray
    velocities: np.ndarray
    parameters: Parameters
    tool: Tool | None
    held: int | None
    obstacles: tuple[str, ...]
    obstacle_poses: np.ndarray
    settle: float = 0.0
    step: float = 0.004


def grip_height(name: str) -> float:
    """m from a holding tool's frame up to where it grips; negative."""
    return float(tool(name).hull[:, 2].min()) + GRIP


class Physics:
    """A compiled scene and its state; `target` [4] is where the tool's servos are commanded to."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.model = _compile(scene)
        self.data = mujoco.MjData(self.model)
        bodies = self.model.flex_vertbodyid[: len(scene.points)]
        first = self.model.body_jntadr[bodies]
        self._qpos = self.model.jnt_qposadr[first][:, None] + np.arange(3)
        self._qvel = self.model.jnt_dofadr[first][:, None] + np.arange(3)
        self._home = self.model.body_pos[bodies].copy()
        names = AXES if scene.tool else ()
        self._tool_qpos = np.array([self.model.joint(name).qposadr[0] for name in names], int)
        self._tool_qvel = np.array([self.model.joint(name).dofadr[0] for name in names], int)
        self.target = np.zeros(4)
        self.put(scene.points, scene.velocities, scene.tool.joints if scene.tool else np.zeros(4))
        if scene.settle:
            self._settle(scene.settle)

    @property
    def points(self) -> np.ndarray:
        """[M, 3] m."""
        return self._home + self.data.qpos[self._qpos]

    @property
    def velocities(self) -> np.ndarray:
        """[M, 3] m/s."""
        return self.data.qvel[self._qvel].copy()

    @property
    def joints(self) -> np.ndarray:
        """[4] the tool's x, y, z m and yaw rad; zeros without a tool."""
        return self.data.qpos[self._tool_qpos].copy() if self.scene.tool else np.zeros(4)

    @property
    def joint_velocities(self) -> np.ndarray:
        """[4] m/s and rad/s; zeros without a tool."""
        return self.data.qvel[self._tool_qvel].copy() if self.scene.tool else np.zeros(4)

    @property
    def penetration(self) -> float:
        """m, the deepest contact of the last step; 0 without one."""
        return max(0.0, -float(self.data.contact.dist.min(initial=0.0)))

    def put(self, points: np.ndarray, velocities: np.ndarray, joints: np.ndarray) -> None:
        """Put the nodes somewhere, [M, 3] m and m/s, and the tool's joints [4], which move as the scene has them."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._qpos] = points - self._home
        self.data.qvel[self._qvel] = velocities
        if self.scene.tool:
            held = self.scene.tool
            self.data.qpos[self._tool_qpos], self.data.qvel[self._tool_qvel] = joints, held.velocities
            self.target = (joints if held.target is None else held.target).astype(float).copy()
            self.data.ctrl[:] = self.target
        mujoco.mj_forward(self.model, self.data)

    def act(self, action: np.ndarray) -> Iterator[None]:
        """Carry out one action [4], a physics step at a time."""
        steps = round(ACTION_SECONDS / self.scene.step)
        start = lead = np.zeros(4)
        if self.scene.tool:
            start, self.target = self.scene.tool.servo.retarget(self.target, self.joints, action)
            # The command leads by what damping costs at that speed, so that a free tool does not lag behind.
            lead = action / ACTION_SECONDS * DAMPING / STIFFNESS
        for step in range(1, steps + 1):
            if self.scene.tool:
                self.data.ctrl[:] = start + (self.target - start) * (step / steps) + lead
            mujoco.mj_step(self.model, self.data)
            yield

    def _settle(self, seconds: float) -> None:
        for _ in range(round(seconds / self.scene.step)):
            mujoco.mj_step(self.model, self.data)
        self.data.time = 0.0


def _compile(scene: Scene) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_string(_flex(scene))
    option = spec.option
    option.timestep, option.gravity = scene.step, (0, 0, -GRAVITY)
    option.integrator = mujoco.mjtIntegrator.mjINT_DISCRETE  # elasticity is integrated implicitly
    option.solver, option.cone = mujoco.mjtSolver.mjSOL_NEWTON, mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 5
    spec.worldbody.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 0.1))
    rough = {"table": scene.parameters.table_friction}
    for number, name in enumerate(scene.obstacles):
        at = scene.obstacle_poses[number]
        body = spec.worldbody.add_body(name=f"obstacle{number}", pos=at[:3], quat=at[3:])
        geoms = add_parts(spec, body, f"obstacle{number}", library_shape(name).parts)
        rough |= dict.fromkeys(geoms, scene.parameters.table_friction)
    if scene.tool:
        geoms = add_tool(spec, scene.tool)
        for geom in geoms:
            for other in [name for name in rough if name not in geoms]:
                pair = spec.add_pair(geomname1=geom, geomname2=other)
                pair.condim, pair.friction = 3, (TOOL_ON_TABLE, TOOL_ON_TABLE, 0, 0, 0)
                pair.solref = (2 * scene.step, 1.0)
        if scene.held is None:
            rough |= dict.fromkeys(geoms, scene.parameters.tool_friction)
        else:
            _hold(spec, scene)
    for geom in spec.geoms:
        if geom.name in rough:  # a tool that holds pushes nothing
            # Geoms collide with the flex alone: their mask is not that of other geoms.
            geom.contype, geom.conaffinity, geom.condim = 1, 0, 3
            geom.priority, geom.friction, geom.solref = 1, (rough[geom.name], 0, 0), (2 * scene.step, 1.0)
    model = spec.compile()
    for joint in range(model.njnt):
        if model.joint(joint).name.startswith(f"{NAME}_twist"):
            model.dof_damping[model.jnt_dofadr[joint]] = TWIST_DAMPING
    if scene.tool and scene.held is not None:
        # The compiler would take it that both are where they belong when all joints are zero.
        model.eq_data[model.eq("hold").id, :6] = (0, 0, grip_height(scene.tool.name), 0, 0, 0)
    return model


def _flex(scene: Scene) -> str:
    """MJCF of the body at rest; MuJoCo's `flexcomp` makes its nodes and joints."""
    shape, truth = scene.shape, scene.parameters
    lift = shape.points + np.array([0, 0, shape.radius])
    young, more = truth.stiffness, ""
    if shape.kind == "rope":
        young = truth.stiffness / (np.pi * shape.radius**4 / 4)
    elif shape.kind == "cloth":
        thickness = 2 * shape.radius
        young = truth.stiffness * 12 * (1 - POISSON**2) / thickness**3
        more = f'thickness="{thickness}" elastic2d="bend"'
    stiff = f'solref="{2 * scene.step} 1"'
    keeps = f'<edge equality="true" {stiff} solimp="0.9999 0.9999 0.001"/>' if shape.dimension < 3 else ""
    collides = "none" if shape.kind == "soft" else "auto"
    return f"""<mujoco><worldbody>
        <flexcomp name="{NAME}" type="direct" dim="{shape.dimension}" radius="{shape.radius}" mass="{truth.mass}"
            point="{_numbers(lift)}" element="{_numbers(shape.elements)}">
          {keeps}<elasticity young="{young}" poisson="{POISSON}" damping="{truth.damping}" {more}/>
          <contact condim="3" contype="1" conaffinity="1" selfcollide="{collides}" friction="{truth.self_friction} 0 0"
            {stiff}/>
        </flexcomp></worldbody></mujoco>"""


def _numbers(values: np.ndarray) -> str:
    return " ".join(format(value, ".9g") for value in values.ravel().tolist())


def _hold(spec: mujoco.MjSpec, scene: Scene) -> None:
    held = spec.add_equality(type=mujoco.mjtEq.mjEQ_CONNECT, objtype=mujoco.mjtObj.mjOBJ_BODY)
    held.name, held.name1, held.name2 = "hold", "tool", f"{NAME}_{scene.held}"
    held.solref = (2 * scene.step, 1.0)
