"""Training of the network of deformable bodies, which is added to a checkpoint: what that says of rigid ones stays."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from splatworld import native
from splatworld.core import pose
from splatworld.core.robot import ACTION_SECONDS
from splatworld.dynamics.checkpoint import PACKAGED, load_model, read_notes, save_model
from splatworld.dynamics.config import NodeTrainingConfig
from splatworld.dynamics.deformable import Nodes, act_nodes
from splatworld.dynamics.echo import EchoPool
from splatworld.dynamics.edges import NodeModel, Sighted, sight
from splatworld.dynamics.nets import Net
from splatworld.dynamics.node_calibration import calibrate_nodes
from splatworld.dynamics.node_library import NodeBatch, NodeLibrary, draw_nodes, load_node_library
from splatworld.dynamics.swing import swing
from splatworld.episodes import read_document
from splatworld.unfinished import Checkpoint

POINT = 0.001
"""m off that are one unit of loss."""
VELOCITY_SHARE = 0.3
DRAWN_TO = 15.0
"""Units of loss beyond which a node no longer counts: it has gone another way."""
CHECKS = 6
"""Batches of validation."""


@dataclass(frozen=True)
class Seen:
    """A batch as it is learned from: what the network reads of N nodes, and what it should add.

    Attributes:
        sighted: what is read.
        way, velocity: [N, 3] m and m/s that are missing.
        counts: [N] bool.
    """

    sighted: Sighted
    way: Tensor
    velocity: Tensor
    counts: Tensor


class NodeTraining:
    """A network of deformable bodies in the making."""

    def __init__(self, config: NodeTrainingConfig, library: NodeLibrary, validation: NodeLibrary | None = None) -> None:
        self.config, self.library = config, library
        self.step = 0
        self.losses: list[dict[str, Any]] = []
        torch.manual_seed(config.seed)
        self.model = NodeModel(config.model)
        self.averaged = copy.deepcopy(self.model).requires_grad_(False)
        self._optimiser = torch.optim.Adam(self.model.parameters(), lr=config.rate)
        self._pool = EchoPool(self._seen, size=config.pool, reuse=config.reuse, seed=config.seed)
        self._checks = [] if validation is None else [
            see_nodes(None, draw_nodes(validation, 2 * config.batch, 1, torch.Generator().manual_seed(i)), 0, 0.0, i)
            for i in range(CHECKS)
        ]  # fmt: skip

    @property
    def total(self) -> int:
        return self.config.steps + self.config.spread

    def train_step(self) -> float:
        """One step; returns its loss."""
        config, spreads = self.config, self.step >= self.config.steps
        seen = self._pool.at(self.step)
        if spreads and self.step == config.steps:
            self.model.load_state_dict(self.averaged.state_dict())
        loss = node_loss(self.model, seen, spreads=spreads)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate()
        self._optimiser.zero_grad()
        loss.backward()
        for name, parameter in self.model.named_parameters():
            if name.startswith("spread") != spreads:
                parameter.grad = None
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        if bool(torch.isfinite(norm)):
            self._optimiser.step()
            keep = min(config.average, self.step / (self.step + 10))
            with torch.no_grad():
                for mean, weight in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
                    mean.lerp_(weight, 1 - keep)
        value = float(loss.detach())
        self.losses.append({"step": self.step, "stage": "spread" if spreads else "single", "loss": value})
        self.step += 1
        if self._checks and (self.step % config.check_every == 0 or self.step == self.total):
            self.losses[-1]["validation"] = self.check()
        return value

    def check(self) -> float:
        """Mean loss of the averaged network on `validation`."""
        with torch.no_grad():
            return sum(float(node_loss(self.averaged, seen)) for seen in self._checks) / len(self._checks)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """What `restore` takes."""
        curve = torch.frombuffer(bytearray(json.dumps(self.losses).encode()), dtype=torch.uint8)
        moments = {
            f"{k}.{name}": value
            for k, row in self._optimiser.state_dict()["state"].items()
            for name, value in row.items()
        }
        progress = {"step": torch.tensor(self.step), "losses": curve}
        weights = {name: value.detach() for name, value in self.model.state_dict().items()}
        return {"weights": weights, "averaged": self.averaged.state_dict(), "moments": moments, "progress": progress}

    def restore(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Go on from a state of a training with the same options."""
        self.model.load_state_dict(state["weights"])
        self.averaged.load_state_dict(state["averaged"])
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in state["moments"].items():
            index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
        self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": moments})
        self.step = int(state["progress"]["step"])
        self.losses = json.loads(state["progress"]["losses"].numpy().tobytes())

    def _seen(self, key: int, block: int) -> Seen:
        """A batch; from its own predictions only when it has learned something."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + key)
        ahead = int(torch.randint(config.ahead + 1, (), generator=generator)) if block else 0
        batch = draw_nodes(self.library, config.batch, ahead + 1, generator)
        return see_nodes(self.averaged, batch, ahead, config.noise, key)

    def _rate(self) -> float:
        config = self.config
        spreads = self.step >= config.steps
        done = (self.step - config.steps) / config.spread if spreads else self.step / config.steps
        rise = min(1.0, (self.step + 1) / 100)
        return rise * (config.last_rate + 0.5 * (1 + math.cos(math.pi * done)) * (config.rate - config.last_rate))


@torch.no_grad()
def see_nodes(model: NodeModel | None, batch: NodeBatch, ahead: int, noise: float, key: int) -> Seen:
    """What is to be learned from the last action of a batch.

    Args:
        model: predicts the actions before it.
        batch: of `ahead` + 1 actions.
        ahead: actions that are predicted first: rollouts make errors of their own.
        noise: m, of nodes and a tenth of a second's worth of velocities, half of the states go without.
        key: decides the noise.
    """
    net, generator = batch.net, torch.Generator().manual_seed(key)
    rest = pose.identity(len(net.radius), dtype=torch.float64)[:, 3:]
    drawn = noise * torch.randn(2, len(rest), 3, generator=generator).double()
    drawn[..., 2] *= 0.3
    drawn = _smoothed(net, drawn) * (torch.rand(len(net), generator=generator) < 0.5)[net.state, None]
    still = torch.zeros_like(batch.velocities[0])
    now = Nodes(
        torch.cat([batch.points[0] + drawn[0], rest], dim=-1),
        torch.cat([batch.velocities[0] + drawn[1] / ACTION_SECONDS, still], dim=-1),
        torch.zeros(len(rest), dtype=torch.float64),
    )
    for t in range(ahead):
        now = act_nodes(model, batch.scene, net, now, batch.poses[t], batch.poses[t + 1])[0]
    points, velocities = now.poses[:, :3], now.velocities[:, :3]
    wanted = torch.ones(len(net), dtype=torch.bool)
    swung = swing(batch.scene, net, points, velocities, batch.poses[-2], batch.poses[-1], wanted, ACTION_SECONDS)
    way, velocity = batch.points[-1] - swung.points, batch.velocities[-1] - swung.velocities
    counts = (way.abs().amax(-1) < DRAWN_TO * POINT) & (swung.holder < 0)
    return Seen(sight(net, points, velocities, swung, batch.scene.gravity), way.float(), velocity.float(), counts)


def node_loss(model: NodeModel, seen: Seen, *, spreads: bool = False) -> Tensor:
    """Huber's of where nodes get and of their velocities; with `spreads` the likelihood of how sure the network is."""
    down = torch.tensor([0.0, 0.0, -1.0])
    said = model(seen.sighted, down)
    way, counts = said.way - seen.way, seen.counts
    if spreads:
        squares = way.detach().square().mean(-1)
        each = 0.5 * (squares / said.log_variance.exp() + said.log_variance)
        return each[counts].mean()
    place = huber_loss(way[counts] / POINT, torch.zeros_like(way[counts]))
    speed = (said.velocity - seen.velocity)[counts] * ACTION_SECONDS / POINT
    return place + VELOCITY_SHARE * huber_loss(speed, torch.zeros_like(speed))


def train_nodes(
    config: NodeTrainingConfig,
    path: str | Path,
    *,
    commit: str | None = None,
    progress: Callable[[str, int, int], object] = lambda stage, done, total: None,
    say: Callable[[str], object] = print,
) -> NodeTraining:
    """Train a network of deformable bodies and write it to `path` with the rigid one of `config.adds_to`.

    An unfinished training lies beside it and is resumed; arguments and errors as of `train`.
    """
    target, source = Path(path), config.adds_to or None
    base = load_model(source)
    torch.set_num_threads(config.threads)
    native.set_threads(config.threads)
    library = load_node_library(config.episodes, most=config.most, progress=lambda a, b: progress("shapes", a, b))
    folders = [folder for folder in config.validation if folder]
    validation = load_node_library(folders, most=config.most) if folders else None
    training = NodeTraining(config, library, validation)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**asdict(config), "windows": len(library.windows)}, sort_keys=True)
    unfinished = target.with_name(target.name + ".unfinished")
    saved = Checkpoint(unfinished, hashlib.sha256(text.encode()).hexdigest(), say=say)
    before = saved.load()
    if before is not None:
        training.restore(before)
    while training.step < training.total:
        training.train_step()
        progress("deformable", training.step, training.total)
        if saved.due():
            saved.save(training.state())
    notes = read_notes(source or PACKAGED)
    data = [{k: read_document(each)[1].get(k) for k in ("split", "seed", "count", "commit")} | {"folder": str(each)}
            for each in config.episodes]  # fmt: skip
    checks = [row["validation"] for row in training.losses if "validation" in row]
    mine: dict[str, Any] = {"training": asdict(config), "data": data, "commit": commit, "validation": checks[-1:]}
    base.nodes = training.averaged.eval()
    if validation is not None:
        mine |= calibrate_nodes(base.nodes, validation, seed=config.seed)
    save_model(base, target, notes={**notes, "nodes": mine})
    curves = {**mine, "losses": training.losses}
    target.with_name(target.name + ".nodes.json").write_text(json.dumps(curves, indent=1) + "\n")
    unfinished.unlink(missing_ok=True)
    return training


def _smoothed(net: Net, values: Tensor) -> Tensor:
    """Values [2, N, 3] averaged over neighbours: noise of single nodes would stretch edges."""
    start, neighbours = net.neighbours
    owner = torch.repeat_interleave(torch.arange(len(start) - 1), start.diff())
    total = torch.zeros_like(values).index_add(1, owner, values[:, neighbours.long()])
    return total / start.diff().clamp(min=1).sqrt()[:, None]
