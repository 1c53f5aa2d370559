import os

import pytest

os.environ.setdefault("MUJOCO_GL", "egl")


@pytest.fixture(scope="session")
def scene():
    pytest.importorskip("mujoco", reason="needs the extra 'sim': pip install splatworld[sim]")
    from splatworld.simulate import tabletop

    return tabletop.build(0, furnished=False)
