"""What few episodes of a new tool are worth: the packaged network fitted to it, its world frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from splatworld.dynamics.config import TrainingConfig
from splatworld.dynamics.library import load_library
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.training import Training
from splatworld.evaluate.dynamics_metrics import Errors, errors, joined, movers
from splatworld.evaluate.dynamics_rollouts import network, true
from splatworld.evaluate.dynamics_sets import SEED, TestSet
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.resume import FOLDER
from splatworld.simulate.episodes.families import FAMILIES
from splatworld.simulate.episodes.generate import generate

TOOL = "bent"
"""A held-out family of tools, which no training has met."""
EPISODES = (5, 50)
"""That it is fitted to."""
STEPS, BATCH, RATE = 300, 64, 0.003
ACTIONS = 10


def adaptation_lines(model: DynamicsModel, count: int, say: Callable[..., object]) -> list[Line]:
    """Errors after 1 s of pushes with a new tool: before, after a few episodes, and after all weights saw most."""
    config = replace(FAMILIES["push"], bodies=(1, 1), tools=(TOOL,))
    seen, asked = FOLDER / "episodes" / "new-tool", FOLDER / "episodes" / f"new-tool-asked-{count}"
    generate(config, seen, split="train", count=max(EPISODES), seed=SEED, shard=min(EPISODES))
    generate(config, asked, split="test_known", count=count, seed=SEED, shard=32)
    test_set = TestSet("new-tool", asked, config, load_library([asked]))
    found = {"0": _off(model, test_set)}
    for episodes in EPISODES:
        say(f"a new tool: {episodes} episodes")
        found[str(episodes)] = _off(_fitted(model, seen, episodes, frozen=True), test_set)
    say(f"a new tool: {max(EPISODES)} episodes, all weights")
    found["full"] = _off(_fitted(model, seen, max(EPISODES), frozen=False), test_set)
    full = found["full"].place_mm()
    name = "a new tool, position after 1 s, median"
    rows = [
        line(f"{name}, after {episodes} episodes" + f" of {len(found['0'].place)}" * (episodes == "0"),
             each.place_mm(), "mm", None, f"p90 {each.place_mm(0.9):.1f}")
        for episodes, each in found.items() if episodes != "full"
    ]  # fmt: skip
    rows.append(line(f"{name}, all weights after {max(EPISODES)} episodes", full, "mm", None,
                     f"p90 {found['full'].place_mm(0.9):.1f}"))  # fmt: skip
    ratio = found[str(min(EPISODES))].place_mm() / min(full, found[str(max(EPISODES))].place_mm())
    return [*rows, line("a new tool: 5 episodes against the best of 50", ratio, "x", "<= 1.3")]


def _fitted(model: DynamicsModel, folder: Path, episodes: int, *, frozen: bool) -> DynamicsModel:
    library = load_library([folder], most=episodes)
    config = TrainingConfig(
        episodes=(str(folder),), single=STEPS, rollout=0, spread=0, batch=BATCH, rate=RATE if frozen else RATE / 10,
        warmup=10, average=0.98,
    )  # fmt: skip
    training = Training(config, library, begin=model, freeze_world=frozen)
    for _ in range(STEPS):
        training.train_step()
    return training.result()


def _off(model: DynamicsModel, test_set: TestSet) -> Errors:
    parts = []
    for start in range(0, test_set.actions - ACTIONS + 1, ACTIONS):
        batch = test_set.batch(start, ACTIONS)
        truth = true(batch)
        parts.append(errors(network(model, batch), truth, movers(test_set, truth)))
    return joined(parts)
