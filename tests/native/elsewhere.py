"""A GPU that is none: tensors that say they are on "cuda" while they lie in the host's memory.

The kernels of a host that plays the device read them there. What torch would refuse, numbers from both sides in one
operation, is refused here too; what autograd does on its own is not watched.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from splatworld import native

CUDA = torch.device("cuda", 0)
ANYWHERE = {"copy_", "__getitem__", "index_select", "__dlpack__", "__set__"}
"""Functions that take tensors of both sides: copies, and indices on the host."""


def is_elsewhere(value: Any) -> bool:
    return getattr(value, "_elsewhere", False)


class _Elsewhere(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        owner = getattr(function, "__self__", None)
        tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
        there = [value for value in tensors if is_elsewhere(value)]
        if name == "__get__" and getattr(owner, "__name__", "") == "device":
            return CUDA if there else function(*args, **kwargs)
        if name in ("numpy", "__array__") and there:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        wanted = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.device)]
        wanted += [torch.device(kwargs["device"])] if isinstance(kwargs.get("device"), str) else []
        wanted += [torch.device(args[1])] if name == "to" and isinstance(args[1], str) else []
        given = [value for value in tensors if value.dim() > 0 and not is_elsewhere(value)]
        if there and given and name not in ANYWHERE and not (name == "to" and len(tensors) == 2):
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, found cuda:0 and cpu")
        host = torch.device("cpu")
        args, kwargs = tree_map(lambda v: host if isinstance(v, torch.device) else v, (args, kwargs))
        if "device" in kwargs:
            kwargs["device"] = host
        if name == "to" and isinstance(args[1], str):
            args = (args[0], host, *args[2:])
        found = function(*args, **kwargs)
        if name == "cpu":
            goes = False
        elif wanted:
            goes = wanted[0].type == "cuda"
        elif name == "to" and len(tensors) == 2:
            goes = is_elsewhere(tensors[1])
        else:
            goes = bool(there)
        return tree_map(lambda value: _moved(value, goes, tensors), found)


def _moved(value: Any, goes: bool, inputs: list[Tensor]) -> Any:
    if not isinstance(value, Tensor) or is_elsewhere(value) == goes:
        return value
    with torch._C.DisableTorchFunction():
        value = value.clone() if any(value is one for one in inputs) else value  # what is moved is another tensor
    value._elsewhere = goes
    return value


def _checked(kernels: Any, there: bool) -> SimpleNamespace:
    """The module, whose functions refuse tensors that lie on the other side, or that would be copied to fit."""

    def check(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            for place, value in enumerate(args):
                if isinstance(value, Tensor):
                    assert is_elsewhere(value) == there, f"{name}: argument {place} is on the wrong device"
                    assert value.is_contiguous(), f"{name}: argument {place} is not contiguous"
            return function(*args)

        return call

    found = {name: getattr(kernels, name) for name in dir(kernels)}
    return SimpleNamespace(**{k: check(k, v) if callable(v) and not k.startswith("_") else v for k, v in found.items()})


@contextmanager
def elsewhere(kernels: Any) -> Iterator[None]:
    """Within, torch sees a GPU, whose kernels are `kernels`, of a host that plays the device."""
    device = _checked(kernels, there=True)
    device.DEVICE = "cuda"
    host = _checked(native.load(), there=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_loaded_cuda", device)
        patch.setattr(native, "load", lambda: host)
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "device", lambda _: nullcontext())
        patch.setattr(torch.cuda, "current_stream", lambda _: SimpleNamespace(cuda_stream=0))
        patch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=2**40))
        with _Elsewhere():
            yield
