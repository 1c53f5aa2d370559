"""Pictures of what the planner grasps and places: before, fingers about the body, held, let go, left.

python -m splatworld.evaluate.planning_grasp_picture docs/gallery/planning_grasp.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from splatworld.core.state import State
from splatworld.dynamics.predict import predict
from splatworld.evaluate.grasp_picture import row
from splatworld.evaluate.planning_grasp import BODY, HOLD, GraspEnv, draw_task, goal_of
from splatworld.files import write_file
from splatworld.plan.config import PlanConfig
from splatworld.plan.control import ControlConfig, control

SHOWN = (1062, 1012)
"""Numbers of tasks, none of the rows'."""
SPLATS = 1500


class _Watched(GraspEnv):
    """Keeps what it went through."""

    def step(self, action: np.ndarray) -> tuple:
        done = super().step(action)
        self.seen.append(self.state)
        return done

    def reset(self, **options: object) -> tuple:
        done = super().reset()
        self.seen = [self.state]
        return done


def strip(number: int) -> np.ndarray:
    """[H, 5 W, 3] uint8: a task under the planner."""
    scene, place = draw_task(number)
    env = _Watched(scene, splats=SPLATS)
    goal = goal_of(env.world, env.state, place)
    control(env, env.world, goal, dynamics=predict, config=ControlConfig(plan=PlanConfig(seed=number), hold=HOLD))
    states = State(**{name: torch.stack([getattr(each, name) for each in env.seen]) for name in vars(env.state)})
    heights = states.world_from_body[:, BODY, 2]
    up = (heights > heights[0] + 0.005).nonzero()[:, 0]
    first, last = int(up[0]), int(up[-1])
    moments = [0, first - 2, (first + last) // 2, last + 1, len(heights) - 1]
    return row(env.world, states[moments], states.world_from_body[moments, BODY, :3])


if __name__ == "__main__":
    sheet = np.concatenate([strip(number) for number in SHOWN])
    write_file(Path(sys.argv[1]), cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes())
