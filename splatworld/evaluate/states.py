"""Many states of a world from one camera: drawn together against one by one."""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.scenes import Scene, room
from splatworld.render.ops import rasterize
from splatworld.render.rendering import Rendering

STATES = 16
BODY = 3
"""The box of the room that moves."""


def lines(count: int, size: tuple[int, int], *, rounds: int, judged: bool) -> list[Line]:
    """Throughput of a batch of STATES with one moved body, as a multiple of single calls; and that the bits are equal.

    Args:
        count: of splats in the room.
        size: (width, height) px.
        rounds: each measures both; medians are compared.
        judged: against the target.
    """
    scene = room(count, size)
    generator = torch.Generator().manual_seed(0)
    frames = scene.frames.expand(STATES, -1, -1).clone()
    frames[:, BODY] = pose.exp(torch.rand(STATES, 6, generator=generator) * 0.3)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with torch.no_grad():
        same = _same(_draw(scene, frames, True), _draw(scene, frames, False))
        for _ in range(rounds):
            for together in seconds:
                begin = time.perf_counter()
                _draw(scene, frames, together)
                seconds[together].append(time.perf_counter() - begin)
    batch, single = (1e3 * statistics.median(seconds[together]) / STATES for together in (True, False))
    name = f"{count:,} splats at {size[0]}x{size[1]}, {STATES} states with one moved body"
    return [
        line(f"{name}, same pictures as single calls", float(same), "", "== 1"),
        line(
            f"{name}, against single calls", single / batch, "x", ">= 3" if judged else None,
            f"{single:.2f} ms a state one by one, {batch:.2f} ms together",
        ),
    ]  # fmt: skip


def _draw(scene: Scene, frames: Tensor, together: bool) -> list[Rendering]:
    parts = [frames] if together else [table[None] for table in frames]
    return [rasterize(scene.splats, part, scene.camera, **scene.options) for part in parts]


def _same(together: list[Rendering], single: list[Rendering]) -> bool:
    return all(
        torch.equal(getattr(together[0], name), torch.cat([getattr(each, name) for each in single]))
        for name in ("image", "alpha", "depth", "median_depth", "body_ids")
    )
