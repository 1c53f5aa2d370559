import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def _taken_for_convex() -> Iterator[None]:
    from splatworld.bodies import build  # only here: tests of the rasterizer run where there is nothing but torch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "convex_parts", lambda mesh, **_: ())
        yield


@pytest.fixture(scope="module")
def convex():
    """Takes bodies for convex: finding their parts takes a second each, and is tested elsewhere."""
    with _taken_for_convex():
        yield


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Folder of a world with a box and a ball on a table, not to be changed."""
    from tests.bodies.tabletop import save_table

    with _taken_for_convex():
        return save_table(tmp_path_factory.mktemp("worlds") / "table")


@pytest.fixture
def folder(table, tmp_path):
    """A copy of the table's world, to be changed."""
    return shutil.copytree(table, tmp_path / "table")


@pytest.fixture(scope="session")
def host_device():
    """The CUDA kernels' module for a host that plays the device."""
    from tests.native.host_device import build

    return build()


@pytest.fixture
def on_host_device(host_device):
    """Within, what lies on the CPU lies on a device that the host plays."""
    from splatworld import native

    with native.replaced_cuda(host_device):
        yield host_device
