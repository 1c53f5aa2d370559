import pytest

pytest.importorskip("mujoco", reason="needs the extra 'sim': pip install splatworld[sim]")
