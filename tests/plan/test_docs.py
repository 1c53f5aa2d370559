"""The script that the documentation begins with runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

from splatworld.store import save_world
from tests.dynamics.scenes import at, blocks

TEXT = Path(__file__).parents[2] / "docs" / "planning.md"


def test_the_script_runs(tmp_path):
    script = re.search(r"```python\n(.*?)```", TEXT.read_text(), re.DOTALL).group(1)
    assert len(script.strip().splitlines()) <= 15
    save_world(blocks(at(0.25, 0.05, 0.025), tool=at(0.1, 0.0, 0.005)), tmp_path / "desk")
    ran = script.replace('"mouse"', '"block 0"')
    done = subprocess.run([sys.executable, "-c", ran], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "costs" in done.stdout
    assert "reached" in done.stdout or "nearer" in done.stdout
