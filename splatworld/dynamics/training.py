"""Training: single steps, then rollouts through the projection, then how sure the network may be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from splatworld import native
from splatworld.core.checks import FormatError, InputError
from splatworld.core.options import changed
from splatworld.dynamics.checkpoint import save_model
from splatworld.dynamics.islands import find_islands
from splatworld.dynamics.library import Batch, Library, draw, load_library
from splatworld.dynamics.losses import Noise, likelihood_loss, rollout_loss, single_loss, step_once
from splatworld.dynamics.model import DynamicsModel, ModelConfig
from splatworld.dynamics.step import Variation
from splatworld.episodes import SUBSTATES
from splatworld.unfinished import Checkpoint

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
        horizon: actions that rollouts grow to, from 2.
        rate, last_rate: learning rate at first and at the end of the first two stages, falling as a cosine.
        warmup: steps over which the rate rises.
        clip: largest norm of a gradient.
        average: share of the averaged weights kept at a step.
        check_every: steps between measurements on `validation`.
        seed: of weights and batches.
        threads: of everything; results are repeatable with 1.
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
    horizon: int = 10
    rate: float = 2e-3
    last_rate: float = 1e-5
    warmup: int = 100
    clip: float = 1.0
    average: float = 0.999
    check_every: int = 500
    seed: int = 0
    threads: int = 1
    noise: Noise = field(default_factory=Noise)
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        for name in ("batch", "rollout_batch", "check_every", "most", "threads"):
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


def training_config(path: str | Path) -> TrainingConfig:
    """Options from a YAML file that holds what differs from the defaults.

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
    return changed(file, TrainingConfig(), given)


class Training:
    """A network in the making."""

    def __init__(self, config: TrainingConfig, library: Library, validation: Library | None = None) -> None:
        """
        Args:
            config: how.
            library: what to train on.
            validation: what to measure on.
        """
        self.config, self.library = config, library
        self.step = 0
        self.losses: list[dict[str, Any]] = []
        torch.manual_seed(config.seed)
        self.model = DynamicsModel(config.model)
        self.averaged = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        self._moments = {name: torch.zeros(2, *value.shape) for name, value in self.averaged.items()}
        self._checks = [] if validation is None else [self._batch(validation, 7_000_000 + i, 1) for i in range(4)]

    def train_step(self) -> float:
        """One step; returns its loss."""
        config, stage = self.config, self.config.stage(self.step)
        parameters = dict(self.model.named_parameters())
        trained = [name for name in parameters if name.startswith("spread") == (stage == "spread")]
        loss = self._loss(self.model, self._batch(self.library, self.step, config.actions(self.step)), stage)
        if loss.requires_grad:
            gradients = torch.autograd.grad(loss, [parameters[name] for name in trained], allow_unused=True)
            self._update({name: g for name, g in zip(trained, gradients, strict=True) if g is not None})
        value = float(loss.detach())
        self.losses.append({"step": self.step, "stage": stage, "loss": value})
        self.step += 1
        if self._checks and (self.step % config.check_every == 0 or self.step == config.steps):
            self.losses[-1]["validation"] = self.check()
        return value

    def check(self) -> float:
        """Mean loss of the averaged network's single steps on `validation`."""
        model = self.result()
        with torch.no_grad():
            losses = [float(self._loss(model, pair, "single")) for pair in self._checks]
        return sum(losses) / len(losses)

    def result(self) -> DynamicsModel:
        """The network with averaged weights."""
        model = DynamicsModel(self.config.model)
        model.load_state_dict(self.averaged)
        return model.eval().requires_grad_(False)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """What `restore` takes."""
        curve = torch.frombuffer(bytearray(json.dumps(self.losses).encode()), dtype=torch.uint8)
        weights = {name: value.detach() for name, value in self.model.named_parameters()}
        progress = {"step": torch.tensor(self.step), "losses": curve}
        return {"weights": weights, "averaged": self.averaged, "moments": self._moments, "progress": progress}

    def restore(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Go on from a state of a training with the same options."""
        self.model.load_state_dict(state["weights"])
        self.averaged, self._moments = dict(state["averaged"]), dict(state["moments"])
        self.step = int(state["progress"]["step"])
        self.losses = json.loads(state["progress"]["losses"].numpy().tobytes())

    def _batch(self, library: Library, key: int, actions: int) -> tuple[Batch, torch.Generator]:
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + key)
        size = self.config.batch if actions == 1 else self.config.rollout_batch
        return draw(library, size, actions, generator), generator

    def _loss(self, model: DynamicsModel, drawn: tuple[Batch, torch.Generator], stage: str) -> Tensor:
        batch, generator = drawn[0], torch.Generator().manual_seed(drawn[1].initial_seed() + 1)
        config, count = self.config, len(batch.numbers)
        variation = Variation(
            torch.rand(count, generator=generator) < 0.5,
            torch.randint(config.model.members, (count,), generator=generator),
        )
        if stage == "rollout":
            actions = (batch.poses.shape[1] - 1) // SUBSTATES
            return rollout_loss(model, batch, actions, config.noise, variation, generator)
        ends = batch.poses[:, SUBSTATES]
        islands = find_islands(batch.scene, batch.poses[:, 0], batch.twists[:, 0], ends, 0.1, unsure=batch.scene.free)
        total, weight = torch.zeros(()), 0
        for pace, seconds in ((islands.awake & ~islands.fine, 0.1), (islands.fine, 0.02)):
            if not bool(pace.any()):
                continue
            said, before, truth = step_once(model, batch, pace, seconds, config.noise, variation, generator)
            if stage == "spread":
                loss = likelihood_loss(said, before, truth)
            else:
                loss = single_loss(said, batch.scene, before, truth, batch.numbers)
            total, weight = total + len(said.at[0]) * loss, weight + len(said.at[0])
        return total / max(weight, 1)

    def _update(self, gradients: dict[str, Tensor]) -> None:
        """Adam (Kingma and Ba, 2015) on clipped gradients; a gradient that is not finite is passed over."""
        norm = torch.stack([g.norm() for g in gradients.values()]).norm()
        if not bool(torch.isfinite(norm)):
            return
        shrink = min(1.0, self.config.clip / max(float(norm), 1e-12))
        config = self.config
        fresh = config.single + config.rollout if config.stage(self.step) == "spread" else 0
        rate, done = self._rate(), self.step - fresh + 1
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name not in gradients:
                    continue
                gradient = gradients[name] * shrink
                first, second = self._moments[name]
                first.lerp_(gradient, 0.1)
                second.lerp_(gradient.square(), 0.001)
                size = (second / (1 - 0.999**done)).sqrt() + 1e-8
                parameter.sub_(rate * (first / (1 - 0.9**done)) / size)
                # Early on the average follows closely.
                keep = min(self.config.average, done / (done + 10))
                self.averaged[name].lerp_(parameter, 1 - keep)

    def _rate(self) -> float:
        config = self.config
        main = max(config.single + config.rollout, 1)
        along = self.step / main if self.step < main else (self.step - main) / max(config.spread, 1)
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * min(along, 1.0))).item())
        rise = min(1.0, (self.step + 1) / max(config.warmup, 1))
        return rise * (config.last_rate + (config.rate - config.last_rate) * cosine)


def train(
    config: TrainingConfig,
    path: str | Path,
    *,
    commit: str | None = None,
    progress: Callable[[str, int, int], object] = lambda stage, done, total: None,
    say: Callable[[str], object] = print,
) -> Training:
    """Train a network and write it to `path`; an unfinished training lies beside it and is resumed.

    Args:
        config: how.
        path: of the checkpoint; `.json` beside it gets the loss curves.
        commit: of the source, for the checkpoint's notes.
        progress: told the stage, steps done and steps in all.
        say: told in one sentence when a training is resumed or cannot be saved.

    Raises:
        InputError: episodes are missing, or `path` cannot be written.
    """
    target = Path(path)
    torch.set_num_threads(config.threads)
    native.set_threads(config.threads)
    library = load_library(config.episodes, most=config.most, progress=lambda a, b: progress("shapes", a, b))
    folders = [folder for folder in config.validation if folder]
    training = Training(config, library, load_library(folders, most=config.most) if folders else None)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**asdict(config), "windows": len(library.windows)}, sort_keys=True)
    saved = Checkpoint(_beside(target, ".unfinished"), hashlib.sha256(text.encode()).hexdigest(), say=say)
    before = saved.load()
    if before is not None:
        training.restore(before)
    for step in _remaining(training):
        training.train_step()
        progress(config.stage(step), step + 1, config.steps)
        if saved.due():
            saved.save(training.state())
    notes = {"training": asdict(config), "commit": commit, "metrics": summary(training)}
    save_model(training.result(), target, notes=notes)
    _beside(target, ".json").write_text(json.dumps({**notes, "losses": training.losses}, indent=1) + "\n")
    _beside(target, ".unfinished").unlink(missing_ok=True)
    return training


def summary(training: Training) -> dict[str, float]:
    """Mean loss over the last tenth of each stage, and the last validation."""
    found: dict[str, float] = {}
    for stage in STAGES:
        losses = [row["loss"] for row in training.losses if row["stage"] == stage]
        if losses:
            last = losses[-max(1, len(losses) // 10) :]
            found[stage] = sum(last) / len(last)
    checks = [row["validation"] for row in training.losses if "validation" in row]
    return found | ({"validation": checks[-1]} if checks else {})


def _remaining(training: Training) -> Iterator[int]:
    while training.step < training.config.steps:
        yield training.step


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
