"""What is asked of rollouts while they are shown: contacts, speeds, how sure they are, how far they are apart."""

from __future__ import annotations

import math
import threading
from functools import lru_cache

import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.world import World
from splatworld.plan.answers import Touches
from splatworld.plan.prediction import Prediction
from splatworld.viewer.tracks import Track

INSTANTS, CORNERS = 500, 200
"""Instants and points of each of its bodies at which the robot's clearance is looked at, at most."""
LOOKED_AT, NEAREST, SAMPLES = 6, 3, 300
"""Bodies whose middles are nearest that are looked at, those told of, and splats from which their distance is taken."""
KEPT = 256
"""Instants whose contacts are kept."""


class Asked:
    """Questions about the rollouts of a world; what was asked once is kept."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._lock = threading.Lock()
        self._contacts = lru_cache(maxsize=KEPT)(self._find)
        self._points = lru_cache(maxsize=KEPT)(self._sample)

    def contacts(self, track: Track, time: float) -> Touches:
        """What touches in a rollout at a time."""
        with self._lock:
            return self._contacts(track, track.index(time))

    def _find(self, track: Track, index: int) -> Touches:
        source, seconds = track.action(index)
        return Prediction(self.world, source).contacts(None if seconds is None else torch.tensor([seconds]))

    def neighbours(self, track: Track, time: float, body: int) -> list[tuple[int, float]]:
        """The nearest bodies at a time, and how far away they are in m: from the body's splats to their surfaces."""
        state, world = track.state(time), self.world
        middles = state.world_from_body[:, :3].double()
        away = (middles - middles[body]).norm(dim=-1)
        others = [int(i) for i in away.argsort() if world.bodies[i].kind != "static" and i != body][:LOOKED_AT]
        with self._lock:
            own = self._points(body)
        if not len(own):
            return []
        points = pose.transform(state.world_from_body[body].double(), own).float()
        prediction = Prediction(world, state)
        found = [(i, float(prediction.signed_distance(points, bodies=[i]).value.min())) for i in others]
        return sorted((row for row in found if math.isfinite(row[1])), key=lambda row: row[1])[:NEAREST]

    def _sample(self, body: int) -> torch.Tensor:
        """[P, 3] some of a body's splats, in its frame."""
        means = self.world.splats.means[self.world.splats.body_ids == body].double()
        rest = self.world.bodies[body].rest_pose.double()
        return pose.transform(pose.inverse(rest), means[:: 1 + len(means) // SAMPLES])


def speeds(track: Track) -> np.ndarray:
    """[T + 1, B] m/s of the bodies' middles."""
    return track.rollout.states.twists[..., :3].norm(dim=-1).double().numpy()


def spreads(track: Track) -> np.ndarray | None:
    """[T + 1, B] m, standard deviation of where the bodies are, over all axes; None where nobody told."""
    std = track.rollout.std
    return None if std is None else std[..., :3].norm(dim=-1).double().numpy()


def apart(track: Track, other: Track) -> np.ndarray:
    """[T + 1, B] m between the places of a rollout's bodies and those of another one at the same times."""
    there = other.poses[other.indices(track.times), :, :3]
    return np.linalg.norm(track.poses[..., :3] - there, axis=-1)


def clearance(asked: Asked, track: Track) -> tuple[np.ndarray, np.ndarray] | None:
    """How near a world's robot comes to anything: [K] s and [K] m; None without a robot that has a shape."""
    world, states = asked.world, track.rollout.states
    tools = [i for i, body in enumerate(world.bodies) if body.kind == "robot" and body.mesh is not None]
    others = [i for i, body in enumerate(world.bodies) if body.kind != "robot"]
    if not tools or len(track.times) < 2:
        return None
    every = 1 + len(track.times) // INSTANTS
    points = []
    for index in tools:
        mesh = world.bodies[index].mesh
        assert mesh is not None
        own = mesh.vertices[:: 1 + len(mesh.vertices) // CORNERS].double()
        points.append(pose.transform(states.world_from_body[::every, None, index].double(), own))
    seconds = torch.from_numpy(track.times[::every] - track.times[0])
    found = Prediction(world, track.rollout).signed_distance(torch.cat(points, dim=1).float(), seconds, bodies=others)
    return track.times[::every], found.value.detach().amin(dim=-1).double().numpy()


def facts(asked: Asked, track: Track, time: float, body: int, others: list[Track]) -> dict[str, str]:
    """What is known of a body of a rollout at a time, in words."""
    world, index = asked.world, track.index(time)
    unit, factor = ("", 1.0) if world.scale.source == "none" else ("cm", 100.0)
    place, twist = track.poses[index, body], track.rollout.states.twists[index, body].double().numpy()
    w, x, y, z = place[3:]
    heading = math.degrees(math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))
    rows = {
        "Place": ", ".join(f"{factor * value:.1f}" for value in place[:3]) + f" {unit}",
        "Heading": f"{heading:.0f} degrees about the vertical",
        "Speed": f"{factor * np.linalg.norm(twist[:3]):.1f} {unit}/s, "
        f"{math.degrees(float(np.linalg.norm(twist[3:]))):.0f} degrees/s",
    }
    std = track.rollout.std
    if std is not None:
        spread, turn = (float(part.norm()) for part in std[index, body].double().split(3))
        rows["Sure to"] = f"{factor * spread:.1f} {unit}, {math.degrees(turn):.0f} degrees (one sigma)"
    if world.bodies[body].mass:
        rows["Mass"] = f"{1000 * world.bodies[body].mass:.0f} g"
    touches = asked.contacts(track, time)
    touched: dict[int, float] = {}
    for (a, b), impulse in zip(touches.bodies.tolist(), touches.impulse.tolist(), strict=True):
        if body in (a, b):
            neighbour = a + b - body
            touched[neighbour] = touched.get(neighbour, 0.0) + impulse
    rows["Touches"] = (
        "\n".join(
            f"{world.bodies[i].name}" + (f", pressed with {10 * impulse:.1f} N" if impulse > 0 else "")
            for i, impulse in sorted(touched.items())
        )
        or "nothing"
    )
    near = [
        f"{world.bodies[i].name}, {factor * max(gap, 0.0):.1f} {unit}".rstrip()
        for i, gap in asked.neighbours(track, time, body)
    ]
    if near and world.bodies[body].kind != "static":
        rows["Nearest"] = "\n".join(near)
    for other in others:
        away = float(np.linalg.norm(place[:3] - other.poses[other.index(time), body, :3]))
        rows[f"From {other.label}"] = f"{factor * away:.1f} {unit} apart"
    return rows
