import pytest
import torch

from splatworld.core.checks import InputError
from splatworld.geometry import mesh as meshes
from splatworld.geometry.convex import convex_hull, convex_parts, is_convex
from tests.geometry.solids import L_BARS, box


def test_convex_parts():
    assert len(convex_parts(box())) == 1
    bars = meshes.solid(tuple(box(*bar) for bar in L_BARS))
    parts = convex_parts(bars)
    assert len(parts) == 2
    assert all(is_convex(part) for part in parts)
    assert meshes.volume(meshes.solid(parts)) == pytest.approx(meshes.volume(bars), rel=0.02)
    with pytest.raises(InputError, match="span no volume"):
        convex_hull(torch.rand(9, 3).double() * torch.tensor([1.0, 1.0, 0.0]))
