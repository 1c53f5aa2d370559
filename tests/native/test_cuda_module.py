"""How the CUDA kernels' module is found, and what it does with arrays that are not its own."""

import sys

import pytest
import torch

from splatworld import native
from splatworld.core.checks import SplatworldError
from splatworld.evaluate.scenes import room
from splatworld.render.ops import rasterize


def test_without_the_module_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "splatworld._native_cuda", None)
    with native.replaced_cuda(None):
        assert not native.has_cuda()
        with pytest.raises(native.NativeMissing, match="SPLATWORLD_CUDA=native make install"):
            native.load_cuda()
        assert not native.on_device(torch.zeros(1))


def test_a_host_may_play_the_device(on_host_device):
    assert native.has_cuda()
    assert native.load_cuda().DEVICE == "cpu"
    assert native.on_device(torch.zeros(1))
    assert not native.on_device(torch.zeros(1, device="meta"))
    assert issubclass(on_host_device.DeviceError, SplatworldError)


def test_no_stream_waits_for_tensors_that_are_handed_over(on_host_device, monkeypatch):
    streams = []
    export = torch.Tensor.__dlpack__

    def exported(tensor, **options):
        streams.append(options.get("stream"))
        return export(tensor, **options)

    monkeypatch.setattr(torch.Tensor, "__dlpack__", exported)
    scene = room(30, (24, 16))
    rasterize(scene.splats, scene.frames, scene.camera)
    assert len(streams) > 30
    assert set(streams) == {-1}
