"""A demo's long run: a push, then thousands of steps in which nobody touches anything, and nothing may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.dynamics.predict import Stream
from splatworld.evaluate.demo_film import swinging
from splatworld.evaluate.demo_markup import image, paragraph
from splatworld.evaluate.demo_scene import Armed, outsides
from splatworld.evaluate.demo_stages import Told
from splatworld.evaluate.report import line
from splatworld.plan.commands import tool_pose
from splatworld.recordings import state_hash
from splatworld.render.pictures import to_bytes
from splatworld.render.render import render
from splatworld.store import world_id

STEPS = 10_000
SETTLING = 100
"""Actions after a push in which what was pushed may still roll."""
RISE = 0.02
"""m an action."""
CLEAR = 0.05
"""m above all bodies that the tool flies."""
CIRCLE, ROUND = 0.15, 200
"""m, radius of the tool's way, and actions once around."""


def long_run(armed: Armed, say: Callable[..., object], *, steps: int = STEPS) -> Told:
    """Push once, fly circles over the scene, and hold every state against the ones before.

    Args:
        armed: the world and its push.
        say: progress.
        steps: actions.
    """
    world, actions = armed.world, _actions(armed, steps)
    settled = min(len(armed.actions) + SETTLING, steps - 1)
    was = world_id(world)
    free = [index for index, body in enumerate(world.bodies) if body.kind not in ("static", "robot")]
    first, chain, chains, kept, after = rest_state(world), "", [], 0, rest_state(world)
    halfway = first
    for t, state in enumerate(_run(world, first, actions), 1):
        chain = state_hash(state, chain)
        chains.append(chain)
        if t == settled:
            after = state
        kept += t > settled and _same(state, after, free)
        if t == steps // 2:
            halfway = state
        if t % 100 == 0 or t == steps:
            say("permanence: steps", t, steps)
    moved = [index for index in free if not _same(after, first, [index])]
    again = ""
    for t, each in enumerate(_run(world, first, actions), 1):
        again = state_hash(each, again)
        if t % 100 == 0 or t == steps:
            say("permanence: the same again", t, steps)
    forked = chains[steps // 2 - 1]
    for each in _run(world, halfway, actions[steps // 2 :]):
        forked = state_hash(each, forked)
    views = _views(armed, (after, state))
    left = steps - settled
    lines = (
        line(f"permanence: of {left:,} steps after the push, all bodies bit-identical", kept, "", f"== {left}"),
        line("permanence: bodies that the push moved", len(moved), ""),
        line(f"permanence: chain of {steps:,} hashes, run twice, is the same", float(again == chain), "", "== 1"),
        line("permanence: the same, gone on with from the middle", float(forked == chain), "", "== 1"),
        line("permanence: the world itself is unchanged", float(world_id(world) == was), "", "== 1"),
        line("permanence: pictures before and after, equal pixels", _equal(*views), "%", "== 100"),
    )
    words = (
        f"The push once more, then the rod flies circles over the scene: {steps:,} steps, {steps / 600:.0f} minutes of "
        f"the world's time. Left the scene {(settled - len(armed.actions)) / 10:.0f} s after the push, right at the "
        "end. "
        "Every state is hashed together with the hash of the one before, so that one changed bit anywhere would show "
        "in the last hash:"
    )
    return Told(
        paragraph(words) + f"<p><code>{chain}</code></p>" + image(np.hstack(views), "before and after"), lines
    )  # fmt: skip


def _actions(armed: Armed, steps: int) -> Tensor:
    """[steps, A]: the push, up, and around."""
    world = armed.world
    top = max(float(points[:, 2].max()) for points in outsides(world).values()) + CLEAR
    rising = int(np.ceil(max(0.0, top - float(tool_pose(world, rest_state(world))[2])) / RISE)) + 1
    ahead = armed.actions.new_zeros(max(0, steps - len(armed.actions)), armed.actions.shape[1])
    ahead[:rising, 2] = RISE
    angle = 2 * torch.pi * torch.arange(max(0, len(ahead) - rising) + 1, dtype=torch.float64) / ROUND
    ahead[rising:, :2] = CIRCLE * torch.stack([angle.cos(), angle.sin()], dim=-1).diff(dim=0)
    return torch.cat([armed.actions, ahead])[:steps]


def _run(world: World, first: State, actions: Tensor) -> Iterator[State]:
    running = Stream(world, first)
    for action in actions:
        yield running.step(action)


def _same(one: State, other: State, bodies: list[int]) -> bool:
    return all(
        torch.equal(getattr(one, name)[bodies], getattr(other, name)[bodies]) for name in ("world_from_body", "twists")
    )


def _views(armed: Armed, states: tuple[State, ...]) -> list[np.ndarray]:
    """[H, W, 3] uint8 of states, without the tool."""
    world = armed.world
    robot = torch.tensor([body.kind == "robot" for body in world.bodies])
    bare = replace(world, splats=world.splats.select(~robot[world.splats.body_ids.long()]))
    focus = torch.from_numpy(np.concatenate(list(outsides(world).values())))
    camera = swinging(world, focus, list(outsides(world)), 3)[1]
    return [to_bytes(render(bare, state, camera).image) for state in states]


def _equal(one: np.ndarray, other: np.ndarray) -> float:
    return 100 * float((one == other).all(-1).mean())
