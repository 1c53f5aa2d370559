"""How the CUDA kernels' module is found, and what it does with arrays that are not its own."""

import sys

import pytest
import torch

from splatworld import native
from splatworld.core.checks import SplatworldError


def test_without_the_module_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "splatworld._native_cuda", None)
    with native.replaced_cuda(None):
        assert not native.has_cuda()
        with pytest.raises(native.NativeMissing, match="SPLATWORLD_CUDA=native make install"):
            native.load_cuda()
        assert not native.on_device(torch.zeros(1))


def test_a_host_may_play_the_device(on_host_device):
    assert native.has_cuda()
    assert native.load_cuda() is on_host_device
    assert native.on_device(torch.zeros(1))
    assert not native.on_device(torch.zeros(1, device="meta"))
    assert issubclass(on_host_device.DeviceError, SplatworldError)
