"""Loads the compiled kernels: the build for the best instruction set that this machine runs, chosen once."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from splatworld.core.checks import InputError, SplatworldError

LEVELS = ("v4", "v3", "v2") if platform.machine().lower() in ("x86_64", "amd64") else ("base",)
"""Instruction sets, best first: x86-64-v4 (AVX-512), v3 (AVX2), v2; elsewhere one portable build."""

LEVEL_VARIABLE = "SPLATWORLD_LEVEL"
"""Environment variable that forces one of `LEVELS`, to compare them."""


class NativeMissing(SplatworldError):
    """The compiled kernels are not installed."""


_loaded: tuple[str, Any] | None = None
_loaded_cuda: Any = None


def load() -> Any:
    """The extension module.

    Raises:
        NativeMissing: no build is installed; the message says how to get one.
        InputError: the environment asks for a level this machine cannot run.
    """
    global _loaded
    if _loaded is None:
        _loaded = _choose()
    return _loaded[1]


def load_cuda() -> Any:
    """The CUDA kernels' module. Arrays of its functions lie on a CUDA device; the last argument is a stream.

    Raises:
        NativeMissing: it is not installed; the message says how to get it.
    """
    global _loaded_cuda
    if _loaded_cuda is None:
        try:
            _loaded_cuda = _HandsOver(importlib.import_module("splatworld._native_cuda"))
        except ModuleNotFoundError as missing:
            raise NativeMissing(
                "the CUDA kernels are not installed; run `SPLATWORLD_CUDA=native make install` in the source folder "
                "(it needs nvcc and a GPU), or keep everything on the CPU."
            ) from missing
    return _loaded_cuda


def has_cuda() -> bool:
    """Whether the CUDA kernels are installed."""
    try:
        load_cuda()
    except NativeMissing:
        return False
    return True


def on_device(array: Any) -> bool:
    """Whether the CUDA kernels are the ones for a tensor: where it lies is where they run."""
    return array.device.type == ("cuda" if _loaded_cuda is None else _loaded_cuda.DEVICE)


class _HandsOver:
    """The CUDA kernels' module, whose functions get tensors as they are.

    By default DLPack lets the default stream wait for the current one with every tensor that is handed over. That takes
    longer than a kernel's start, and while a CUDA graph is captured it is an error. Kernels are told their stream.
    """

    NO_WAIT = -1
    """DLPack's word for it."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if not callable(value) or (isinstance(value, type) and issubclass(value, Exception)):
            return value

        def call(*arguments: Any) -> Any:
            return value(*(a.__dlpack__(stream=self.NO_WAIT) if hasattr(a, "__dlpack__") else a for a in arguments))

        setattr(self, name, call)
        return call


def level() -> str:
    """Name of the instruction set in use, one of `LEVELS`."""
    load()
    assert _loaded is not None
    return _loaded[0]


def set_threads(count: int) -> None:
    """Use `count` threads in every kernel; results do not depend on it."""
    load().set_threads(count)


def get_threads() -> int:
    """Threads the kernels use."""
    return load().get_threads()


def load_benchmark() -> ModuleType:
    """The plain baseline and the arithmetic peak, built like the kernels in use.

    Raises:
        NativeMissing: it is not installed.
    """
    try:
        return importlib.import_module(f"splatworld._bench_{level()}")
    except ModuleNotFoundError as missing:
        raise NativeMissing(
            "the benchmark module is not installed; run `make install` in the source folder."
        ) from missing


@contextmanager
def replaced(kernels: Any) -> Iterator[None]:
    """Within, `load` gives `kernels`, something with the functions of the extension module: to time or compare them."""
    global _loaded
    before = (level(), load())
    _loaded = (before[0], kernels)
    try:
        yield
    finally:
        _loaded = before


@contextmanager
def replaced_cuda(kernels: Any) -> Iterator[None]:
    """Within, `load_cuda` gives `kernels`: in tests, the same kernels run by a host that plays the device."""
    global _loaded_cuda
    before, _loaded_cuda = _loaded_cuda, None if kernels is None else _HandsOver(kernels)
    try:
        yield
    finally:
        _loaded_cuda = before


def _choose() -> tuple[str, ModuleType]:
    modules = {}
    for name in LEVELS:
        try:
            modules[name] = importlib.import_module(f"splatworld._native_{name}")
        except ModuleNotFoundError:
            continue
    if not modules:
        raise NativeMissing(
            "the compiled kernels are not installed; run `make install` in the source folder "
            "(it needs a C++ compiler), or `pip install .`."
        )
    probe = next(iter(modules.values()))
    runnable = [name for name in modules if name == "base" or probe.supports(name)]
    wanted = os.environ.get(LEVEL_VARIABLE, runnable[0] if runnable else "")
    if wanted not in runnable:
        raise InputError(f"{LEVEL_VARIABLE} is {wanted!r}, expected one of {', '.join(runnable)} on this machine.")
    return wanted, modules[wanted]
