"""Episodes that dynamics is measured on: drawn from seeds of their own, of shapes and tools that no training saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from splatworld.dynamics.library import Batch, Library, load_library, stretches
from splatworld.episodes import SUBSTATES, Episodes
from splatworld.evaluate.resume import FOLDER
from splatworld.simulate.episodes.families import FAMILIES, FamilyConfig
from splatworld.simulate.episodes.generate import generate

SEED = 20260
"""Apart from those of training."""
SETS: dict[str, tuple[str, FamilyConfig]] = {
    "one": ("test_known", replace(FAMILIES["push"], bodies=(1, 1))),
    "held-out": ("test_heldout", replace(FAMILIES["push"], bodies=(1, 1))),
    "several": ("test_heldout", replace(FAMILIES["push"], bodies=(2, 4))),
    "outside": ("test_outside", FAMILIES["push"]),
    "fall": ("test_known", FAMILIES["fall"]),
    "slide": ("test_known", FAMILIES["slide"]),
    "collide": ("test_known", FAMILIES["collide"]),
    "topple": ("test_known", FAMILIES["topple"]),
    "topple held-out": ("test_heldout", FAMILIES["topple"]),
    "stack pushed": ("test_known", replace(FAMILIES["stack"], alone=0.0)),
    "stack pushed held-out": ("test_heldout", replace(FAMILIES["stack"], alone=0.0)),
    "minute": ("test_known", replace(FAMILIES["push"], bodies=(1, 4), seconds=60.0)),
}
"""Name -> split and family."""


@dataclass(frozen=True)
class TestSet:
    """N episodes to predict.

    Attributes:
        name: one of `SETS`.
        folder: where they are stored.
        config: what they were drawn from.
        library: with one folder of episodes.
    """

    __test__ = False

    name: str
    folder: Path
    config: FamilyConfig
    library: Library

    @property
    def episodes(self) -> Episodes:
        return self.library.episodes[0]

    @property
    def actions(self) -> int:
        """How many every episode lasts."""
        return self.episodes.actions.shape[1]

    @property
    def free(self) -> Tensor:
        """[N, 8] bool, bodies that can move."""
        return self.episodes.mask & ~self.episodes.fixed

    def batch(self, start: int, actions: int) -> Batch:
        """All episodes from one of their actions on."""
        rows = torch.arange(len(self.episodes))
        where = torch.stack([torch.zeros_like(rows), rows, torch.full_like(rows, start)], dim=-1)
        return stretches(self.library, where, actions)

    def sent(self, start: int, actions: int) -> Tensor:
        """[N, T, 4] how the targets of the tool's servos went along x, y, z and yaw, from its joints at first."""
        targets = self.episodes.targets[:, start : start + actions + 1].double().clone()
        targets[:, 0] = self.episodes.joints[:, start * SUBSTATES]
        return targets.diff(dim=1)


def load_set(name: str, count: int, say: Callable[..., object], *, seconds: float | None = None) -> TestSet:
    """A test set; generated once, then kept in `out/eval`.

    Args:
        name: one of `SETS`.
        count: episodes.
        say: told when they are made.
        seconds: that they last; None: as long as the family's.
    """
    split, config = SETS[name]
    config = replace(config, seconds=seconds or config.seconds)
    folder = FOLDER / "episodes" / f"{name.replace(' ', '-')}-{count}-{config.seconds:g}s"
    say(f"episodes: {count} of {name}")
    generate(config, folder, split=split, count=count, seed=SEED, shard=32)
    return TestSet(name, folder, config, load_library([folder]))


TRAINING = 1792
"""Episodes of pushing that other networks are trained on."""


def training_set(say: Callable[..., object], most: int = TRAINING) -> tuple[Library, list[Path]]:
    """Pushes of the split `train` as `configs/dynamics/rigid.yaml` tells to make them, and their folder."""
    folder = FOLDER / "episodes" / "train-push"
    say(f"episodes: {TRAINING} of training")
    generate(FAMILIES["push"], folder, split="train", count=TRAINING, seed=1)
    return load_library([folder], most=most), [folder]
