"""`splatworld simulate SCENE -o EPISODES`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, table


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Simulate episodes with exact truth in MuJoCo, to train and to measure dynamics.

    Run again with the same options, it makes what is missing: a generation may be stopped at any time.
    """

    scene: Annotated[Positional[str], arg(metavar="SCENE")]
    """Family of scenes (push, fall, slide, collide, topple, stack; rope, cloth, soft), a YAML or JSON file with a
    family and what differs from it, or a world's folder or MJCF file, whose bodies a tool then pushes."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="EPISODES")]
    """Folder to write the episodes to."""
    count: int = 100
    """Episodes."""
    seed: int = 0
    """Seed of every random choice."""
    split: Literal["train", "valid", "test_known", "test_heldout", "test_outside"] = "train"
    """Which shapes, tools and ranges to draw from."""
    workers: int = 1
    """Processes; the episodes do not depend on it."""


def run(options: Options, terminal: Terminal) -> None:
    from splatworld.core.checks import InputError
    from splatworld.evaluate.report import commit_hash

    try:
        from splatworld.simulate.episodes.configs import family_config
        from splatworld.simulate.episodes.generate import generate
    except ModuleNotFoundError as error:
        raise InputError(f"simulate: {error}; install the simulator: pip install 'splatworld[sim]'.") from error
    config = family_config(options.scene)
    begin = time.monotonic()
    document = generate(
        config,
        options.output,
        split=options.split,
        count=options.count,
        seed=options.seed,
        workers=options.workers,
        commit=commit_hash(),
        progress=lambda done, total: terminal.progress("simulating", done, total),
    )
    found = document["figures"]
    data = {"episodes": str(options.output), "family": config.family, "split": options.split, "seed": options.seed}
    data |= {"seconds": round(time.monotonic() - begin, 2), "figures": found}
    dropped = ", ".join(f"{count} {reason}" for reason, count in found["dropped"].items())
    shown = {
        "episodes": f"{found['episodes']} of {options.scene}, {options.split}",
        "folder": options.output,
        "drawn anew": dropped or None,
        "something moved": f"{found['moved']:.0%}",
        "penetration": f"99 % below {found['penetration_p99_mm']:.2f} mm",
    }
    terminal.result(data, table(shown))
