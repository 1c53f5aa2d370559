"""Rows of the sample: its world with bodies, as made from pixels alone, against exact truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from splatworld.bodies.place import place
from splatworld.core import pose
from splatworld.core.world import World
from splatworld.evaluate.bodies_truth import FOUND, chamfer, ious, removed_psnr, votes_of_truth
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.sample_truth import align

CLOSE = 0.004
"""m, Chamfer distance up to which a surface is right."""
GUESSED = 0.1
"""Share of a body's diagonal up to which a completed surface is right, where that is more."""


@dataclass(frozen=True)
class Match:
    """Which of a world's bodies are which true ones.

    Attributes:
        ious: true body id -> IoU of the splats with the body that fits best, 0 without one.
        bodies: true body id -> that body, where it counts as found.
    """

    ious: dict[int, float]
    bodies: dict[int, int]


def match(world: World, folder: Path, truth: dict[str, Any]) -> Match:
    """Hold a world's bodies against the true id pictures.

    Args:
        world: with bodies, its cameras named `frame_NNNNNN`.
        folder: the sample's.
        truth: as read by `read_truth`.
    """
    table = ious(world, votes_of_truth(world, folder, truth))
    best = {body["id"]: int(table[1:, body["id"]].argmax()) + 1 if len(table) > 1 else 0 for body in truth["bodies"]}
    values = {label: float(table[index, label]) if index else 0.0 for label, index in best.items()}
    return Match(values, {label: index for label, index in best.items() if values[label] > FOUND})


def found_lines(world: World, found: Match, truth: dict[str, Any]) -> list[Line]:
    """Whether every body was found, and its splats."""
    names, values = _names(truth), found.ious
    hit = set(found.bodies.values())
    return [
        line(f"sample: bodies found, of {len(names)}", len(hit), "", f"== {len(names)}"),
        line("sample: bodies invented", len(world.bodies) - 1 - len(hit), "", "== 0"),
        line("sample: splat IoU, lowest body", min(values.values()), "", ">= 0.95"),
        line("sample: splat IoU, mean", sum(values.values()) / len(values), "", ">= 0.95"),
        *(line(f"sample: splat IoU, {names[label]}", value, "") for label, value in values.items()),
    ]


def removed_lines(world: World, found: Match, folder: Path, truth: dict[str, Any]) -> list[Line]:
    """What each body's removal reveals."""
    names = _names(truth)
    called = {label: world.bodies[index].name for label, index in found.bodies.items()}
    seen = removed_psnr(world, called, folder, truth)
    lowest = min(seen.values()) if len(seen) == len(names) else None
    return [
        line("sample: revealed when a body is removed, PSNR, lowest body", lowest, "dB", ">= 24"),
        *(line(f"sample: {names[label]} removed, PSNR", value, "dB") for label, value in seen.items()),
    ]


def shape_lines(world: World, found: Match, folder: Path, truth: dict[str, Any]) -> list[Line]:
    """Surfaces, where they were seen and where they were completed."""
    names = _names(truth)
    shapes = chamfer(place(world, align(world.cameras, truth)[0]), found.bodies, folder, truth)
    seen = {label: shape.seen for label, shape in shapes.items() if shape.seen is not None}
    completed = {label: shape.completed for label, shape in shapes.items() if shape.completed is not None}
    bounds = {label: max(CLOSE, GUESSED * shapes[label].diagonal) for label in completed}
    worst = max((value / bounds[label] for label, value in completed.items()), default=None)
    rows = [
        line("sample: bodies found that have no surface", len(found.bodies) - len(shapes), "", "== 0"),
        line(
            "sample: Chamfer distance of seen surface, worst body",
            1000 * max(seen.values()) if seen else None,
            "mm",
            f"<= {1000 * CLOSE:g}",
        ),
        line(
            "sample: Chamfer distance of completed surface, share of 4 mm or 10 % of the body, worst body",
            worst,
            "",
            "<= 1",
        ),
    ]
    for part, values in (("seen", seen), ("completed", completed)):
        label = f"sample: Chamfer distance of {part} surface"
        mean = 1000 * sum(values.values()) / len(values) if values else None
        rows.append(line(f"{label}, mean of bodies", mean, "mm"))
        rows += [line(f"{label}, {names[body]}", 1000 * value, "mm") for body, value in values.items()]
    return rows


def metre_lines(world: World, truth: dict[str, Any]) -> list[Line]:
    """Scale and up of the finished world, from its cameras."""
    rest, _ = align(world.cameras, truth)
    error = 1 / rest.scale - 1
    up = pose.rotate(rest.quat, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    height = float(rest.translation[2]) - truth["table_height"]
    return [
        line("sample: scale error, marker of known size", 100 * abs(error), "%", "<= 1"),
        line("sample: scale error in its own standard deviations", abs(error) / world.scale.std, "", "<= 2"),
        line("sample: up, error", math.degrees(math.acos(min(1.0, float(up[2])))), "degrees", "<= 1"),
        line("sample: height of the table, error", 1000 * abs(height), "mm"),
    ]


def _names(truth: dict[str, Any]) -> dict[int, str]:
    return {body["id"]: body["name"] for body in truth["bodies"]}
