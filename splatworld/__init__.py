"""Turn a phone video into a persistent world of 3D Gaussian splats that a robot can plan in.

The names below load on first use, so that `import splatworld` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# After each of their tasks torch's threads spin for milliseconds, on the cores that the kernels' threads want: a third
# of the time of a backward pass was lost to that. OpenMP reads this when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from splatworld.capture.load import load_capture
    from splatworld.core.camera import Camera
    from splatworld.core.checks import FormatError, InputError, SplatworldError
    from splatworld.core.splats import Splats
    from splatworld.core.state import State
    from splatworld.core.world import World, rest_state
    from splatworld.plan.prediction import Prediction
    from splatworld.ply import read_splats, write_splats
    from splatworld.reconstruct.fit import fit
    from splatworld.render.render import render
    from splatworld.robot.actions import apply_action
    from splatworld.robot.load import load_robot
    from splatworld.robot.place import add_robot
    from splatworld.store import load_world, save_world

__version__ = "0.1.0"

_HOMES = {
    "Camera": "core.camera",
    "FormatError": "core.checks",
    "InputError": "core.checks",
    "Prediction": "plan.prediction",
    "Splats": "core.splats",
    "SplatworldError": "core.checks",
    "State": "core.state",
    "World": "core.world",
    "add_robot": "robot.place",
    "apply_action": "robot.actions",
    "fit": "reconstruct.fit",
    "load_capture": "capture.load",
    "load_robot": "robot.load",
    "load_world": "store",
    "read_splats": "ply",
    "render": "render.render",
    "rest_state": "core.world",
    "save_world": "store",
    "write_splats": "ply",
}

__all__ = [
    "Camera",
    "FormatError",
    "InputError",
    "Prediction",
    "Splats",
    "SplatworldError",
    "State",
    "World",
    "add_robot",
    "apply_action",
    "fit",
    "load_capture",
    "load_robot",
    "load_world",
    "read_splats",
    "render",
    "rest_state",
    "save_world",
    "write_splats",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'splatworld' has no attribute {name!r}; it offers {', '.join(__all__)}.")
    return getattr(import_module(f"splatworld.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
