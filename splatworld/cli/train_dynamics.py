"""`splatworld train-dynamics CONFIG -o CHECKPOINT`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, table


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Train the network that moves bodies, on episodes of `splatworld simulate`.

    Run again with the same options, it goes on where it was stopped.
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG")]
    """YAML file with what differs from the defaults, such as configs/dynamics/small.yaml."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="CHECKPOINT")]
    """File to write; the loss curves go beside it."""
    checkpoint: Path | None = None
    """A trained network to go on from; random weights if left out."""
    freeze_world: bool = False
    """Fit a trained network (the packaged one if --checkpoint is left out) to the tools of few episodes: only what
    contacts with tools alone read is trained, all else stays bit for bit."""


def run(options: Options, terminal: Terminal) -> None:
    from splatworld.core.checks import InputError
    from splatworld.dynamics.checkpoint import load_model
    from splatworld.dynamics.config import TrainingConfig, training_config
    from splatworld.dynamics.curves import save_curves
    from splatworld.dynamics.node_training import NodeTraining, train_nodes
    from splatworld.dynamics.training import Training, summary, train
    from splatworld.evaluate.report import commit_hash
    from splatworld.files import check_writable

    config = training_config(options.config)
    check_writable(options.output.resolve())
    begin = time.monotonic()
    notes: dict[str, Any] = {"commit": commit_hash(), "progress": terminal.progress, "say": terminal.say}
    training: Training | NodeTraining
    if isinstance(config, TrainingConfig):
        goes_on = options.freeze_world or options.checkpoint is not None
        begin_with = load_model(options.checkpoint) if goes_on else None
        training = train(config, options.output, begin=begin_with, freeze_world=options.freeze_world, **notes)
    else:
        if options.freeze_world or options.checkpoint is not None:
            raise InputError(
                "train-dynamics: --freeze-world and --checkpoint are for rigid bodies; nodes have 'adds_to' in CONFIG."
            )
        training = train_nodes(config, options.output, **notes)
    picture = save_curves(training.losses, options.output)
    found = summary(training.losses)
    data = {"checkpoint": str(options.output), "steps": training.step, "metrics": found}
    data |= {"seconds": round(time.monotonic() - begin, 2), "curves": str(picture)}
    shown = {"checkpoint": options.output, "steps": training.step, "curves": picture}
    terminal.result(data, table(shown | {f"loss, {name}": f"{value:.4g}" for name, value in found.items()}))
