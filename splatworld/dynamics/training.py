"""Training: single steps, then rollouts through the projection, then how sure the network may be."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.checks import InputError
from splatworld.dynamics.calibration import calibrate
from splatworld.dynamics.checkpoint import save_model
from splatworld.dynamics.config import STAGES, TrainingConfig
from splatworld.dynamics.echo import EchoPool
from splatworld.dynamics.features import PARTNER_KIND
from splatworld.dynamics.library import Batch, Library, draw, load_library
from splatworld.dynamics.losses import Sight, likelihood_loss, rollout_loss, see, single_loss
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.scene import Kind
from splatworld.dynamics.step import Variation, foresee
from splatworld.episodes import read_document
from splatworld.unfinished import Checkpoint

CHECKS = 4
"""Batches of validation."""
ROLLOUT_RATE = 0.1
"""Share of the learning rate that rollouts begin with."""


class Training:
    """A network in the making."""

    def __init__(
        self,
        config: TrainingConfig,
        library: Library,
        validation: Library | None = None,
        *,
        begin: DynamicsModel | None = None,
        freeze_world: bool = False,
    ) -> None:
        """
        Args:
            config: how.
            library: what to train on.
            validation: what to measure on.
            begin: a trained network to go on from; its size and its deformable bodies stay. None: random weights.
            freeze_world: of `begin` nothing is trained but what contacts with tools alone read: the weights of their
                kind in the first layer. All else stays bit for bit, and so does what is predicted of bodies that no
                tool touches.
        """
        if begin is not None:
            config = replace(config, model=begin.config)
        self.config, self.library = config, library
        self._freeze_world, self._nodes = freeze_world, None if begin is None else begin.nodes
        self.step = 0
        self.losses: list[dict[str, Any]] = []
        torch.manual_seed(config.seed)
        self.model = DynamicsModel(config.model).to(config.device)
        if begin is not None:
            self.model.load_state_dict({k: v for k, v in begin.state_dict().items() if not k.startswith("nodes.")})
        self.averaged = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        self._moments: dict[str, Tensor] = {}
        self._pool = EchoPool(
            lambda key, _: self._seen(library, key), size=config.pool, reuse=config.reuse, seed=config.seed
        )
        self._checks = [] if validation is None else [self._seen(validation, 7_000_000 + i) for i in range(CHECKS)]

    def train_step(self) -> float:
        """One step; returns its loss."""
        config, stage = self.config, self.config.stage(self.step)
        if self._since() == 0:
            # Rollouts have far larger gradients than single steps at their end: by the old scale each would be a leap.
            self._moments = {name: torch.stack([value] * 2).zero_() for name, value in self.averaged.items()}
        parameters = dict(self.model.named_parameters())
        trained = [name for name in parameters if name.startswith("spread") == (stage == "spread")]
        if stage == "rollout":
            loss = self._rollout(self.step)
        else:
            loss = self._loss(self.model, self._pool.at(self.step), stage, self.step)
        if loss.requires_grad:
            gradients = torch.autograd.grad(loss, [parameters[name] for name in trained], allow_unused=True)
            found = {name: g for name, g in zip(trained, gradients, strict=True) if g is not None}
            self._update(_of_tools(found) if self._freeze_world else found)
        value = float(loss.detach())
        self.losses.append({"step": self.step, "stage": stage, "loss": value})
        self.step += 1
        if self._checks and (self.step % config.check_every == 0 or self.step == config.steps):
            self.losses[-1]["validation"] = self.check()
        return value

    def check(self) -> float:
        """Mean loss of the averaged network's single steps on `validation`."""
        model = self.result().to(self.config.device)
        with torch.no_grad():
            losses = [float(self._loss(model, sights, "single", i)) for i, sights in enumerate(self._checks)]
        return sum(losses) / len(losses)

    def result(self) -> DynamicsModel:
        """The network with averaged weights, on the CPU."""
        model = DynamicsModel(self.config.model)
        model.load_state_dict(self.averaged)
        model.nodes = self._nodes
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
        device = self.config.device
        self.averaged = {name: value.to(device) for name, value in state["averaged"].items()}
        self._moments = {name: value.to(device) for name, value in state["moments"].items()}
        self.step = int(state["progress"]["step"])
        self.losses = json.loads(state["progress"]["losses"].numpy().tobytes())

    def _seen(self, library: Library, key: int) -> list[Sight]:
        batch, generator = self._batch(library, key, 1)
        return see(batch, self.config.noise, generator)

    def _batch(self, library: Library, key: int, actions: int) -> tuple[Batch, torch.Generator]:
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + key)
        size = self.config.batch if actions == 1 else self.config.rollout_batch
        return draw(library, size, actions, generator), generator

    def _variation(self, count: int, key: int) -> tuple[Variation, torch.Generator]:
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + key + 500_000_000)
        mirror = torch.rand(count, generator=generator) < 0.5
        return Variation(mirror, torch.randint(self.config.model.members, (count,), generator=generator)), generator

    def _loss(self, model: DynamicsModel, sights: list[Sight], stage: str, key: int) -> Tensor:
        """Mean over bodies of a batch's first action."""
        total, weight = torch.zeros(()), 0
        for sight in sights:
            said = foresee(model, sight.look, variation=self._variation(len(sight.numbers), key)[0])
            loss = likelihood_loss(said, sight) if stage == "spread" else single_loss(said, sight)
            total, weight = total + len(said.at[0]) * loss, weight + len(said.at[0])
        return total / max(weight, 1)

    def _rollout(self, key: int) -> Tensor:
        config = self.config
        batch = self._batch(self.library, key, config.actions(key))[0]
        variation, generator = self._variation(len(batch.numbers), key)
        return rollout_loss(self.model, batch, config.noise, variation, generator)

    def _update(self, gradients: dict[str, Tensor]) -> None:
        """Adam (Kingma and Ba, 2015) on clipped gradients; a gradient that is not finite is passed over."""
        norm = torch.stack([g.norm() for g in gradients.values()]).norm()
        if not bool(torch.isfinite(norm)):
            return
        shrink = min(1.0, self.config.clip / max(float(norm), 1e-12))
        rate, since = self._rate(), self._since() + 1
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name not in gradients:
                    continue
                gradient = gradients[name] * shrink
                first, second = self._moments[name]
                first.lerp_(gradient, 0.1)
                second.lerp_(gradient.square(), 0.001)
                size = (second / (1 - 0.999**since)).sqrt() + 1e-8
                parameter.sub_(rate * (first / (1 - 0.9**since)) / size)
                # Early in a stage the average follows closely.
                keep = min(self.config.average, (since - 1) / (since + 10))
                self.averaged[name].lerp_(parameter, 1 - keep)

    def _since(self) -> int:
        """Steps of the present stage that are done."""
        config = self.config
        return (
            self.step
            - {"single": 0, "rollout": config.single, "spread": config.single + config.rollout}[config.stage(self.step)]
        )

    def _rate(self) -> float:
        """Falls as a cosine in every stage; rollouts begin with a share of it."""
        config, stage = self.config, self.config.stage(self.step)
        first = config.rate * (ROLLOUT_RATE if stage == "rollout" else 1)
        cosine = 0.5 * (1 + math.cos(math.pi * self._since() / getattr(config, stage)))
        rise = min(1.0, (self._since() + 1) / max(config.warmup, 1))
        return rise * (config.last_rate + (first - config.last_rate) * cosine)


def _of_tools(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of gradients those of what contacts with tools alone read; 0 for the rest of the first layer."""
    name, row = "reader.0.weight", PARTNER_KIND + int(Kind.TOOL)
    kept = torch.zeros_like(gradients[name])
    kept[:, row] = gradients[name][:, row]
    return {name: kept}


def train(
    config: TrainingConfig,
    path: str | Path,
    *,
    begin: DynamicsModel | None = None,
    freeze_world: bool = False,
    commit: str | None = None,
    progress: Callable[[str, int, int], object] = lambda stage, done, total: None,
    say: Callable[[str], object] = print,
) -> Training:
    """Train a network and write it to `path`; an unfinished training lies beside it and is resumed.

    Args:
        config: how.
        path: of the checkpoint; `.json` beside it gets the loss curves.
        begin: a trained network to go on from, as of `Training`.
        freeze_world: fit only the tools of few episodes to it, as of `Training`; its intervals stay.
        commit: of the source, for the checkpoint's notes.
        progress: told the stage, steps done and steps in all.
        say: told in one sentence when a training is resumed or cannot be saved.

    Raises:
        InputError: episodes are missing, `path` cannot be written, or torch has no such device.
    """
    target = Path(path)
    try:
        torch.empty(0, device=config.device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"train-dynamics: no device '{config.device}' ({reason}); 'device: cpu' works anywhere."
        ) from error
    torch.set_num_threads(config.threads)
    native.set_threads(config.threads)
    library = load_library(config.episodes, most=config.most, progress=lambda a, b: progress("shapes", a, b))
    folders = [folder for folder in config.validation if folder]
    validation = load_library(folders, most=config.most) if folders else None
    if freeze_world and config.rollout + config.spread:
        raise InputError("train-dynamics: a frozen world takes single steps alone; set rollout: 0 and spread: 0.")
    training = Training(config, library, validation, begin=begin, freeze_world=freeze_world)
    config = training.config
    target.parent.mkdir(parents=True, exist_ok=True)
    told = {**asdict(config), "windows": len(library.windows)}
    if begin is not None:
        told["begin"] = [freeze_world, *(float(value.double().sum()) for value in begin.state_dict().values())]
    text = json.dumps(told, sort_keys=True)
    saved = Checkpoint(_beside(target, ".unfinished"), hashlib.sha256(text.encode()).hexdigest(), say=say)
    before = saved.load()
    if before is not None:
        training.restore(before)
    for step in _remaining(training):
        training.train_step()
        progress(config.stage(step), step + 1, config.steps)
        if saved.due():
            saved.save(training.state())
    model, metrics = training.result(), summary(training.losses)
    if validation is not None and not freeze_world:
        metrics |= calibrate(model, validation, seed=config.seed)
    data = [{k: read_document(each)[1].get(k) for k in ("split", "seed", "count", "commit")} | {"folder": str(each)}
            for each in config.episodes]  # fmt: skip
    notes = {"training": asdict(config), "data": data, "commit": commit, "metrics": metrics}
    save_model(model, target, notes=notes)
    _beside(target, ".json").write_text(json.dumps({**notes, "losses": training.losses}, indent=1) + "\n")
    _beside(target, ".unfinished").unlink(missing_ok=True)
    return training


def summary(history: list[dict[str, Any]]) -> dict[str, float]:
    """Mean loss over the last tenth of each stage, and the last validation."""
    found: dict[str, float] = {}
    for stage in STAGES:
        losses = [row["loss"] for row in history if row["stage"] == stage]
        if losses:
            last = losses[-max(1, len(losses) // 10) :]
            found[stage] = sum(last) / len(last)
    checks = [row["validation"] for row in history if "validation" in row]
    return found | ({"validation": checks[-1]} if checks else {})


def _remaining(training: Training) -> Iterator[int]:
    while training.step < training.config.steps:
        yield training.step


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
