"""What rasterizers return."""

import torch

from splatworld.render.rendering import to_bytes


def test_colours_are_clamped_and_rounded():
    image = torch.tensor([[[-1.0, 0.5, 2.0], [0.0, 1.0, 1.49 / 255]]])
    assert to_bytes(image).tolist() == [[[0, 128, 255], [0, 255, 1]]]
