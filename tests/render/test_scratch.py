"""Memory kept between passes."""

import threading

import torch

from splatworld.render import scratch as module
from splatworld.render.scratch import scratch


def test_the_same_memory_serves_smaller_requests():
    first = scratch("test", 100, 10)
    assert first.shape == (100, 10)
    assert first.dtype == torch.float32
    assert scratch("test", 7, 3).data_ptr() == first.data_ptr()
    assert scratch("another", 7, 3).data_ptr() != first.data_ptr()
    assert len(scratch("test", 5000)) == 5000
    assert scratch("test", 4, dtype=torch.int32).dtype == torch.int32


def test_each_thread_has_its_own():
    mine, others = scratch("test", 100), []
    thread = threading.Thread(target=lambda: others.append(scratch("test", 100)))
    thread.start()
    thread.join()
    assert others[0].data_ptr() != mine.data_ptr()


def test_large_memory_is_given_back(monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)
    scratch("large", 1000)
    assert "large" not in module._kept.buffers
