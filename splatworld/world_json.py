"""What is small about a world, as the JSON of `world.json`; float64 survives exactly."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from splatworld.core.body import Body, Joint
from splatworld.core.camera import Camera
from splatworld.core.robot import GRIP_FORCE, ActionSpec, Robot
from splatworld.core.splats import Provenance
from splatworld.core.world import Scale, World


def encode(world: World) -> dict[str, Any]:
    """Bodies, cameras, scale, gravity and counts; what is large lies in files of its own."""
    provenance = world.splats.provenance
    return {
        "bodies": [_body_entry(body) for body in world.bodies],
        "cameras": [{"name": name, **_camera_entry(camera)} for name, camera in world.cameras.items()],
        "gravity": _numbers(world.gravity),
        "prior_latents": _numbers(world.prior_latents),
        "robot": None if world.robot is None else robot_entry(world.robot),
        "provenance": {p.name.lower(): int((provenance == p).sum()) for p in Provenance},
        "scale": {
            "source": world.scale.source,
            # An unknown spread is infinite, which JSON has no word for.
            "std": float(world.scale.std) if math.isfinite(world.scale.std) else None,
            "value": float(world.scale.value),
        },
        "splats": {"count": len(world.splats), "degree": world.splats.degree},
    }


def decode(document: dict[str, Any]) -> dict[str, Any]:
    """The fields of `World` that `encode` wrote; tensors in float64."""
    scale = document["scale"]
    return {
        "bodies": tuple(_body(entry) for entry in document["bodies"]),
        "cameras": {entry["name"]: _camera(entry) for entry in document["cameras"]},
        "gravity": _tensor(document["gravity"]),
        "prior_latents": _optional(document["prior_latents"]),
        "robot": robot_from(document.get("robot")),
        "scale": Scale(
            value=scale["value"], source=scale["source"], std=math.inf if scale["std"] is None else scale["std"]
        ),
    }


def _body_entry(body: Body) -> dict[str, Any]:
    joint = body.joint
    return {
        "name": body.name,
        "kind": body.kind,
        "rest_pose": _numbers(body.rest_pose),
        "parent": body.parent,
        "joint": joint
        and {
            "type": joint.type,
            "parent_from_joint": _numbers(joint.parent_from_joint),
            "axis": _numbers(joint.axis),
            # An end without a limit is infinite, which JSON has no word for.
            "limits": [limit if math.isfinite(limit) else None for limit in map(float, joint.limits)],
            "rest": float(joint.rest),
            "mimic": joint.mimic and list(joint.mimic),
        },
        "node_range": None if body.node_range is None else list(body.node_range),
        "mass": float(body.mass),
        "inertia": _numbers(body.inertia),
        "weighed": body.weighed,
    }


def _body(entry: dict[str, Any]) -> Body:
    joint = entry["joint"]
    if joint is not None:
        low, high = joint["limits"]
        joint = Joint(
            type=joint["type"],
            parent_from_joint=_tensor(joint["parent_from_joint"]),
            axis=_tensor(joint["axis"]),
            limits=(-math.inf if low is None else low, math.inf if high is None else high),
            rest=joint.get("rest", 0.0),
            mimic=tuple(joint["mimic"]) if joint.get("mimic") else None,
        )
    return Body(
        name=entry["name"],
        kind=entry["kind"],
        rest_pose=_tensor(entry["rest_pose"]),
        parent=entry["parent"],
        joint=joint,
        node_range=None if entry["node_range"] is None else tuple(entry["node_range"]),
        mass=entry["mass"],
        inertia=_optional(entry["inertia"]),
        weighed=entry.get("weighed", False),
    )


def robot_entry(robot: Robot) -> dict[str, Any]:
    action = robot.action
    return {
        "name": robot.name,
        "bodies": list(robot.bodies),
        "tool": robot.tool,
        "fingers": list(robot.fingers),
        **({"grip_force": robot.grip_force} if robot.fingers else {}),
        "action": {
            "kind": action.kind,
            "names": list(action.names),
            "units": list(action.units),
            "low": _numbers(action.low),
            "high": _numbers(action.high),
        },
    }


def robot_from(entry: dict[str, Any] | None) -> Robot | None:
    if entry is None:
        return None
    action = entry["action"]
    return Robot(
        name=entry["name"],
        bodies=tuple(entry["bodies"]),
        tool=entry["tool"],
        fingers=tuple(entry["fingers"]),
        action=ActionSpec(
            kind=action["kind"],
            names=tuple(action["names"]),
            units=tuple(action["units"]),
            low=_tensor(action["low"]),
            high=_tensor(action["high"]),
        ),
        grip_force=entry.get("grip_force", GRIP_FORCE),
    )


def _camera_entry(camera: Camera) -> dict[str, Any]:
    return {
        "size": list(camera.size),
        "focal": _numbers(camera.focal),
        "center": _numbers(camera.center),
        "distortion": _numbers(camera.distortion),
        "world_from_camera": _numbers(camera.world_from_camera),
        "motion": _numbers(camera.motion),
        "shutter": _numbers(camera.shutter),
    }


def _camera(entry: dict[str, Any]) -> Camera:
    return Camera(
        focal=_tensor(entry["focal"]),
        center=_tensor(entry["center"]),
        size=tuple(entry["size"]),
        world_from_camera=_tensor(entry["world_from_camera"]),
        distortion=_optional(entry["distortion"]),
        motion=_optional(entry.get("motion")),
        shutter=_optional(entry.get("shutter")),
    )


def _numbers(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().cpu().double().tolist()


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _optional(values: Any) -> Tensor | None:
    return None if values is None else _tensor(values)
