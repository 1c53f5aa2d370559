"""Goals: as JSON, as a state that shall become true, or put together from costs; and why one cannot be reached."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import FormatError, InputError, check_finite
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.geometry.shapes import pack_shapes
from splatworld.plan.clearance import KeepClear
from splatworld.plan.cost import (
    HINGE_TOLERANCE,
    SLIDE_TOLERANCE,
    BodyToPose,
    BodyToRegion,
    Cost,
    JointTo,
    KeepStill,
    KeepUpright,
    Reach,
)
from splatworld.plan.sight import KeepVisible
from splatworld.robot.kinematics import forward_kinematics

Aim = BodyToPose | BodyToRegion | JointTo | Reach
MOVED = 1e-3
"""m and rad by which a body must stand elsewhere in a goal state to be meant."""
LEAST_RADIUS = 0.02
"""m that a radian counts at least."""
LEAST_TURN = 1e-3
"""rad of a joint from which it is measured how far that takes its body."""
MOVABLE = ("rigid", "articulated", "deformable")


@dataclass(frozen=True)
class Goal:
    """What shall be, and what else counts.

    Attributes:
        aims: all of them must be reached.
        keeps: further costs.
    """

    aims: tuple[Aim, ...]
    keeps: tuple[Cost, ...] = ()

    def __post_init__(self) -> None:
        if not self.aims:
            raise InputError("Goal: nothing to reach, expected at least one aim.")

    def __call__(self, rollout: Rollout) -> Tensor:
        """[...] cost of rollouts [..., T]."""
        return torch.stack([cost(rollout).double() for cost in (*self.aims, *self.keeps)]).sum(dim=0)

    def reached(self, state: State) -> Tensor:
        """[...] bool."""
        return torch.stack([aim.reached(state) for aim in self.aims]).all(dim=0)

    @property
    def bodies(self) -> tuple[int, ...]:
        """The bodies that shall go somewhere, each once."""
        return tuple(dict.fromkeys(aim.body for aim in self.aims if not isinstance(aim, Reach)))


def pose_aim(world: World, body: int, target: Tensor, **tolerances: float) -> BodyToPose:
    """A body to a pose [7], a radian counting as much as the body reaches (root of the mean square), 2 cm at least."""
    mesh = world.bodies[body].mesh
    reach = 0.0 if mesh is None else float(mesh.vertices.double().square().sum(-1).mean().sqrt())
    return BodyToPose(body, target.double(), radius=max(LEAST_RADIUS, reach), **tolerances)


def joint_aim(world: World, state: State, body: int, value: float) -> JointTo:
    """What hangs on a joint to a value of it, m, or rad of a hinge.

    Raises:
        InputError: it hangs on none, or the joint does not go so far.
    """
    joint, name = world.bodies[body].joint, world.bodies[body].name
    if body not in world.joint_bodies or joint is None:
        raise InputError(f"goal: {name!r} hangs on no joint; say with 'position' or 'pose' where it shall be.")
    low, high = joint.limits
    if not low <= value <= high:
        unit = "m" if joint.type == "slide" else "rad"
        raise InputError(f"goal: the joint of {name!r} goes from {low:.3g} to {high:.3g} {unit}, not to {value:.3g}.")
    number = world.joint_bodies.index(body)
    joints = state.joints.clone()
    away = abs(value - float(joints[number]))
    joints[number] = value
    place = forward_kinematics(world, replace(state, joints=joints)).world_from_body[body, :3]
    way = float((place - state.world_from_body[body, :3]).norm())
    lever = way / away if joint.type == "hinge" and away > LEAST_TURN else 1.0
    return JointTo(body, number, value, place, lever, SLIDE_TOLERANCE if joint.type == "slide" else HINGE_TOLERANCE)


def goal_of_state(world: World, state: State, wanted: State, **tolerances: float) -> Goal:
    """The goal that bodies stand as in another state, such as one with a ghost dragged to where it shall be.

    Args:
        world: of both.
        state: now.
        wanted: a single state; bodies that stand there as they do now are not meant, nor is the robot.
        tolerances: `position` m and `angle` rad of all.

    Raises:
        InputError: no body stands elsewhere; one that does cannot be moved; poses are not finite.
    """
    check_finite("goal", "wanted.world_from_body", wanted.world_from_body)
    away = pose.log(pose.compose(pose.inverse(state.world_from_body), wanted.world_from_body))
    moved = (away[..., :3].norm(dim=-1) > MOVED) | (away[..., 3:].norm(dim=-1) > MOVED)
    found = [k for k in moved.nonzero()[:, 0].tolist() if world.bodies[k].kind != "robot"]
    if not found:
        raise InputError("goal: every body stands where it shall, expected a state in which one stands elsewhere.")
    for index in found:
        _movable(world, index)
    return Goal(tuple(pose_aim(world, index, wanted.world_from_body[index], **tolerances) for index in found))


def read_goal(world: World, state: State, path: str | Path) -> Goal:
    """A goal from a JSON file; errors as of `goal_of_document`.

    Raises:
        InputError: there is no such file.
        FormatError: it is not JSON.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: no such file; give a JSON file with a goal.")
    try:
        document = json.loads(file.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise FormatError(f"{file}: not JSON ({' '.join(str(error).split())}).") from error
    return goal_of_document(world, state, document)


def goal_of_document(world: World, state: State, document: Any) -> Goal:
    """A goal from what JSON holds.

        {"aims": [{"body": "mug", "position": [0.1, 0.2], "yaw": 90},
                  {"body": "box", "pose": [0.3, 0, 0.05, 1, 0, 0, 0]},
                  {"body": "drawer", "joint": 0.2},
                  {"body": "pen", "low": [-0.1, -0.1, 0], "high": [0.1, 0.1, 0.1]},
                  {"tool": [0.2, 0.0, 0.3]}],
         "keep": [{"still": ["glass"]}, {"clear": "vase", "distance": 0.03}, {"visible": "mug", "camera": "front"},
                  {"upright": "mug"}],
         "tolerance": {"position": 0.02, "angle": 15}}

    Lengths in m, angles in degrees about z from how the body lies now, hinges in degrees; a position of two numbers
    keeps its height, and without `yaw` any orientation will do.

    Args:
        world: whose bodies are named.
        state: now.
        document: as above.

    Raises:
        InputError: no such body or one that cannot be moved, numbers that are not finite, unknown or missing entries,
            or two aims for one body.
    """
    if not isinstance(document, dict) or not isinstance(document.get("aims"), list) or not document["aims"]:
        raise InputError("goal: expected an object with 'aims', a list of at least one.")
    _only("goal", document, ("aims", "keep", "tolerance"))
    tolerance = _of_kind("tolerance", document.get("tolerance", {}), dict)
    _only("goal.tolerance", tolerance, ("position", "angle"))
    limits = {}
    if "position" in tolerance:
        limits["position"] = _positive("tolerance.position", tolerance["position"])
    if "angle" in tolerance:
        limits["angle"] = math.radians(_positive("tolerance.angle", tolerance["angle"]))
    aims = tuple(_aim(world, state, entry, limits) for entry in document["aims"])
    meant = [aim.body for aim in aims if not isinstance(aim, Reach)]
    for body in meant:
        if meant.count(body) > 1:
            raise InputError(f"goal: two aims for {world.bodies[body].name!r}, which cannot both be reached; keep one.")
    keeps = tuple(_keep(world, state, entry, meant) for entry in _of_kind("keep", document.get("keep", []), list))
    return Goal(aims, keeps)


def _aim(world: World, state: State, entry: Any, limits: dict[str, float]) -> Aim:
    entry = _of_kind("aims", entry, dict)
    if "tool" in entry:
        _only("goal.aims", entry, ("tool",))
        if world.robot is None:
            raise InputError(
                "goal: the tool shall go somewhere, but the world has no robot; put one in with add_robot."
            )
        return Reach(world.robot.tool, _numbers("tool", entry["tool"], (3,)))
    _only("goal.aims", entry, ("body", "position", "yaw", "pose", "joint", "low", "high"))
    body = _movable(world, body_named(world, entry.get("body")))
    now = state.world_from_body[body].double()
    if "joint" in entry:
        value, joint = float(_numbers("joint", [entry["joint"]], (1,))), world.bodies[body].joint
        return joint_aim(world, state, body, math.radians(value) if joint and joint.type == "hinge" else value)
    if "pose" in entry:
        target = _numbers("pose", entry["pose"], (7,))
        if abs(float(target[3:].norm()) - 1) > 1e-3:
            raise InputError(f"goal: the quaternion of 'pose' is {target[3:].tolist()}, expected a unit one, w first.")
        return pose_aim(world, body, torch.cat([target[:3], pose.normalize_quat(target[3:])]), **limits)
    if "position" in entry:
        place = _numbers("position", entry["position"], (2, 3))
        place = torch.cat([place, now[2:3]]) if len(place) == 2 else place
        if "yaw" not in entry:
            return BodyToPose(body, torch.cat([place, now[3:]]), radius=0.0, **limits)
        yaw = math.radians(float(_numbers("yaw", [entry["yaw"]], (1,))))
        turn = pose.exp(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, yaw], dtype=torch.float64))[3:]
        return pose_aim(world, body, torch.cat([place, pose.multiply_quats(turn, now[3:])]), **limits)
    if "low" in entry and "high" in entry:
        low, high = (_numbers(name, entry[name], (3,)) for name in ("low", "high"))
        if not bool((low <= high).all()):
            raise InputError(f"goal: the region from {low.tolist()} to {high.tolist()} is empty; swap its corners.")
        return BodyToRegion(body, low, high)
    raise InputError(
        f"goal: {entry.get('body')!r} lacks 'position', 'pose', 'joint', or 'low' and 'high'; say where it shall be."
    )


def _keep(world: World, state: State, entry: Any, meant: list[int]) -> Cost:
    entry = _of_kind("keep", entry, dict)
    _only("goal.keep", entry, ("still", "clear", "distance", "visible", "camera", "upright"))
    if "upright" in entry:
        body = _movable(world, body_named(world, entry["upright"]))
        return KeepUpright(body, state.world_from_body[body, 3:])
    if "visible" in entry:
        camera = world.cameras.get(entry.get("camera", next(iter(world.cameras), None)))
        if camera is None:
            names = ", ".join(map(repr, world.cameras)) or "none, the world has no camera"
            raise InputError(f"goal: no camera {entry.get('camera')!r}, expected one of {names}.")
        return KeepVisible(world, body_named(world, entry["visible"]), camera)
    if "still" in entry:
        bodies = tuple(body_named(world, name) for name in _of_kind("still", entry["still"], list))
        both = [world.bodies[body].name for body in bodies if body in meant]
        if both:
            raise InputError(f"goal: {both[0]!r} shall go somewhere and stay where it is; drop one of the two.")
        return KeepStill(bodies)
    distance = _positive("keep.distance", entry.get("distance", 0.02))
    kept = body_named(world, entry.get("clear"))
    others = [k for k, body in enumerate(world.bodies) if k != kept and body.kind != "static"]
    return KeepClear(pack_shapes(world), kept, tuple(others), distance)


def body_named(world: World, name: Any) -> int:
    """The index of a body.

    Raises:
        InputError: there is none of that name; lists those there are.
    """
    names = [body.name for body in world.bodies]
    if name not in names:
        raise InputError(f"goal: no body {name!r}, expected one of {', '.join(map(repr, names))}.")
    return names.index(name)


def _movable(world: World, body: int) -> int:
    kind, name = world.bodies[body].kind, world.bodies[body].name
    if kind not in MOVABLE:
        raise InputError(f"goal: {name!r} is {kind} and stays where it is; name a body that can be moved.")
    return body


def _numbers(name: str, given: Any, lengths: tuple[int, ...]) -> Tensor:
    wanted = " or ".join(map(str, lengths))
    if not isinstance(given, list) or len(given) not in lengths or not all(isinstance(v, int | float) for v in given):
        raise InputError(f"goal: {name!r} is {given!r}, expected {wanted} numbers.")
    values = torch.tensor(given, dtype=torch.float64)
    check_finite("goal", name, values)
    return values


def _positive(name: str, given: Any) -> float:
    value = float(_numbers(name, [given], (1,)))
    if not value > 0:
        raise InputError(f"goal: {name!r} is {given!r}, expected a number above 0.")
    return value


def _of_kind(name: str, given: Any, kind: type) -> Any:
    if not isinstance(given, kind):
        raise InputError(f"goal: {name!r} holds {given!r}, expected {'an object' if kind is dict else 'a list'}.")
    return given


def _only(owner: str, given: dict[str, Any], known: tuple[str, ...]) -> None:
    strangers = [name for name in given if name not in known]
    if strangers:
        raise InputError(f"{owner}: no entry {strangers[0]!r}, expected some of {', '.join(known)}.")
