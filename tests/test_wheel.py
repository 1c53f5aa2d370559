"""The wheel is complete: installed elsewhere and run from an empty folder, it helps and renders."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
from pathlib import Path
import torch
import splatworld
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.splats import from_points
from splatworld.dynamics.checkpoint import load_model

assert Path(splatworld.__file__).is_relative_to(sys.prefix), splatworld.__file__
assert load_model().config.members
points, colors = torch.zeros(1, 3), torch.full((1, 3), 255, dtype=torch.uint8)
world = splatworld.World(
    splats=from_points(points, colors, scale=torch.full((1,), 0.1), opacity=0.9),
    cameras={
        "front": Camera(
            focal=torch.full((2,), 40.0),
            center=torch.full((2,), 16.0),
            size=(32, 32),
            world_from_camera=pose.look_at(*torch.tensor([[0.0, -1, 0], [0, 0, 0], [0, 0, 1]])),
        )
    },
)
splatworld.save_world(world, "world")
"""


def run(*command: object) -> str:
    """The command's output; fails with all it said."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and everything else from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", ROOT)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    programs = folder / "venv" / "bin"
    (wheel,) = (folder / "dist").iterdir()
    run(*pip, "--python", programs / "python", "install", "--quiet", "--no-deps", "--no-index", wheel)
    # A .pth beside the wheel adds a folder whose own .pth files, an editable install among them, are not read.
    here = sysconfig.get_paths()["purelib"]
    packages = run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
    Path(packages, "dependencies.pth").write_text(here + "\n")
    return programs


@pytest.mark.slow
def test_an_installed_wheel_runs_from_an_empty_folder(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "reconstruct" in run(installed / "splatworld", "--help")
    assert "0.1.0" in run(installed / "splatworld", "--version")
    run(installed / "python", "-c", SCRIPT)
    assert '"kind": "world"' in run(installed / "splatworld", "info", "world", "--json")
    run(installed / "splatworld", "render", "world", "-o", "out", "--quiet")
    import cv2

    picture = cv2.imread(str(tmp_path / "out" / "front.png"))
    assert picture.shape == (32, 32, 3)
    assert picture[16, 16].min() > 200
    assert picture[0, 0].max() == 0
    assert "splatworld view" in run(installed / "splatworld", "view", "--help")
