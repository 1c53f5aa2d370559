"""The oracle of the learned dynamics: seeded scenes of rigid bodies and a tool in MuJoCo, recorded with exact truth."""

import os
import sys

if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # chosen when mujoco is imported; EGL needs no display
