"""Recorded episodes and library shapes in the form in which they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from splatworld import episodes as stored
from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.simulate.episodes import physics
from splatworld.simulate.episodes.record import Episode
from splatworld.simulate.episodes.solids import Solid


def pack(episodes: Sequence[Episode], numbers: Sequence[int]) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """The tensors of a shard, as `splatworld.episodes.save_shard` wants them, and the names of shapes and tools."""
    shapes = sorted({stored_name(name) for e in episodes for name in e.scene.shapes})
    tools = sorted({e.scene.tool.name for e in episodes if e.scene.tool})
    truths = [e.scene.parameters for e in episodes]
    arrays: dict[str, np.ndarray] = {
        "counts": np.array([len(e.scene) for e in episodes]),
        "shape_ids": np.array([shapes.index(stored_name(name)) for e in episodes for name in e.scene.shapes]),
        "tool_ids": np.array([tools.index(e.scene.tool.name) if e.scene.tool else -1 for e in episodes]),
        "numbers": np.array(numbers),
        "fixed": np.concatenate([e.scene.fixed for e in episodes]).astype(np.uint8),
        "force": np.array([e.scene.tool.servo.force if e.scene.tool else np.zeros(4) for e in episodes]),
        "energy": np.array([e.energy() for e in episodes]),
        "contacts": np.concatenate([_rows(e, k) for k, e in enumerate(episodes)]).astype(np.int16),
        "contact_impulses": np.concatenate([e.impulses for e in episodes]),
        "truth.body_friction": np.array([_square(truth.body_friction) for truth in truths]),
    }
    for name in ("poses", "twists"):
        arrays[name] = np.concatenate([getattr(e, name) for e in episodes], axis=1)
    arrays["asleep"] = np.concatenate([e.asleep for e in episodes], axis=1).astype(np.uint8)
    for name in ("actions", "targets", "joints", "joint_velocities", "penetration"):
        arrays[name] = np.array([getattr(e, name) for e in episodes])
    for name in ("mass", "com", "inertia", "table_friction", "tool_friction"):
        arrays[f"truth.{name}"] = np.concatenate([getattr(truth, name) for truth in truths])
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    return {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}, shapes, tools


def stored_name(name: str) -> str:
    """A shape's name without the folders of the world that it is of."""
    return Path(name).name


def as_body(name: str, solid: Solid, kind: str = "rigid") -> Body:
    """A shape of the library as a body of unit density at the origin."""
    return Body(
        name=name,
        kind=kind,
        rest_pose=pose.identity(dtype=torch.float64),
        mass=solid.volume,
        inertia=torch.from_numpy(solid.inertia),
        mesh=solid.mesh,
        parts=tuple(part.mesh for part in solid.parts) if len(solid.parts) > 1 else (),
    )


def _rows(episode: Episode, number: int) -> np.ndarray:
    """[C, 4] episode, action and rows of the impulse matrix."""
    rows = episode.contacts.copy()
    rows[rows == physics.TABLE] = stored.TABLE
    rows[rows == physics.TOOL] = stored.TOOL
    rows[:, 0] = episode.contacts[:, 0]
    return np.column_stack([np.full(len(rows), number), rows])


def _square(friction: np.ndarray) -> np.ndarray:
    full = np.zeros((stored.MAX_BODIES, stored.MAX_BODIES))
    full[: len(friction), : len(friction)] = friction
    return full
