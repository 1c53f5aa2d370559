"""Options of a training, and the file that holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from splatworld.core.checks import FormatError, InputError
from splatworld.core.options import changed
from splatworld.dynamics.edges import NodeModelConfig
from splatworld.dynamics.losses import Noise
from splatworld.dynamics.model import ModelConfig

DEFORMABLE = "deformable"
STAGES = ("single", "rollout", "spread")


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        episodes: folders that `splatworld simulate` wrote.
        validation: folders on which the loss is measured; empty: none.
        most: episodes read of each folder, about.
        single, rollout, spread: steps of the three stages.
        batch, rollout_batch: scenes a step.
        pool, reuse: batches of single steps that are kept, and how often each is used.
        horizon: actions that rollouts grow to, from 2.
        rate, last_rate: learning rate at first and at the end of each stage, falling as a cosine.
        warmup: steps over which the rate rises, in each stage.
        clip: largest norm of a gradient.
        average: share of the averaged weights kept at a step.
        check_every: steps between measurements on `validation`.
        seed: of weights and batches.
        threads: of everything; results are repeatable with 1.
        device: of the network, as torch names it; everything else is computed on the CPU.
        noise: added to inputs.
        model: the network's size.
    """

    episodes: tuple[str, ...] = ("episodes/push",)
    validation: tuple[str, ...] = ("",)
    most: int = 100_000
    single: int = 20_000
    rollout: int = 4_000
    spread: int = 2_000
    batch: int = 128
    rollout_batch: int = 32
    pool: int = 64
    reuse: int = 8
    horizon: int = 10
    rate: float = 2e-3
    last_rate: float = 1e-5
    warmup: int = 100
    clip: float = 1.0
    average: float = 0.999
    check_every: int = 500
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    noise: Noise = field(default_factory=Noise)
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        for name in ("batch", "rollout_batch", "pool", "reuse", "check_every", "most", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"TrainingConfig: {name} is {getattr(self, name)}, expected at least 1.")
        if self.horizon < 2 or self.steps < 1 or min(self.single, self.rollout, self.spread) < 0:
            raise InputError("TrainingConfig: expected a horizon of 2 or more and at least one step in all stages.")
        if not 0 <= self.average < 1:
            raise InputError(f"TrainingConfig: average is {self.average}, expected 0 or more and below 1.")

    @property
    def steps(self) -> int:
        return self.single + self.rollout + self.spread

    def stage(self, step: int) -> str:
        """Which of `STAGES` a step belongs to."""
        return STAGES[(step >= self.single) + (step >= self.single + self.rollout)]

    def actions(self, step: int) -> int:
        """How long the rollouts of a step are: 2 to `horizon`, in equal parts of the stage."""
        if self.stage(step) != "rollout":
            return 1
        return 2 + (self.horizon - 1) * (step - self.single) // self.rollout


@dataclass(frozen=True)
class NodeTrainingConfig:
    """How to train the network of deformable bodies.

    Attributes:
        network: "deformable".
        adds_to: the checkpoint that it is added to; empty: the one that comes with the package.
        episodes: folders of episodes of deformable bodies.
        validation: folders on which the loss is measured; empty: none.
        most: episodes read of each folder, about.
        steps: of means.
        spread: further steps, of log-variances.
        batch: states a step.
        pool, reuse: batches that are kept, and how often each is used.
        ahead: actions that the network itself predicts, at most, before the one that is learned from.
        rate, last_rate: learning rate at first and at the end, falling as a cosine.
        clip: largest norm of a gradient.
        average: share of the averaged weights kept at a step.
        noise: m of nodes and, ten times that, m/s; smooth over the body.
        check_every: steps between measurements on `validation`.
        seed: of weights and batches.
        threads: of everything; results are repeatable with 1.
        model: the network's size.
    """

    network: str = DEFORMABLE
    adds_to: str = ""
    episodes: tuple[str, ...] = ("episodes/rope",)
    validation: tuple[str, ...] = ("",)
    most: int = 100_000
    steps: int = 4000
    spread: int = 400
    batch: int = 24
    pool: int = 96
    reuse: int = 4
    ahead: int = 2
    rate: float = 2e-3
    last_rate: float = 1e-5
    clip: float = 1.0
    average: float = 0.995
    noise: float = 0.0003
    check_every: int = 500
    seed: int = 0
    threads: int = 1
    model: NodeModelConfig = field(default_factory=NodeModelConfig)

    def __post_init__(self) -> None:
        for name in ("most", "steps", "batch", "pool", "reuse", "check_every", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"NodeTrainingConfig: {name} is {getattr(self, name)}, expected at least 1.")
        if min(self.spread, self.ahead) < 0 or not 0 <= self.average < 1:
            raise InputError("NodeTrainingConfig: expected spread and ahead of 0 or more, an average below 1.")


def training_config(path: str | Path) -> TrainingConfig | NodeTrainingConfig:
    """Options from a YAML file that holds what differs from the defaults; `network: deformable` chooses the other ones.

    Raises:
        InputError: no such file or option, or a value that makes no sense.
        FormatError: the file is not YAML.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{path}: no such file; give a YAML file of training options.")
    try:
        given = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FormatError(f"{file}: not YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(given, dict):
        raise InputError(f"{file}: expected options and their values, such as 'episodes: [episodes/push]'.")
    plain = TrainingConfig() if given.get("network") != DEFORMABLE else NodeTrainingConfig()
    return changed(file, plain, given)
