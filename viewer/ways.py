"""The ways that a tool is led step by step, and their keys."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.viewer.timeline import Key

LEFT, RIGHT, AWAY, NEAR, UP, DOWN = "←", "→", "↑", "↓", "up", "down"
TURN_LEFT, TURN_RIGHT = "↺", "↻"
TURN = 15.0
"""degrees of a key press."""
KEYS: dict[str, Key] = {LEFT: "4", RIGHT: "6", AWAY: "8", NEAR: "2", UP: "9", DOWN: "3", TURN_LEFT: "7",
                        TURN_RIGHT: "1"}  # fmt: skip
"""As they lie on a pad of numbers."""


def stepped(tool: Tensor, way: str, length: float, right: np.ndarray) -> Tensor:
    """A tool's pose a step further on.

    Args:
        tool: [7] where it is.
        way: one of `KEYS`.
        length: m of the step; turns are of `TURN`.
        right: [3] unit vector along the ground to the right of who looks.
    """
    found, away = tool.clone(), np.cross([0.0, 0.0, 1.0], right)
    steps = {LEFT: -right, RIGHT: right, AWAY: away, NEAR: -away, UP: [0.0, 0, 1], DOWN: [0.0, 0, -1]}
    if way in steps:
        found[:3] += length * torch.tensor(np.array(steps[way]))
    else:
        angle = np.radians(TURN if way == TURN_LEFT else -TURN)
        turn = pose.exp(torch.tensor([0.0, 0, 0, 0, 0, angle], dtype=torch.float64))[3:]
        found[3:] = pose.multiply_quats(turn, found[3:])
    return found
