"""Many episodes of a family, in parallel, written shard by shard; the same seed gives the same ones on any number of
processes, and a generation that was cut short goes on."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splatworld import episodes as stored
from splatworld.core.checks import InputError, check_choice
from splatworld.core.robot import ACTION_SECONDS
from splatworld.files import check_writable, lock_folder, write_file
from splatworld.simulate.episodes.deformable import record as deformable
from splatworld.simulate.episodes.deformable.families import DeformableConfig
from splatworld.simulate.episodes.draw import draw_scene
from splatworld.simulate.episodes.families import SPLITS, STANDING, FamilyConfig, for_split
from splatworld.simulate.episodes.physics import build
from splatworld.simulate.episodes.pusher import Pusher
from splatworld.simulate.episodes.record import Episode, fault, record
from splatworld.simulate.episodes.shapes import shape
from splatworld.simulate.episodes.shards import as_body, pack, stored_name
from splatworld.simulate.episodes.solids import Solid
from splatworld.simulate.episodes.standing import draw_standing
from splatworld.simulate.episodes.tools import tool

ATTEMPTS = 20
"""Draws of one episode until one has room for its bodies and does not break."""
MOVED = 0.01
"""m a body must get from its place to count as moved."""


@dataclass(frozen=True)
class Job:
    """One shard: where it goes and which episodes are in it."""

    path: Path
    config: FamilyConfig | DeformableConfig
    split: str
    seed: int
    first: int
    last: int


def episode(config: FamilyConfig, split: str, seed: int, number: int) -> tuple[Episode, Counter[str]]:
    """The episode `number` of a seed, and why draws before it were dropped.

    Raises:
        InputError: no draw of many has room for its bodies or holds together.
    """
    dropped: Counter[str] = Counter()
    drawn_from = for_split(config, split)
    draw = draw_standing if config.family in STANDING else draw_scene
    count = round(config.seconds / ACTION_SECONDS)
    for attempt in range(ATTEMPTS):
        keys = [seed, zlib.crc32(config.family.encode()), zlib.crc32(split.encode()), number, attempt]
        rng = np.random.default_rng(keys)
        drawn = draw(drawn_from, split, rng)
        if drawn is None:
            dropped["no room"] += 1
            continue
        scene, stroke = drawn
        physics = build(scene)
        if config.family in STANDING and not physics.asleep.all():
            dropped["fell by itself"] += 1
            continue
        if stroke is None:
            found = record(physics, lambda: np.zeros(4), count)
        else:
            pusher = Pusher(physics, stroke, drawn_from.speed, rng)
            found = record(physics, pusher.action, count)
        wrong = fault(found)
        if wrong is None:
            return found, dropped
        dropped[wrong] += 1
    raise InputError(f"simulate: {config.family} fails {ATTEMPTS} times in a row ({dict(dropped)}); widen its ranges.")


def generate(
    config: FamilyConfig | DeformableConfig,
    out: str | Path,
    *,
    split: str = "train",
    count: int = 100,
    seed: int = 0,
    workers: int = 1,
    shard: int = 64,
    commit: str = "unknown",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Simulate `count` episodes into the folder `out`; what is there of the same ones is kept.

    Args:
        config: what to draw from.
        out: folder of episodes, new or unfinished.
        split: one of `SPLITS`.
        count: episodes.
        seed: of all of them; each is drawn by itself from (seed, family, split, its number).
        workers: processes; the result does not depend on it.
        shard: episodes a file.
        commit: of the source, for the record.
        progress: told how many episodes of how many are done.

    Returns:
        `episodes.json` as written.

    Raises:
        InputError: `out` holds something else, or is being written by another process.
    """
    check_choice("simulate", "split", split, SPLITS)
    if count < 1 or workers < 1 or shard < 1:
        raise InputError(f"simulate: count {count}, workers {workers}, shard {shard}: expected 1 or more of each.")
    folder = Path(out)
    plan = {"family": asdict(config), "split": split, "seed": seed, "count": count, "shard": shard}
    plan = json.loads(json.dumps(plan))
    document = _begun(folder, plan) or {
        **{"format": stored.FORMAT, "schema": stored.SCHEMA, **plan, "commit": commit, "complete": False},
        **{"shards": {}, "shapes": {}, "tools": {}},
    }
    check_writable(folder / "episodes.json")
    folder.mkdir(parents=True, exist_ok=True)
    handle = lock_folder(folder, folder)
    try:
        _write(folder, document)
        jobs = []
        for index, first in enumerate(range(0, count, shard)):
            path = folder / "shards" / f"{index:05d}.safetensors"
            if path.name not in document["shards"] or not path.is_file():
                jobs.append(Job(path, config, split, seed, first, min(first + shard, count)))
        done = count - sum(job.last - job.first for job in jobs)
        progress(done, count)
        with _mapped(workers) as run:
            for name, entry, files in run(jobs):
                for (kind, thing), content in files.items():
                    if thing not in document[kind]:
                        write_file(folder / kind / f"{thing}.safetensors", content)
                        document[kind][thing] = hashlib.sha256(content).hexdigest()
                document["shards"][name] = entry
                _write(folder, document)
                done += entry["episodes"]
                progress(done, count)
        document["complete"] = True
        document["figures"] = figures(document)
        _write(folder, document)
    finally:
        os.close(handle)
    return document


def figures(document: dict[str, Any]) -> dict[str, Any]:
    """What all shards together have: episodes, how many were dropped and why, how many moved, how deep bodies sank."""
    entries = list(document["shards"].values())
    dropped = Counter[str]()
    for entry in entries:
        dropped.update(entry["dropped"])
    states = np.sum([entry["sunk"] for entry in entries], axis=0)
    share = np.cumsum(states) / max(states.sum(), 1)
    total = sum(entry["episodes"] for entry in entries)
    return {
        "episodes": total,
        "dropped": dict(dropped),
        "moved": sum(entry["moved"] for entry in entries) / max(total, 1),
        "bodies": sum(entry["bodies"] for entry in entries) / max(total, 1),
        # Bins are upper ends, so that a percentile is never told too small.
        **{f"penetration_p{p}_mm": float(DEPTHS[np.searchsorted(share, p / 100)] * 1e3) for p in (50, 99, 99.9)},
    }


DEPTHS = np.concatenate([np.linspace(0, 0.001, 101), np.linspace(0.0011, 0.012, 110)])
"""m, upper ends of the bins in which penetrations are counted."""


def _simulate(job: Job) -> tuple[str, dict[str, Any], dict[tuple[str, str], bytes]]:
    """Make and write one shard; returns its name, its entry in the document, and the files of its shapes and tools."""
    torch.set_num_threads(1)
    if isinstance(job.config, DeformableConfig):
        return _simulate_deformable(job, job.config)
    made, dropped = [], Counter[str]()
    for number in range(job.first, job.last):
        found, lost = episode(job.config, job.split, job.seed, number)
        made.append(found)
        dropped.update(lost)
    shapes = {stored_name(name): shape(name) for e in made for name in e.scene.shapes}
    moved = sum((e.moved() > MOVED).any() for e in made)
    bodies = sum(len(e.scene) for e in made)
    depth = np.concatenate([e.penetration for e in made])
    return _written(job, pack(made, range(job.first, job.last)), shapes, dropped, int(moved), bodies, depth)


def _simulate_deformable(
    job: Job, config: DeformableConfig
) -> tuple[str, dict[str, Any], dict[tuple[str, str], bytes]]:
    made, dropped = [], Counter[str]()
    for number in range(job.first, job.last):
        found, lost = deformable.episode(config, job.split, job.seed, number)
        made.append(found)
        dropped.update(lost)
    shapes = {name: shape(name) for e in made for name in e.scene.obstacles}
    moved = sum(e.moved() > MOVED for e in made)
    depth = np.concatenate([e.penetration for e in made])
    packed = deformable.pack(made, range(job.first, job.last))
    return _written(job, packed, shapes, dropped, moved, len(made), depth)


def _written(
    job: Job,
    packed: tuple[dict[str, torch.Tensor], list[str], list[str]],
    solids: dict[str, Solid],
    dropped: Counter[str],
    moved: int,
    bodies: int,
    depth: np.ndarray,
) -> tuple[str, dict[str, Any], dict[tuple[str, str], bytes]]:
    tensors, shapes, tools = packed
    stored.save_shard(job.path, tensors, shapes, tools)
    entry = {
        "sha256": stored.file_hash(job.path),
        "episodes": job.last - job.first,
        "bodies": bodies,
        "dropped": dict(dropped),
        "moved": moved,
        "sunk": np.bincount(np.searchsorted(DEPTHS, depth).clip(max=len(DEPTHS) - 1), minlength=len(DEPTHS)).tolist(),
    }
    files = {("shapes", name): stored.encode_shape(as_body(name, solids[name])) for name in shapes}
    files |= {("tools", name): stored.encode_shape(as_body(name, tool(name), "robot")) for name in tools}
    return job.path.name, entry, files


@contextmanager
def _mapped(workers: int) -> Iterator[Callable[[list[Job]], Iterator[Any]]]:
    """A function that runs jobs as they come, here or in processes of their own."""
    if workers == 1:
        yield lambda jobs: map(_simulate, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield lambda jobs: pool.imap_unordered(_simulate, jobs)


def _begun(folder: Path, plan: dict[str, Any]) -> dict[str, Any] | None:
    """The document of the same generation, begun before; None if the folder is free."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / "episodes.json").is_file():
        raise InputError(f"{folder}: something else is there; choose another path for the episodes.")
    document = stored.read_document(folder)[1]
    other = [key for key, value in plan.items() if document.get(key) != value]
    if other:
        raise InputError(f"{folder}: episodes of another {other[0]} are there; choose another path or equal options.")
    return document


def _write(folder: Path, document: dict[str, Any]) -> None:
    write_file(folder / "episodes.json", json.dumps(document, sort_keys=True, allow_nan=False) + "\n")
