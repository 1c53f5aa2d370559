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
from splatworld.evaluate import demo_markup as markup
from splatworld.evaluate.demo_film import swinging
from splatworld.evaluate.demo_scene import Armed, outsides
from splatworld.evaluate.demo_stages import Told
from splatworld.evaluate.report import line
from splatworld.plan.commands import tool_pose
from splatworld.recordings import state_hash
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes
from splatworld.store import world_id

STEPS = 10_000
SETTLING = 100
"""Actions after a push in which what was pushed may still roll; the tool rises meanwhile, and waits."""
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
    world = armed.world
    settled = min(len(armed.actions) + SETTLING, steps - 1)
    actions = _actions(armed, settled, steps)
    was = world_id(world)
    free = [index for index, body in enumerate(world.bodies) if body.kind not in ("static", "robot")]
    first, chain, chains, kept, stayed = rest_state(world), "", [], 0, 0
    halfway = after = first
    others = [index for index in free if index != armed.body]
    for t, state in enumerate(_run(world, first, actions), 1):
        chain = state_hash(state, chain)
        chains.append(chain)
        if t == settled:
            after = state
        kept += _same(state, first, others)
        stayed += t > settled and _same(state, after, [armed.body])
        if t == steps // 2:
            halfway = state
        if t % 100 == 0 or t == steps:
            say("permanence: steps", t, steps)
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
        line(f"permanence: of {steps:,} steps, all but the pushed body bit-identical", kept, "", f"== {steps}"),
        line(f"permanence: of {left:,} steps after the push, the pushed body too", stayed, "", f"== {left}"),
        line(f"permanence: chain of {steps:,} hashes, run twice, is the same", float(again == chain), "", "== 1"),
        line("permanence: the same, gone on with from the middle", float(forked == chain), "", "== 1"),
        line("permanence: the world itself is unchanged", float(world_id(world) == was), "", "== 1"),
        line("permanence: pictures before and after, equal pixels", _equal(*views), "%", "== 100"),
    )
    words = (
        f"The push once more, then the rod rises, waits, and flies circles over the scene: {steps:,} steps, "
        f"{steps / 600:.0f} minutes of the world's time. Left the scene {(settled - len(armed.actions)) / 10:.0f} s "
        "after the push, right at the end. Every state is hashed together with the hash of the one before, so that one "
        "changed bit anywhere would show in the last hash:"
    )
    shown = markup.image(markup.pair(*views), "before and after")
    return Told(markup.paragraph(words) + f"<p><code>{chain}</code></p>" + shown, lines)


def _actions(armed: Armed, settled: int, steps: int) -> Tensor:
    """[steps, A]: the push, up, a rest until `settled`, and around."""
    world = armed.world
    top = max(float(points[:, 2].max()) for points in outsides(world).values()) + CLEAR
    rising = int(np.ceil(max(0.0, top - float(tool_pose(world, rest_state(world))[2])) / RISE)) + 1
    actions = armed.actions.new_zeros(steps, armed.actions.shape[1])
    actions[: len(armed.actions)] = armed.actions[:steps]
    actions[len(armed.actions) : len(armed.actions) + rising, 2] = RISE
    angle = 2 * torch.pi * torch.arange(steps - settled + 1, dtype=torch.float64) / ROUND
    actions[settled:, :2] = CIRCLE * torch.stack([angle.cos(), angle.sin()], dim=-1).diff(dim=0)
    return actions


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
