"""Drawers and doors in MuJoCo: a cabinet with one leaf on a joint, pulled by its handle or pushed by a rod."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.checks import check_choice
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.world import World
from splatworld.robot.model import Link, LinkJoint, RobotModel
from splatworld.robot.place import add_links
from splatworld.robot.primitives import painted
from splatworld.simulate.episodes import solids
from splatworld.simulate.episodes.colors import FIXED_COLOR, body_color
from splatworld.simulate.episodes.families import tool_numbers
from splatworld.simulate.episodes.physics import CONTACT_SOLIMP, add_parts, add_tool, set_options
from splatworld.simulate.episodes.scene import Tool
from splatworld.simulate.episodes.shards import as_body
from splatworld.simulate.episodes.solids import Part, Solid
from splatworld.simulate.episodes.tools import Servo, tool
from splatworld.simulate.episodes.world import sent, table_world, tool_poses, with_tool

KINDS = ("drawer", "door")
STEP = 0.002
ACTIONS = 30
PLATE = 0.016
"""m, how thick fronts are."""
BAR = 0.01
"""m, how thick handles are."""
LIFT = 0.03
"""m of what is lowest over the table."""


@dataclass(frozen=True)
class Resistance:
    """What nobody is told of a leaf.

    Attributes:
        mass: kg.
        friction: N or N m of its joint.
        damping: N s/m or N m s.
        tool_friction: Coulomb's coefficient with the tool.
    """

    mass: float
    friction: float
    damping: float
    tool_friction: float


@dataclass(frozen=True)
class Fixture:
    """A cabinet, its leaf, the tool and what it is told to do. The leaf opens towards -x.

    Attributes:
        kind: of `KINDS`.
        cabinet, leaf: convex parts in the frame of the joint.
        place: [3] m of the joint's frame on the table.
        limits: m or rad from closed to open.
        start: m or rad.
        tool: where it starts.
        way: [ACTIONS, 4] increments of its x, y, z, yaw.
        resistance: the leaf's.
    """

    kind: str
    cabinet: tuple[Part, ...]
    leaf: tuple[Part, ...]
    place: np.ndarray
    limits: tuple[float, float]
    start: float
    tool: Tool
    way: np.ndarray
    resistance: Resistance

    @property
    def axis(self) -> np.ndarray:
        """[3] of the joint."""
        return np.array([-1.0, 0, 0]) if self.kind == "drawer" else np.array([0, 0, 1.0])


@dataclass(frozen=True)
class FixtureEpisode:
    """What became of a fixture: joint [ACTIONS + 1] m or rad, the tool's joints and targets [ACTIONS + 1, 4]."""

    joint: np.ndarray
    tool: np.ndarray
    targets: np.ndarray


def draw_resistance(kind: str, rng: np.random.Generator) -> Resistance:
    """By chance: masses and dampings evenly in the logarithm."""
    check_choice("draw_resistance", "kind", kind, KINDS)
    mass = float(np.exp(rng.uniform(*np.log((0.4, 3.0)))))
    low, high = ((1.0, 5.0), (2.0, 10.0)) if kind == "drawer" else ((0.05, 0.3), (0.03, 0.2))
    return Resistance(mass, rng.uniform(*low), float(np.exp(rng.uniform(*np.log(high)))), rng.uniform(0.2, 0.8))


def draw_fixture(kind: str, split: str, rng: np.random.Generator) -> Fixture:
    """A drawer or a door by chance, and a rod that opens it by its handle or pushes it shut."""
    check_choice("draw_fixture", "kind", kind, KINDS)
    name = f"cylinder-{rng.choice(tool_numbers(split)):02d}"
    radius = float(np.ptp(tool(name).hull[:, 0])) / 2
    wide, high = rng.uniform(0.2, 0.45), rng.uniform(0.1, 0.2) if kind == "drawer" else rng.uniform(0.2, 0.35)
    depth, gap, bar = rng.uniform(0.2, 0.35), 2 * radius + rng.uniform(0.01, 0.02), 2 * radius + rng.uniform(0.04, 0.08)
    low = -wide / 2 if kind == "drawer" else 0.0
    grip = 0.0 if kind == "drawer" else wide - bar / 2 - rng.uniform(0.01, 0.03)
    leaf = [solids.box((-PLATE, low, 0), (0, low + wide, high)), *_handle(grip, high / 2, gap, bar)]
    if kind == "drawer":
        leaf.append(solids.box((0, low + 0.01, 0.005), (depth - 0.01, low + wide - 0.01, 0.015)))
    limits = (0.0, rng.uniform(0.6, 0.85) * depth if kind == "drawer" else rng.uniform(1.2, 1.8))
    opens = rng.random() < 0.6
    start = rng.uniform(0, 0.3) if opens else rng.uniform(0.5, 1.0)
    cabinet = (solids.box((0.004, low - 0.02, -0.02), (depth + 0.03, low, high + 0.02)),
               solids.box((0.004, low + wide, -0.02), (depth + 0.03, low + wide + 0.02, high + 0.02)),
               solids.box((depth + 0.01, low, -0.02), (depth + 0.03, low + wide, high + 0.02)))  # fmt: skip
    force = np.exp(rng.uniform(*np.log((15.0, 60.0))))
    # Behind the bar, or before it.
    ahead = -PLATE - gap / 2 if opens else -PLATE - gap - BAR - radius - rng.uniform(0.004, 0.015)
    beside = grip + rng.uniform(-0.4, 0.4) * (bar - 2 * radius - 0.01)
    drawn = Fixture(
        kind=kind, cabinet=cabinet, leaf=tuple(leaf), place=np.array([rng.normal(0, 0.05), rng.normal(0, 0.05), LIFT]),
        limits=limits, start=start * limits[1], tool=Tool(name, Servo(np.array([force, force, force, 0.05 * force])),
        np.zeros(4)), way=np.zeros((ACTIONS, 4)), resistance=draw_resistance(kind, rng),
    )  # fmt: skip
    return _led(drawn, np.array([ahead, beside]), 1.0 if opens else -1.0, rng)


def _handle(middle: float, level: float, gap: float, bar: float) -> list[Part]:
    """A bar along y before the front, on two posts."""
    ends = (middle - bar / 2, middle + bar / 2)
    out = -PLATE - gap
    posts = [solids.box((out, y - 0.005, level - 0.005), (-PLATE, y + 0.005, level + 0.005)) for y in ends]
    return [*posts, solids.box((out - BAR, ends[0] - 0.005, level - 0.006), (out, ends[1] + 0.005, level + 0.006))]


def _led(fixture: Fixture, grip: np.ndarray, sense: float, rng: np.random.Generator) -> Fixture:
    """With a tool at a place [2] of the closed leaf that follows the leaf's way there, not quite, and then rests."""
    speed, value = rng.uniform(0.06, 0.3), fixture.start
    reach = 1.0 if fixture.kind == "drawer" else float(np.linalg.norm(grip))
    stop = int(rng.integers(12, 24))
    noise, drift = rng.normal(0, 0.08, ACTIONS), rng.normal(0, 0.04)
    places = [_carried(fixture, grip, value)]
    for k in range(ACTIONS):
        if k < stop:
            value += sense * speed * max(0.0, 1 + noise[k]) * ACTION_SECONDS / reach
            value = float(np.clip(value, 0.02 * fixture.limits[1], 0.97 * fixture.limits[1]))
        places.append(_carried(fixture, grip * (1 + 0.2 * drift), value) if k else _carried(fixture, grip, value))
    way = np.zeros((ACTIONS, 4))
    way[:, :2] = np.diff(np.array(places), axis=0)
    way[stop:] = 0
    level = fixture.place[2] + fixture.leaf[1].center[2] - 0.02 - float(tool(fixture.tool.name).hull[:, 2].min())
    at = np.array([*(fixture.place[:2] + places[0]), level, 0.0])
    return replace(fixture, tool=replace(fixture.tool, joints=at), way=way)


def _carried(fixture: Fixture, grip: np.ndarray, value: float) -> np.ndarray:
    """[2] where a place of the closed leaf is when it is open by `value`, in the joint's frame."""
    if fixture.kind == "drawer":
        return grip - np.array([value, 0.0])
    c, s = np.cos(value), np.sin(value)
    return np.array([c * grip[0] - s * grip[1], s * grip[0] + c * grip[1]])


def fixture_model(fixture: Fixture) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """A fixture in MuJoCo, as it starts: joint "leaf", and the tool's "x", "y", "z" and "yaw" with their servos."""
    spec = mujoco.MjSpec()
    set_options(spec, STEP)
    spec.compiler.degree = False
    held = fixture.resistance
    leaf = spec.worldbody.add_body(name="leaf", pos=fixture.place)
    slides = fixture.kind == "drawer"
    leaf.add_joint(
        name="leaf", type=mujoco.mjtJoint.mjJNT_SLIDE if slides else mujoco.mjtJoint.mjJNT_HINGE, axis=fixture.axis,
        limited=True, range=fixture.limits, frictionloss=held.friction, damping=[held.damping, 0, 0],
    )  # fmt: skip
    names = add_parts(spec, leaf, "leaf", fixture.leaf)
    volume = solids.union(fixture.leaf).volume
    for geom in leaf.geoms:
        geom.density = held.mass / volume
    rods = add_tool(spec, fixture.tool)
    for one in names:
        for other in rods:
            pair = spec.add_pair(geomname1=one, geomname2=other)
            pair.condim, pair.friction = 3, (held.tool_friction, held.tool_friction, 0, 0, 0)
            pair.solref, pair.solimp = (2 * STEP, 1.0), CONTACT_SOLIMP
    model = spec.compile()
    data = mujoco.MjData(model)
    at = np.array([model.joint(name).qposadr[0] for name in ("x", "y", "z", "yaw")])
    data.qpos[at], data.joint("leaf").qpos[:] = fixture.tool.joints, fixture.start
    return model, data


def simulate(fixture: Fixture) -> FixtureEpisode:
    """Run the tool's way in MuJoCo."""
    model, data = fixture_model(fixture)
    at = np.array([model.joint(name).qposadr[0] for name in ("x", "y", "z", "yaw")])
    target, joint, joints, targets = fixture.tool.joints.copy(), [fixture.start], [fixture.tool.joints], []
    targets.append(target.copy())
    for action in fixture.way:
        target = act(fixture, model, data, target, action)
        joint.append(float(data.joint("leaf").qpos[0]))
        joints.append(data.qpos[at].copy())
        targets.append(target.copy())
    return FixtureEpisode(np.array(joint), np.array(joints), np.array(targets))


def act(
    fixture: Fixture, model: mujoco.MjModel, data: mujoco.MjData, target: np.ndarray, action: np.ndarray
) -> np.ndarray:
    """One action [4] of 0.1 s; returns the servos' new targets [4] of the given ones."""
    at = np.array([model.joint(name).qposadr[0] for name in ("x", "y", "z", "yaw")])
    begin, target = fixture.tool.servo.retarget(target, data.qpos[at], action)
    steps = round(ACTION_SECONDS / STEP)
    for k in range(1, steps + 1):
        data.ctrl[:] = begin + (target - begin) * k / steps
        mujoco.mj_step(model, data)
    return target


def fixture_world(fixture: Fixture, *, splats: int = 200) -> World:
    """Background, table, the cabinet with its leaf as it starts, and the tool; of resistances nothing is told."""
    still = pose.identity(dtype=torch.float64)
    links = [_link("cabinet", fixture.cabinet, FIXED_COLOR), _link("leaf", fixture.leaf, body_color(0))]
    joint = LinkJoint("leaf", "slide" if fixture.kind == "drawer" else "hinge", "cabinet", "leaf", still,
                      torch.from_numpy(fixture.axis), fixture.limits)  # fmt: skip
    base = torch.cat([torch.from_numpy(fixture.place), still[3:]])
    model = RobotModel("fixture", tuple(links), (joint,))
    world, _ = add_links(
        table_world(splats), model, base, {"leaf": fixture.start}, kinds=("static", "articulated"), splats=splats
    )
    body = as_body(fixture.tool.name, tool(fixture.tool.name), "robot")
    return with_tool(world, body, tool_poses(torch.from_numpy(fixture.tool.joints)), splats)


def sent_actions(episode: FixtureEpisode) -> torch.Tensor:
    """[ACTIONS, 6] as the world's robot takes them: how the targets of the tool's servos went."""
    return sent(torch.from_numpy(episode.targets), torch.from_numpy(episode.tool[0]))


def _link(name: str, parts: Sequence[Part], color: tuple[float, float, float]) -> Link:
    solid: Solid = solids.union(parts)
    middle = torch.from_numpy(parts[0].center - solid.parts[0].center)
    moved = [part.mesh for part in parts]
    whole = replace(solid.mesh, vertices=solid.mesh.vertices + middle)
    return Link(name, painted(whole, color), tuple(moved), 0.0, middle, None)
