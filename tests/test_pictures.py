"""Renderings as files keep their numbers."""

import io

import av
import cv2
import numpy as np
import pytest
import torch

from splatworld import pictures
from splatworld.core.checks import InputError


def test_png_is_lossless_and_rgb():
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    back = cv2.imdecode(np.frombuffer(pictures.encode_image(picture), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(back, picture)


def test_depth_in_millimetres_and_bodies_from_one():
    assert pictures.depth_steps(torch.tensor([0.0, 0.0016, 1.5, 65.535, 66.0])).tolist() == [0, 2, 1500, 65535, 0]
    assert pictures.body_steps(torch.tensor([-1, 0, 3])).tolist() == [0, 1, 4]


def test_video_plays_and_repeats_to_the_byte():
    frames = [np.full((33, 49, 3), (8 * i, 100, 200), np.uint8) for i in range(12)]
    content = pictures.encode_video(frames, fps=10)
    assert content == pictures.encode_video(frames, fps=10)
    with av.open(io.BytesIO(content)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 12
    assert decoded[6].shape == (32, 48, 3)
    assert np.abs(decoded[6].astype(int) - frames[6][:32, :48]).max() < 12
    with pytest.raises(InputError, match="no pictures"):
        pictures.encode_video([])
