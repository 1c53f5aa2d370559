"""The checkpoint that comes with the package: it loads, says how it was made, and knows how things are pushed."""

from pathlib import Path

import pytest
import torch

from splatworld.core.checks import InputError
from splatworld.core.world import rest_state
from splatworld.dynamics import checkpoint
from splatworld.dynamics.checkpoint import MOST_BYTES, PACKAGED, load_model, read_notes
from splatworld.dynamics.library import load_library, stretches
from splatworld.dynamics.losses import follow, start
from splatworld.dynamics.predict import predict
from splatworld.episodes import SUBSTATES
from tests.dynamics.scenes import at, blocks, push

EPISODES = Path(__file__).parent / "episodes"
"""Pushes of shapes and tools that training did not see."""


def test_it_says_how_it_was_made():
    notes = read_notes(PACKAGED)
    assert all(isinstance(each["seed"], int) and each["count"] > 0 for each in notes["data"])
    assert len(notes["commit"]) >= 12
    assert {"single", "rollout", "spread", "validation", "held"} <= set(notes["metrics"])
    assert PACKAGED.stat().st_size <= MOST_BYTES


def test_it_beats_standing_still():
    library = load_library([EPISODES])
    rows = torch.arange(len(library.episodes[0]))
    batch = stretches(library, torch.stack([0 * rows, rows, 0 * rows], dim=-1), 10)
    with torch.no_grad():
        *_, last = follow(load_model(), batch, start(batch.scene, batch.poses[:, 0], batch.twists[:, 0]))
    truth = batch.poses[:, 10 * SUBSTATES]
    way = (truth - batch.poses[:, 0])[..., :3].norm(dim=-1)
    moved = batch.scene.free & (way > 0.01)
    assert int(moved.sum()) >= 3
    error = (last.poses - truth)[..., :3].norm(dim=-1)
    assert float(error[moved].median()) < 0.2 * float(way[moved].median())


def test_predict_takes_it_by_itself():
    world = blocks(at(0, 0, 0.025), tool=at(-0.056, 0, 0.005))
    rollout = predict(world, rest_state(world), push(0.02, steps=5))
    place = rollout.states.world_from_body[-1, 1]
    assert float(place[0]) == pytest.approx(0.1 - 0.006, abs=0.02)
    assert float(place[1:3].sub(torch.tensor([0, 0.025])).abs().max()) < 0.01


def test_a_package_without_one_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "PACKAGED", tmp_path / "none")
    checkpoint._packaged.cache_clear()
    with pytest.raises(InputError, match="train one with"):
        load_model()
    checkpoint._packaged.cache_clear()
