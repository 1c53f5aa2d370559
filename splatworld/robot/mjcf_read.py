"""MuJoCo models to worlds and robots. MuJoCo itself reads the file, so that every way of writing one is understood."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.world import World
from splatworld.geometry.mesh import transform_mesh
from splatworld.robot import primitives
from splatworld.robot.mjcf import LEAST_MASS, REMARK
from splatworld.robot.model import Link, LinkJoint, RobotModel
from splatworld.robot.place import add_links, add_robot, metric_world
from splatworld.world_json import robot_from

PLANE = 2.0
"""m, half the side of what stands for a plane without end."""
SLAB = 0.02
"""m, thickness of what stands for a plane in collisions."""


def read_mjcf(path: str | Path, *, splats: int = 3000) -> tuple[World, tuple[str, ...]]:
    """A world of an MJCF file: metres, bodies with shapes, splats on their visual shapes.

    What stands still is body 0 or static, what has a free joint rigid, what hangs on joints articulated; a tree that
    actuators drive is the robot.

    Args:
        path: the .xml file.
        splats: how many a body gets, about.

    Returns:
        The world at the file's key frame "home", else at its reference; and notes on what was left out.

    Raises:
        InputError: mujoco is not installed or cannot read the file, or a ball joint.
    """
    scene = _Scene(path)
    world = replace(metric_world(), gravity=torch.tensor(scene.model.opt.gravity, dtype=torch.float64))
    world = _with_ground(world, scene, splats)
    for root in scene.roots():
        tree = scene.tree(root)
        values = tree.model.values({joint.name: scene.rest[joint.name] for joint in tree.model.moving})
        if scene.driven(root) and not scene.remark and world.robot is None:
            home = {joint.name: values[joint.name] for joint in tree.model.moving}
            world = add_robot(world, tree.model, base_pose=tree.base, home=home, splats=splats)
        else:
            base_kind = "rigid" if tree.free else "static"
            world, _ = add_links(
                world, tree.model, tree.base, values, kinds=(base_kind, "articulated"),
                mount=0 if tree.mounted else None, splats=splats,
            )  # fmt: skip
    return _remarked(world, scene.remark), tuple(scene.notes)


def read_mjcf_robot(path: str | Path) -> RobotModel:
    """The one robot of an MJCF file: the tree with joints other than free ones.

    Raises:
        InputError: as `read_mjcf`; or not exactly one such tree.
    """
    scene = _Scene(path)
    jointed = [root for root in scene.roots() if scene.tree(root).model.moving]
    if len(jointed) != 1:
        names = [scene.model.body(root).name for root in jointed]
        raise InputError(
            f"{path}: {len(jointed)} bodies with joints {names}, expected one robot; import it as a scene."
        )
    return replace(scene.tree(jointed[0]).model, name=Path(path).stem, notes=tuple(scene.notes))


@dataclass
class _Tree:
    """A body on the world and all that hangs on it."""

    model: RobotModel
    base: Tensor
    free: bool
    mounted: bool


@dataclass
class _Scene:
    """A compiled file, read body by body."""

    path: str | Path
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mujoco = _mujoco()
        if not Path(self.path).is_file():
            raise InputError(f"{self.path}: no such file; give an MJCF file.")
        try:
            self.model = self.mujoco.MjModel.from_xml_path(str(self.path))
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{self.path}: MuJoCo cannot read it ({reason}); correct the file.") from error
        m = self.model
        types = self.mujoco.mjtJoint
        qpos = m.key("home").qpos if "home" in [m.key(k).name for k in range(m.nkey)] else m.qpos0
        self.joints: dict[int, list[int]] = {body: [] for body in range(m.nbody)}
        for joint in range(m.njnt):
            if m.jnt_type[joint] == types.mjJNT_BALL:
                raise InputError(f"{self.path}: {self.joint_name(joint)!r} is a ball joint, expected hinge or slide.")
            self.joints[int(m.jnt_bodyid[joint])].append(joint)
        self.qpos = np.array(qpos)
        self.mimics = self._mimics()
        self.rest = {self.joint_name(j): float(self.qpos[m.jnt_qposadr[j]]) for j in range(m.njnt)}
        text = self.mujoco.mj_name2id(m, self.mujoco.mjtObj.mjOBJ_TEXT, REMARK)
        start = int(m.text_adr[text]) if text >= 0 else 0
        remark = bytes(m.text_data[start : start + int(m.text_size[text])]).rstrip(b"\0") if text >= 0 else b"null"
        self.remark: dict[str, Any] | None = json.loads(remark)
        for kind, count in (("tendon", m.ntendon), ("height field", m.nhfield), ("flex", m.nflex)):
            if count:
                self.notes.append(f"{count} {kind}(s) were left out: only bodies, joints and shapes are read.")

    def joint_name(self, joint: int) -> str:
        return self.model.joint(joint).name or f"joint {joint}"

    def body_name(self, body: int) -> str:
        return self.model.body(body).name or f"body {body}"

    def roots(self) -> list[int]:
        return [body for body in range(1, self.model.nbody) if self.model.body_parentid[body] == 0]

    def below(self, root: int) -> list[int]:
        return [body for body in range(1, self.model.nbody) if self.model.body_rootid[body] == root]

    def free(self, root: int) -> bool:
        return any(self.model.jnt_type[j] == self.mujoco.mjtJoint.mjJNT_FREE for j in self.joints[root])

    def driven(self, root: int) -> bool:
        """Whether actuators move a joint of the tree."""
        m, kinds = self.model, self.mujoco.mjtTrn
        moved = [int(m.actuator_trnid[a, 0]) for a in range(m.nu) if m.actuator_trntype[a] == kinds.mjTRN_JOINT]
        return any(int(m.body_rootid[m.jnt_bodyid[joint]]) == root for joint in moved)

    def tree(self, root: int) -> _Tree:
        """The links and joints below `root`; a root on joints hangs on a base link that is the world itself."""
        m = self.model
        free = self.free(root)
        mounted = bool(self.joints[root]) and not free
        world = "world" if mounted else ""
        links: list[Link] = [_frame_link(world)] if mounted else []
        joints: list[LinkJoint] = []
        shift: dict[int, Tensor] = {0: torch.zeros(3, dtype=torch.float64)}
        if free:
            base = torch.from_numpy(self.qpos[m.jnt_qposadr[self.joints[root][0]] :][:7].copy())
            base[3:] = pose.normalize_quat(base[3:])
        else:
            base = pose.identity(dtype=torch.float64) if mounted else self._placed(root)
        for body in self.below(root):
            chain = [] if body == root and free else self.joints[body]
            name = self.body_name(body)
            above = int(m.body_parentid[body])
            anchors = [torch.from_numpy(m.jnt_pos[joint].astype(np.float64)) for joint in chain]
            shift[body] = anchors[-1] if anchors else torch.zeros(3, dtype=torch.float64)
            links_of = [f"{name} {k}" for k in range(1, len(chain))] + [name]
            parent = world if above == 0 else self.body_name(above)
            here = _moved(self._placed(body), -shift[above], anchors[0] if anchors else shift[body])
            if body == root and not mounted:
                links.append(self._link(body, shift[body]))
                continue
            for k, link in enumerate(links_of):
                placed = here if k == 0 else _shifted(anchors[k] - anchors[k - 1])
                joints.append(self._joint(chain[k] if chain else None, link, parent, placed))
                links.append(self._link(body, shift[body]) if link == name else _frame_link(link))
                parent = link
        return _Tree(RobotModel(self.body_name(root), tuple(links), tuple(joints)), base, free, mounted)

    def _placed(self, body: int) -> Tensor:
        return torch.from_numpy(np.concatenate([self.model.body_pos[body], self.model.body_quat[body]]))

    def _joint(self, joint: int | None, child: str, parent: str, placed: Tensor) -> LinkJoint:
        axis = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
        if joint is None:
            return LinkJoint(f"{child} fixed", "fixed", parent, child, placed, axis, (-math.inf, math.inf))
        m = self.model
        kind = "slide" if m.jnt_type[joint] == self.mujoco.mjtJoint.mjJNT_SLIDE else "hinge"
        axis = torch.from_numpy(m.jnt_axis[joint].copy())
        axis = axis / axis.norm()
        # MuJoCo draws bodies at qpos0; a model's links are drawn at zero.
        back = pose.exp(torch.cat([axis, axis]) * -float(m.qpos0[m.jnt_qposadr[joint]]) * _mask(kind))
        low, high = map(float, m.jnt_range[joint]) if m.jnt_limited[joint] else (-math.inf, math.inf)
        name = self.joint_name(joint)
        return LinkJoint(
            name, kind, parent, child, pose.compose(placed, back), axis, (low, high), self.mimics.get(name)
        )

    def _mimics(self) -> dict[str, tuple[str, float, float]]:
        m, kinds = self.model, self.mujoco.mjtEq
        found = {}
        for e in range(m.neq):
            if m.eq_type[e] != kinds.mjEQ_JOINT or m.eq_obj2id[e] < 0:
                self.notes.append(
                    f"Equality {m.equality(e).name or e!r} was left out: only joints that mimic are read."
                )
                continue
            one, two = int(m.eq_obj1id[e]), int(m.eq_obj2id[e])
            offset, factor, *bent = m.eq_data[e, :5]
            if any(bent):
                self.notes.append(f"Equality {e} bends; joint {self.joint_name(one)!r} follows its straight part.")
            ref = [float(m.qpos0[m.jnt_qposadr[joint]]) for joint in (one, two)]
            found[self.joint_name(one)] = (
                self.joint_name(two),
                float(factor),
                ref[0] + float(offset) - float(factor) * ref[1],
            )
        return found

    def _link(self, body: int, shift: Tensor) -> Link:
        """A body as a link whose frame lies at `shift` [3] in the body's."""
        m = self.model
        visual, collision = self.shapes(body)
        turn = pose.quat_to_matrix(torch.from_numpy(m.body_iquat[body].copy()))
        mass, inertia = (
            float(m.body_mass[body]),
            turn @ torch.diag(torch.from_numpy(m.body_inertia[body].copy())) @ turn.T,
        )
        weightless = mass <= float(LEAST_MASS["mass"]) or not bool((torch.from_numpy(m.body_inertia[body]) > 0).all())
        center = torch.from_numpy(m.body_ipos[body].copy()) - shift
        move = _shifted(-shift)
        return Link(
            name=self.body_name(body),
            visual=primitives.joined([transform_mesh(mesh, move) for mesh in visual]),
            collision=tuple(transform_mesh(mesh, move) for mesh in collision),
            mass=0.0 if weightless else mass,
            center=center,
            inertia=None if weightless else inertia,
        )

    def shapes(self, body: int) -> tuple[list[Mesh], list[Mesh]]:
        """Visual and collision meshes in the body's frame; collision shapes are seen where nothing else is."""
        m = self.model
        visual: list[Mesh] = []
        collision: list[Mesh] = []
        for geom in np.flatnonzero(m.geom_bodyid == body):
            placed = torch.from_numpy(np.concatenate([m.geom_pos[geom], m.geom_quat[geom]]))
            mesh = self._shape(int(geom))
            if mesh is None:
                continue
            color = m.geom_rgba[geom] if m.geom_matid[geom] < 0 else m.mat_rgba[m.geom_matid[geom]]
            red, green, blue = (float(channel) for channel in color[:3])
            mesh = transform_mesh(primitives.painted(mesh, (red, green, blue)), placed)
            seen_only = m.geom_contype[geom] == 0 and m.geom_conaffinity[geom] == 0
            (visual if seen_only else collision).append(mesh)
        return visual or collision, collision

    def _shape(self, geom: int) -> Mesh | None:
        m, kinds = self.model, self.mujoco.mjtGeom
        a, b, c = (float(size) for size in m.geom_size[geom])
        kind = int(m.geom_type[geom])
        if kind == kinds.mjGEOM_MESH:
            return self._mesh(int(m.geom_dataid[geom]))
        half_x, half_y = a or PLANE, b or PLANE
        makers: dict[int, Callable[[], Mesh]] = {
            int(kinds.mjGEOM_BOX): lambda: primitives.box((2 * a, 2 * b, 2 * c)),
            int(kinds.mjGEOM_SPHERE): lambda: primitives.sphere(a),
            int(kinds.mjGEOM_CYLINDER): lambda: primitives.cylinder(a, 2 * b),
            int(kinds.mjGEOM_CAPSULE): lambda: primitives.capsule(a, 2 * b),
            int(kinds.mjGEOM_ELLIPSOID): lambda: primitives.ellipsoid((a, b, c)),
            int(kinds.mjGEOM_PLANE): lambda: transform_mesh(
                primitives.box((2 * half_x, 2 * half_y, SLAB)), _shifted(torch.tensor([0.0, 0.0, -SLAB / 2]).double())
            ),
        }
        if kind not in makers:
            self.notes.append(f"Geom {m.geom(geom).name or geom!r} of another form was left out.")
            return None
        return makers[kind]()

    def _mesh(self, mesh: int) -> Mesh:
        m = self.model
        first, count = m.mesh_vertadr[mesh], m.mesh_vertnum[mesh]
        start, faces = m.mesh_faceadr[mesh], m.mesh_facenum[mesh]
        return Mesh(
            torch.from_numpy(m.mesh_vert[first : first + count].astype(np.float64)),
            torch.from_numpy(m.mesh_face[start : start + faces].astype(np.int64)),
        )


def _mujoco() -> Any:
    try:
        import mujoco
    except ImportError as error:
        raise InputError("MJCF files are read by MuJoCo, which is missing: pip install 'splatworld[sim]'.") from error
    return mujoco


def _with_ground(world: World, scene: _Scene, splats: int) -> World:
    """The world's own geoms as the shape of body 0."""
    visual, collision = scene.shapes(0)
    if not visual:
        return world
    origin = torch.zeros(3, dtype=torch.float64)
    link = Link("background", primitives.joined(visual), tuple(collision), 0.0, origin, None)
    model = RobotModel("background", (link,), ())
    bare = replace(world, bodies=(replace(world.bodies[0], name="nothing"),))
    grown, _ = add_links(bare, model, pose.identity(dtype=torch.float64), {}, kinds=("static", "static"), splats=splats)
    ids = torch.zeros_like(grown.splats.body_ids)
    return replace(world, bodies=grown.bodies[1:], splats=replace(grown.splats, body_ids=ids))


def _remarked(world: World, remark: dict[str, Any] | None) -> World:
    """Kinds, order and robot as they were when splatworld wrote the file; as they are if it was edited since."""
    if remark is None:
        return world
    now = [body.name for body in world.bodies]
    names, kinds = [name for name, _ in remark["bodies"]], [kind for _, kind in remark["bodies"]]
    if sorted(names) != sorted(now):
        return world
    order = [now.index(name) for name in names]
    new = torch.tensor([names.index(name) for name in now])

    def moved(body: int) -> Any:
        old = world.bodies[body]
        joint = old.joint
        if joint is not None and joint.mimic is not None:
            joint = replace(joint, mimic=(int(new[joint.mimic[0]]), *joint.mimic[1:]))
        return replace(old, parent=None if old.parent is None else int(new[old.parent]), joint=joint)

    bodies = tuple(replace(moved(body), kind=kind) for body, kind in zip(order, kinds, strict=True))
    ids = new[world.splats.body_ids.long()].to(world.splats.body_ids)
    return replace(world, bodies=bodies, splats=replace(world.splats, body_ids=ids), robot=robot_from(remark["robot"]))


def _frame_link(name: str) -> Link:
    return Link(name, None, (), 0.0, torch.zeros(3, dtype=torch.float64), None)


def _mask(kind: str) -> Tensor:
    return torch.tensor([1.0] * 3 + [0.0] * 3 if kind == "slide" else [0.0] * 3 + [1.0] * 3, dtype=torch.float64)


def _shifted(offset: Tensor) -> Tensor:
    return torch.cat([offset, pose.identity(dtype=torch.float64)[3:]])


def _moved(placed: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """A pose with its frames' origins moved: the outer one by -`before`, the inner one by `after`."""
    return pose.compose(_shifted(before), pose.compose(placed, _shifted(after)))
