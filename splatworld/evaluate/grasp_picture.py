"""Pictures of grasps: as MuJoCo has it above, as predicted below; before, lifted, carried, put down and left.

python -m splatworld.evaluate.grasp_picture docs/gallery/grasping.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.dynamics.predict import predict
from splatworld.evaluate.dynamics_grasp import BODY, SEED
from splatworld.files import write_file
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes
from splatworld.robot.actions import clip_action
from splatworld.simulate.episodes.grasp_scenes import CARRIED, CLOSED, LIFTED, PLACED, draw_grasp
from splatworld.simulate.episodes.grasps import grasp_actions, grasp_world, recorded_states, simulate

SHOWN = (("test_known", 3), ("test_heldout", 0))
"""Splits and numbers of the rows' scenes."""
MOMENTS = (0, CLOSED, LIFTED, CARRIED, PLACED)
SIZE = (240, 200)
"""px of a picture."""
SPLATS = 1500
SKY = (0.93, 0.94, 0.96)


def strip(split: str, number: int) -> np.ndarray:
    """[2 H, 5 W, 3] uint8: a scene of the rows, MuJoCo's states above, those predicted below."""
    scene = draw_grasp(split, np.random.default_rng([SEED, number]))
    truth = simulate(scene)
    world = grasp_world(scene, truth, splats=SPLATS)
    assert world.robot is not None
    said = predict(world, rest_state(world), clip_action(world.robot.action, grasp_actions(truth))).states
    true = recorded_states(world, truth)
    shown = true.world_from_body[list(MOMENTS), BODY, :3]
    return np.concatenate([row(world, states[list(MOMENTS)], shown) for states in (true, said)])


def row(world: World, states: State, shown: torch.Tensor) -> np.ndarray:
    """[H, N W, 3] uint8: N states side by side, seen such that places [..., 3] are in the picture."""
    shown = shown.reshape(-1, 3)
    low, high = shown.amin(0), shown.amax(0)
    middle = (low + high) / 2 + torch.tensor([0, 0, 0.03]).double()
    far = 0.45 + 0.9 * float((high - low).norm())
    eye = middle + far * torch.nn.functional.normalize(torch.tensor([0.75, -0.85, 0.6]).double(), dim=0)
    camera = Camera(
        focal=torch.full((2,), 1.5 * SIZE[1]).double(),
        center=torch.tensor(SIZE).double() / 2,
        size=SIZE,
        world_from_camera=pose.look_at(eye, middle, torch.tensor([0.0, 0.0, 1.0]).double()),
    )
    pictures = render(world, states, camera, background=torch.tensor(SKY)).image
    return np.concatenate([to_bytes(each) for each in pictures], axis=1)


if __name__ == "__main__":
    sheet = np.concatenate([strip(*each) for each in SHOWN])
    write_file(Path(sys.argv[1]), cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes())
