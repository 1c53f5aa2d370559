"""The tabletop scene: everyday bodies on a wooden table in a furnished room, as a MuJoCo model.

World frame: metres, Z up, table top at z = 0 with its middle at the origin. Every body is free, its frame at its centre
of mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import mujoco
import numpy as np

from splatworld.simulate import prints, room
from splatworld.simulate.everyday import MAKERS, Everyday, Part
from splatworld.simulate.meshes import Mesh, grid

MARKER_SIDE = 0.08
MARKER_POSE = (0.40, -0.03, 0.0004, float(np.cos(0.15)), 0.0, 0.0, float(np.sin(0.15)))
GRAVITY = (0.0, 0.0, -9.81)
VISUAL_GROUP, CONTACT_GROUP = 2, 3
ROD_RADIUS, ROD_LENGTH = 0.01, 0.12
"""m, of the rod that pushes, as `robot.tools.cylinder_pusher`."""
ROD_MASS, ROD_STIFFNESS, ROD_FORCE = 0.5, 5000.0, 30.0
"""kg, N/m and N of its servos."""
ROD_AXES = ("rod x", "rod y", "rod z")

# name: x m, y m, yaw rad
LAYOUT: dict[str, tuple[float, float, float]] = {
    "cereal box": (-0.17, 0.20, 0.45),
    "bottle": (0.07, 0.21, 0.6),
    "tin": (0.23, 0.13, 2.4),
    "mug": (0.06, 0.03, -0.6),
    "book": (-0.22, -0.06, 0.28),
    "orange": (-0.04, -0.16, 0.0),
    "toy house": (0.21, -0.16, -0.5),
    "T block": (0.07, -0.24, 1.1),
    "stapler": (-0.24, -0.27, -0.25),
}


@dataclass(frozen=True)
class Placed:
    """A body where it stands.

    Attributes:
        id: 1.., its number in id images.
        thing: how it is modelled.
        centre: [3] m, centre of mass in the frame in which it was modelled.
        pose: [7] world_from_body at rest, frame at the centre of mass.
    """

    id: int
    thing: Everyday
    centre: np.ndarray
    pose: np.ndarray

    @property
    def mesh(self) -> Mesh:
        """The painted mesh in the body frame."""
        return self.thing.mesh.moved(-self.centre)


@dataclass(frozen=True)
class Tabletop:
    """The compiled scene.

    Attributes:
        model: MuJoCo model; bodies carry the names of `placed`, each with one free joint.
        placed: the free bodies, ids 1.. in order.
        seed: what it was made from.
    """

    model: mujoco.MjModel
    placed: tuple[Placed, ...]
    seed: int

    def pushed(self, path: np.ndarray, seconds: float) -> mujoco.MjData:
        """What the bodies do while a rod goes a way; the scene was built with `rod`.

        Args:
            path: [T + 1, 3] m, where the rod's foot is sent, evenly in time, from its first place.
            seconds: from one place to the next.
        """
        data = self.with_rod(path[0])
        for here, there in pairwise(path):
            self.lead_rod(data, here, there, seconds)
        return data

    def with_rod(self, foot: np.ndarray) -> mujoco.MjData:
        """State with every body where it was placed and the rod's foot at a place [3] m; built with `rod`."""
        data = self.at_rest()
        for name, value in zip(ROD_AXES, foot, strict=True):
            data.joint(name).qpos[:] = value
        return data

    def lead_rod(self, data: mujoco.MjData, here: np.ndarray, there: np.ndarray, seconds: float) -> None:
        """Go on by `seconds` while the rod's foot is sent from one place [3] m to another, evenly in time."""
        model = self.model
        motors = [model.actuator(name).id for name in ROD_AXES]
        steps = round(seconds / model.opt.timestep)
        lead = 2 * np.sqrt(ROD_MASS / ROD_STIFFNESS) / seconds  # what damping costs at that speed
        for step in range(1, steps + 1):
            data.ctrl[motors] = here + (there - here) * (step / steps + lead)
            mujoco.mj_step(model, data)

    def at_rest(self, without: str | None = None) -> mujoco.MjData:
        """State with every body where it was placed; `without` names one that is put far out of sight.

        Raises:
            KeyError: no body has that name.
        """
        if without is not None and without not in {p.thing.name for p in self.placed}:
            raise KeyError(f"at_rest: no body '{without}'; there are {', '.join(p.thing.name for p in self.placed)}.")
        data = mujoco.MjData(self.model)
        for p in self.placed:
            joint = data.joint(p.thing.name)
            joint.qpos[:] = p.pose
            if p.thing.name == without:
                joint.qpos[:3] = (0.0, 0.0, -50.0 - p.id)
        mujoco.mj_forward(self.model, data)
        return data


def build(
    seed: int = 0,
    *,
    furnished: bool = True,
    samples: int = 0,
    shadow: int = 4096,
    size: tuple[int, int] = (1280, 720),
    rod: bool = False,
) -> Tabletop:
    """Make the scene; the same seed gives the same model.

    Args:
        seed: drives all textures.
        furnished: with the room around the table; physics alone does without it and is made sooner.
        samples: multisampling of the renderer; ids and depth need 0.
        shadow: edge of the shadow maps, px.
        size: (width, height) px of the largest picture to render.
        rod: with an upright rod on force-limited servos, which no camera sees; only for `pushed`.
    """
    placed = []
    for number, (name, (x, y, yaw)) in enumerate(LAYOUT.items(), 1):
        thing = MAKERS[name](np.random.default_rng([seed, 2, number]))
        centre = _centre_of_mass(thing)
        c, s = np.cos(yaw), np.sin(yaw)
        at = np.array([x + c * centre[0] - s * centre[1], y + s * centre[0] + c * centre[1], centre[2]])
        pose = np.array([*at, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
        placed.append(Placed(number, thing, centre, pose))
    spec = mujoco.MjSpec()
    spec.modelname = "tabletop"
    spec.option.gravity = GRAVITY
    spec.option.timestep = 0.002
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    _look(spec, samples, shadow, size)
    for name, surface in room.furnish(seed).items() if furnished else ():
        _material(spec, name, surface.image, surface.shine, surface.emission)
        _visual(spec, spec.worldbody, name, surface.mesh)
    _marker(spec, np.random.default_rng([seed, 3]))
    w, d, _ = room.TABLE
    for name, half, z in (
        ("table", (w / 2, d / 2, 0.02), -0.02),
        ("ground", (room.HALF_X, room.HALF_Y, 0.05), room.FLOOR - 0.05),
    ):
        geom = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=(0, 0, z), name=name)
        geom.group = CONTACT_GROUP
    for p in placed:
        _free_body(spec, p)
    if rod:
        _rod(spec)
    return Tabletop(spec.compile(), tuple(placed), seed)


def _look(spec: mujoco.MjSpec, samples: int, shadow: int, size: tuple[int, int]) -> None:
    view = spec.visual
    view.global_.offwidth, view.global_.offheight = size
    view.quality.offsamples = samples
    view.quality.shadowsize = shadow
    view.headlight.active = 1
    view.headlight.ambient = (0.38, 0.375, 0.37)
    view.headlight.diffuse = view.headlight.specular = (0, 0, 0)
    view.map.znear, view.map.zfar = 0.02, 12.0
    spec.stat.extent, spec.stat.center = 1.0, (0, 0, 0)
    spot = mujoco.mjtLightType.mjLIGHT_SPOT
    warm, cool = np.array([1.0, 0.95, 0.86]), np.array([0.88, 0.94, 1.0])
    lamps = (
        ((0.25, -0.22, 1.45), (-0.1, 0.1, -1), 0.68 * warm, 70.0, True),
        ((-0.3, 1.85, 1.0), (0.12, -1.0, -0.55), 0.24 * cool, 75.0, False),
    )
    for at, towards, colour, cutoff, shade in lamps:
        light = spec.worldbody.add_light(pos=at, dir=towards, type=spot, castshadow=shade)
        light.diffuse, light.specular, light.ambient = colour, colour * 0.8, (0, 0, 0)
        light.cutoff, light.exponent, light.attenuation = cutoff, 1.0, (1, 0, 0)
    for at, colour in (((0, 0, 1.5), 0.26 * warm), ((-0.6, -1.2, 0.6), 0.10 * warm)):
        fill = spec.worldbody.add_light(
            pos=at, dir=(0, 0, -1), type=mujoco.mjtLightType.mjLIGHT_POINT, castshadow=False
        )
        fill.diffuse, fill.specular, fill.attenuation = colour, (0, 0, 0), (1, 0, 0)


def _material(spec: mujoco.MjSpec, name: str, image: np.ndarray, shine: float, emission: float) -> None:
    image = np.ascontiguousarray(image)
    texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D)
    texture.width, texture.height, texture.nchannel = image.shape[1], image.shape[0], 3
    texture.data = image.tobytes()
    material = spec.add_material(name=name, specular=shine, shininess=0.5, emission=emission)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _visual(spec: mujoco.MjSpec, body: mujoco.MjsBody, name: str, mesh: Mesh) -> None:
    asset = spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
    asset.uservert, asset.userface = mesh.vertices.ravel(), mesh.faces.ravel()
    asset.usernormal, asset.userfacenormal = mesh.normals.ravel(), mesh.faces.ravel()
    asset.usertexcoord, asset.userfacetexcoord = mesh.uvs.ravel(), mesh.faces.ravel()
    geom = body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, material=name, name="see " + name)
    geom.contype = geom.conaffinity = 0
    geom.mass, geom.group = 0.0, VISUAL_GROUP


def _marker(spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
    sheet = 0.13
    pixels = 1300
    image = prints.marker_sheet(rng, pixels, pixels, round(pixels * MARKER_SIDE / sheet))
    _material(spec, "marker sheet", image, 0.0, 0.0)
    mesh = grid(
        np.array([-sheet / 2, -sheet / 2, 0.0]), np.array([sheet, 0, 0]), np.array([0, sheet, 0]), 0.03, (0, 0, 1, 1)
    )
    turn = 2 * np.arctan2(MARKER_POSE[6], MARKER_POSE[3])
    c, s = np.cos(turn), np.sin(turn)
    _visual(
        spec, spec.worldbody, "marker sheet", mesh.moved(MARKER_POSE[:3], np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))
    )


def _free_body(spec: mujoco.MjSpec, placed: Placed) -> None:
    thing = placed.thing
    body = spec.worldbody.add_body(name=thing.name, pos=placed.pose[:3], quat=placed.pose[3:])
    body.add_freejoint(name=thing.name)
    _parts(spec, body, thing, placed.centre)
    _material(spec, thing.name, thing.image, thing.shine, 0.0)
    _visual(spec, body, thing.name, placed.mesh)


def _rod(spec: mujoco.MjSpec) -> None:
    body = spec.worldbody.add_body(name="rod")
    body.gravcomp = 1
    for name, axis in zip(ROD_AXES, np.eye(3), strict=True):
        body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
        motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.gaintype, motor.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        motor.gainprm[0] = ROD_STIFFNESS
        motor.biasprm[:3] = (0, -ROD_STIFFNESS, -2 * np.sqrt(ROD_STIFFNESS * ROD_MASS))
        motor.forcelimited, motor.forcerange = True, (-ROD_FORCE, ROD_FORCE)
    half = ROD_LENGTH / 2
    geom = body.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=(ROD_RADIUS, half, 0), pos=(0, 0, half), name="rod")
    geom.mass, geom.group, geom.friction = ROD_MASS, CONTACT_GROUP, (0.3, 0.005, 0.002)


def _parts(spec: mujoco.MjSpec, body: mujoco.MjsBody, thing: Everyday, centre: np.ndarray) -> None:
    kinds = mujoco.mjtGeom
    shapes = {
        "box": kinds.mjGEOM_BOX,
        "cylinder": kinds.mjGEOM_CYLINDER,
        "sphere": kinds.mjGEOM_SPHERE,
        "capsule": kinds.mjGEOM_CAPSULE,
    }
    volumes = np.array([_volume(part) for part in thing.parts])
    for k, (part, share) in enumerate(zip(thing.parts, volumes / volumes.sum(), strict=True)):
        name = f"{thing.name} part {k}"
        at = np.asarray(part.position) - centre
        if part.kind == "hull":
            asset = spec.add_mesh(name=name)
            asset.uservert = (part.vertices - centre).ravel()
            geom = body.add_geom(type=kinds.mjGEOM_MESH, meshname=name, name=name)
        else:
            geom = body.add_geom(type=shapes[part.kind], size=[*part.size, 0, 0][:3], pos=at, quat=part.quat, name=name)
        geom.mass, geom.group = float(thing.mass * share), CONTACT_GROUP
        geom.friction = (0.7, 0.005, 0.002)
        geom.condim = 6 if part.kind == "sphere" else 4


def _volume(part: Part) -> float:
    s = part.size
    if part.kind == "box":
        return 8 * s[0] * s[1] * s[2]
    if part.kind == "cylinder":
        return 2 * np.pi * s[0] ** 2 * s[1]
    if part.kind == "capsule":
        return 2 * np.pi * s[0] ** 2 * (s[1] + 2 / 3 * s[0])
    return 4 / 3 * np.pi * s[0] ** 3 if part.kind == "sphere" else 1.0


def _centre_of_mass(thing: Everyday) -> np.ndarray:
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="it")
    body.add_freejoint()
    _parts(spec, body, thing, np.zeros(3))
    return spec.compile().body("it").ipos.copy()
