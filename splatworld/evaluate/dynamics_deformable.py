"""Rows of the suite `dynamics` about ropes, cloths and soft bodies: nodes, lengths, and what their splats look like."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.node_calibration import INTERVAL, roll_nodes
from splatworld.dynamics.node_library import NodeBatch, NodeLibrary, load_node_library, node_stretches
from splatworld.dynamics.predict import predict
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.resume import FOLDER
from splatworld.files import write_file
from splatworld.node_episodes import NodeEpisodes
from splatworld.render.render import render
from splatworld.simulate.episodes.colors import FIXED_COLOR, TABLE_COLOR, TOOL_COLOR, body_color
from splatworld.simulate.episodes.deformable.families import DEFORMABLE, DeformableConfig
from splatworld.simulate.episodes.deformable.pictures import Photographer
from splatworld.simulate.episodes.deformable.redraw import rerun, scene_at, with_knowledge
from splatworld.simulate.episodes.deformable.world import to_world
from splatworld.simulate.episodes.generate import generate

SEED = 20261
"""Apart from those of training."""
SECOND = 10
"""Actions."""
MOVED = 0.01
"""m that a node must truly get from its place to be counted."""
MILLIMETRES = (8.0, 20.0)
"""Targets after 1 s and 3 s."""
STRETCH = 99.9
"""Percentile of edges whose stretch is told."""
PICTURES = FOLDER / "dynamics-deformed.png"
SIZE = (480, 360)
CONSTANT = 0.28209479177387814
"""Of the spherical harmonics of degree 0."""


@dataclass(frozen=True)
class NodeSet:
    """Episodes of one family to predict.

    Attributes:
        label: what they are.
        folder: where they are stored.
        config: what they were drawn from.
        library: with one folder of episodes.
    """

    label: str
    folder: Path
    config: DeformableConfig
    library: NodeLibrary

    @property
    def episodes(self) -> NodeEpisodes:
        return self.library.episodes[0]

    def batch(self, start: int, actions: int) -> NodeBatch:
        """All episodes from one of their actions on."""
        rows = [(0, number, start) for number in range(len(self.episodes))]
        return node_stretches(self.library, torch.tensor(rows), actions)


def load_node_set(kind: str, split: str, count: int, say: Callable[..., object]) -> NodeSet:
    """A test set; generated once, then kept in `out/eval`."""
    folder = FOLDER / "episodes" / f"{kind}-{split}-{count}"
    say(f"episodes: {count} of {kind}, {split}")
    generate(DEFORMABLE[kind], folder, split=split, count=count, seed=SEED, shard=16)
    name = {"soft": "soft body"}.get(kind, kind)
    label = f"{name}, held-out shapes and tools" if split == "test_heldout" else name
    return NodeSet(label, folder, DEFORMABLE[kind], load_node_library([folder]))


def mujoco_nodes(node_set: NodeSet, knowledge: str, start: int, actions: int) -> Tensor:
    """[N, 3] m, where MuJoCo takes the nodes under the same commands, knowing what `redraw.KNOWLEDGE` says."""
    episodes, found = node_set.episodes, []
    for number in range(len(episodes)):
        scene = scene_at(episodes, number, start, step=node_set.config.step)
        known = with_knowledge(scene, knowledge, node_set.config.ranges, seed=number)
        again = rerun(known, episodes.actions[number, start : start + actions].numpy())
        found.append(torch.from_numpy(again.points[-1]))
    return torch.cat(found)


def node_lines(model: DynamicsModel, kind: str, split: str, count: int, say: Callable[..., object]) -> list[Line]:
    """Rows of one family: errors after 1 s and 3 s against MuJoCo that does not know, stretch, intervals, speed."""
    node_set = load_node_set(kind, split, count, say)
    rows: list[Line] = []
    stretched: list[Tensor] = []
    true_stretch: list[Tensor] = []
    for seconds, target in zip((1, 3), MILLIMETRES, strict=True):
        actions = SECOND * seconds
        errors: dict[str, list[Tensor]] = {}
        held: list[Tensor] = []
        for start in range(0, node_set.episodes.actions.shape[1] - actions + 1, SECOND):
            say(f"{node_set.label}, {seconds} s from {start / SECOND:g} s")
            batch = node_set.batch(start, actions)
            moved = (batch.points[-1] - batch.points[0]).norm(dim=-1) > MOVED
            own = roll_nodes(model.nodes, batch)
            ends = {"network": own.points[-1], "guess": roll_nodes(None, batch).points[-1], "still": batch.points[0]}
            ends |= {each: mujoco_nodes(node_set, each, start, actions) for each in ("mean", "redrawn")}
            for name, points in ends.items():
                errors.setdefault(name, []).append((points - batch.points[-1]).norm(dim=-1)[moved])
            gap = (own.points[-1] - batch.points[-1]).abs()[moved]
            held.append(gap <= INTERVAL * own.variance[-1][moved, None].sqrt())
            stretched.append(stretches(batch, own.points))
            true_stretch.append(stretches(batch, batch.points))
        rows += _error_lines(f"{node_set.label}, {seconds} s", errors, target, kind, split)
        if model.nodes is not None:
            rows.append(line(f"{node_set.label}, {seconds} s: coordinates within the 90 % interval",
                             100 * float(torch.cat(held).double().mean()), "%"))  # fmt: skip
    mine, true = (
        100 * float(np.percentile(torch.cat([s.flatten() for s in each]).numpy(), STRETCH))
        for each in (stretched, true_stretch)
    )
    rows.append(
        line(f"{node_set.label}: stretch of edges, percentile {STRETCH}", mine, "%", "<= 2", f"oracle {true:.2f}")
    )
    return rows


def _error_lines(label: str, errors: dict[str, list[Tensor]], target: float, kind: str, split: str) -> list[Line]:
    def quantile(name: str, share: float = 0.5) -> float:
        return 1e3 * float(np.quantile(torch.cat(errors[name]).numpy(), share))

    own, redrawn = quantile("network"), quantile("redrawn")
    count = len(torch.cat(errors["network"]))
    floor = f"MuJoCo redrawn {redrawn:.1f}, at mean parameters {quantile('mean'):.1f}"
    judged = split != "test_heldout"
    return [
        line(f"{label}: nodes, median of {count}", own, "mm", f"<= {target:g}" if judged else None, floor),
        line(f"{label}: nodes, p90", quantile("network", 0.9), "mm", None,
             f"MuJoCo redrawn {quantile('redrawn', 0.9):.1f}, at mean parameters {quantile('mean', 0.9):.1f}"),
        line(f"{label}: median against MuJoCo redrawn", own / redrawn, "x",
             "<= 1.2" if judged and kind != "rope" else None),
        line(f"{label}: median without the network", quantile("guess"), "mm", None,
             f"p90 {quantile('guess', 0.9):.1f}, nothing moves {quantile('still'):.1f}"),
    ]  # fmt: skip


def stretches(batch: NodeBatch, points: Tensor) -> Tensor:
    """[T, E] by how much of their lengths edges are too long at points [T, N, 3]."""
    a, b = batch.net.edges.long().unbind(-1)
    return (points[:, a] - points[:, b]).norm(dim=-1) / batch.net.length - 1


def speed_line(model: DynamicsModel, kind: str, count: int, say: Callable[..., object], states: int = 256) -> Line:
    """How long 256 states take for 10 actions, and MuJoCo for as many."""
    node_set = load_node_set(kind, "test_known", count, say)
    rows = torch.tensor([(0, k % len(node_set.episodes), SECOND) for k in range(states)])
    batch = node_stretches(node_set.library, rows, SECOND)
    begin = time.perf_counter()
    roll_nodes(model.nodes, batch)
    own = time.perf_counter() - begin
    begin = time.perf_counter()
    mujoco_nodes(node_set, "mean", SECOND, SECOND)
    theirs = (time.perf_counter() - begin) * states / len(node_set.episodes)
    return line(f"{node_set.label}: {states} states x {SECOND} actions", 1e3 * own, "ms", None,
                f"MuJoCo on one core {1e3 * theirs:.0f}")  # fmt: skip


def picture_lines(model: DynamicsModel, count: int, say: Callable[..., object]) -> list[Line]:
    """A bent rope and a folded cloth: posed splats against the oracle's pictures, as they are at rest and deformed."""
    rows, strips = [], []
    for kind, what in (("rope", "bent rope"), ("cloth", "folded cloth")):
        node_set = load_node_set(kind, "test_known", count, say)
        number = _most_deformed(node_set.episodes)
        say(f"{what}: pictures of episode {number}")
        world, truth = to_world(node_set.folder, node_set.episodes, number)
        shown = _flat(world, int(node_set.episodes.numbers[number]))
        found = predict(world, truth.states[0], truth.actions, model=model)
        with Photographer(node_set.episodes, number, size=SIZE) as photographer:
            camera = photographer.camera
            rest, end = photographer.picture(0), photographer.picture(len(truth.actions))
        at_rest = _rendered(shown, truth.states[0], camera)
        posed, predicted = (_rendered(shown, states[-1], camera) for states in (truth.states, found.states))
        strips.append(np.concatenate([rest, at_rest, end, posed, predicted], axis=1))
        first, later = _psnr(at_rest, rest), _psnr(posed, end)
        rows += [
            line(f"{what}: picture of its splats on true nodes against that at rest", first - later, "dB", "<= 2",
                 f"{later:.1f} dB, at rest {first:.1f}"),
            line(f"{what}: picture of its splats on predicted nodes after 3 s", _psnr(predicted, end), "dB"),
        ]  # fmt: skip
    PICTURES.parent.mkdir(parents=True, exist_ok=True)
    write_file(PICTURES, cv2.imencode(".png", np.concatenate(strips)[..., ::-1])[1].tobytes())
    return rows


def _most_deformed(episodes: NodeEpisodes) -> int:
    """The episode at whose end nodes are nearest to each other, over how far they were at first; no obstacles."""
    best, least = 0, float("inf")
    for number in range(len(episodes)):
        points = episodes.points[number][:, episodes.mask[number]]
        first, last = (torch.cdist(points[k], points[k]).mean() for k in (0, -1))
        if episodes.obstacle_ids[number] < 0 and float(last / first) < least:
            best, least = number, float(last / first)
    return best


def _flat(world: World, number: int) -> World:
    """The world in plain colours, as the photographer has them."""
    colors = []
    for body in world.bodies:
        named = {"static": FIXED_COLOR, "robot": TOOL_COLOR, "deformable": body_color(number)}[body.kind]
        colors.append(TABLE_COLOR if body.name == "table" else named)
    shade = (torch.tensor(colors)[world.splats.body_ids.long()] - 0.5) / CONSTANT
    return replace(world, splats=replace(world.splats, sh=shade[:, None]))


def _rendered(world: World, state: State, camera: Camera) -> np.ndarray:
    """[H, W, 3] uint8."""
    # The oracle's table has no edge.
    picture = render(world, state, camera, background=torch.tensor(TABLE_COLOR)).image.clamp(0, 1)
    return (255 * picture).round().to(torch.uint8).numpy()


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.square((one.astype(float) - other.astype(float)) / 255).mean()
    return float(-10 * np.log10(max(error, 1e-12)))
