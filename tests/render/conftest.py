from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from splatworld import native
from splatworld.core.splats import Splats
from splatworld.render import ops, reference
from splatworld.render.rendering import Rendering
from tests.native.host_device import build


@dataclass(frozen=True)
class Backend:
    """A rasterizer that takes float64 on the host, computes in `dtype` on `device`, and answers on the host."""

    name: str
    device: str
    dtype: torch.dtype
    tolerance: float

    def rasterize(self, splats: Splats, frames: Tensor, camera: Any, **options: Any) -> Rendering:
        options = {name: self._cast(value) for name, value in options.items()}
        drawn = self._function()(self._cast(splats), self._cast(frames), self._cast(camera), **options)
        return Rendering(**{f.name: getattr(drawn, f.name).cpu() for f in fields(Rendering)})

    def _function(self) -> Any:
        if self.name == "reference":
            return reference.rasterize
        return ops.rasterize

    def _cast(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(self.device, self.dtype) if value.is_floating_point() else value.to(self.device)
        if is_dataclass(value):
            return replace(value, **{f.name: self._cast(getattr(value, f.name)) for f in fields(value)})
        return value


BACKENDS = {
    "reference": Backend("reference", "cpu", torch.float64, 1e-9),
    "cpu": Backend("cpu", "cpu", torch.float32, 2e-5),
    "cuda": Backend("cuda", "cuda", torch.float32, 2e-5),
}


HOST_DEVICE = "SPLATWORLD_HOST_DEVICE"
"""Environment variable that, where there is no GPU, lets the host play one: minutes for the tests here."""


@contextmanager
def _backend(name: str) -> Iterator[Backend]:
    if name == "cuda" and not torch.cuda.is_available():
        if not os.environ.get(HOST_DEVICE):
            pytest.skip(f"no GPU; {HOST_DEVICE}=1 lets the host play one")
        with native.replaced_cuda(build()):
            yield replace(BACKENDS[name], device="cpu")
        return
    if name != "reference":
        try:
            native.load_cuda() if name == "cuda" else native.load()
        except native.NativeMissing as missing:
            pytest.skip(str(missing))
    yield BACKENDS[name]


@pytest.fixture(autouse=True, scope="package")
def one_torch_thread() -> Iterator[None]:
    """Tensors here are small: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with _backend(request.param) as found:
        yield found


@pytest.fixture(params=["cpu", "cuda"])
def native_backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with _backend(request.param) as found:
        yield found
