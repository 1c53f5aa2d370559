"""A closed mesh cut by CoACD, from standard input to standard output.

A program of its own, run by `convex_parts`: on some meshes CoACD crashes, and with more than one thread its parts
depend on which is done first.
"""

from __future__ import annotations

import io
import json
import sys

import coacd
import numpy as np


def main() -> None:
    """Read vertices and faces, write the vertices of each part; options of `run_coacd` are the argument, in JSON."""
    coacd.set_log_level("off")
    given = np.load(io.BytesIO(sys.stdin.buffer.read()))
    parts = coacd.run_coacd(coacd.Mesh(given["vertices"], given["faces"]), **json.loads(sys.argv[1]))
    found = io.BytesIO()
    np.savez(found, *(vertices for vertices, _ in parts))
    sys.stdout.buffer.write(found.getvalue())


if __name__ == "__main__":
    main()
