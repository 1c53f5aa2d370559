"""Rows of the suite `dynamics` about grasping: who is held after a test lift, and where what is held is carried to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from splatworld.core.latents import CENTER, FRICTION, KNOWN, MASS, SUPPORT_FRICTION, TOOL_FRICTION
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.dynamics.beliefs import Prior
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.predict import predict
from splatworld.dynamics.scene import Scene, world_scene
from splatworld.evaluate.report import Line, line
from splatworld.robot.actions import clip_action
from splatworld.simulate.episodes.families import FAMILIES, for_split
from splatworld.simulate.episodes.grasp_scenes import CARRIED, CLOSED, LIFTED, PLACED, GraspScene, draw_grasp
from splatworld.simulate.episodes.grasps import GraspEpisode, grasp_actions, grasp_world, simulate, went_along
from splatworld.simulate.episodes.scene import Parameters

SEED = 20263
"""Apart from those of others."""
LABELS = {"test_known": "known families", "test_heldout": "held-out shapes"}
REDRAWS = 9
"""That vote: odd, so that there is no draw."""
BODY = 2
"""Of the worlds: background, table, then the body."""
SPLATS = 20
OTHERS = {
    "told": "told",
    "typical": "from a state at rest",
    "redrawn": "MuJoCo redrawn",
    "mean": "at mean parameters",
}
"""Whose places stand beside the own ones."""


@dataclass(frozen=True)
class Outcome:
    """What is said of a scene.

    Attributes:
        held: after the test lift.
        carried, placed: [3] m, the body's place after it was carried, and after it was put down and left.
    """

    held: bool
    carried: np.ndarray
    placed: np.ndarray


def grasp_lines(model: DynamicsModel, split: str, count: int, say: Callable[..., object]) -> list[Line]:
    """Rows of one split: from what is known, told the truth, and MuJoCo that does not know the parameters."""
    found: dict[str, list[Outcome]] = {name: [] for name in ("true", "own", "typical", "told", "mean", "redrawn")}
    votes = []
    for number in range(count):
        say(f"grasp, {LABELS[split]}: {number + 1} of {count}")
        scene = draw_grasp(split, np.random.default_rng([SEED, number]))
        truth = simulate(scene)
        found["true"].append(outcome(truth.poses, truth))
        for name, poses in _predicted(model, scene, truth):
            found[name].append(outcome(poses, truth))
        again = [_again(scene, split, number, k) for k in range(REDRAWS + 1)]
        votes.append(sum(each.held for each in again[1:]) * 2 > REDRAWS)
        found["redrawn"].append(again[0])
        found["mean"].append(_rerun(scene, for_split(FAMILIES["push"], split).ranges.mean((scene.shape,))))
    held = np.array([each.held for each in found["true"]])
    said = {name: np.array([each.held for each in outcomes]) for name, outcomes in found.items()}
    said |= {"always": np.ones(count, bool), "vote": np.array(votes)}
    right = {name: balanced(flags, held) for name, flags in said.items()}
    label = f"grasp, {LABELS[split]}"
    floor = (
        f"majority of {REDRAWS} redraws {right['vote']:.1f}, MuJoCo redrawn {right['redrawn']:.1f}, at mean parameters "
        f"{right['mean']:.1f}, always held {right['always']:.1f}; predicted from a state at rest {right['typical']:.1f}"
    )
    what = f"{label}: held after the test lift, balanced accuracy"
    rows = [
        line(f"{what} from the middle of the prior over {count}, {held.sum()} held", right["own"], "%", ">= 95", floor),
        line(f"{what} told mass, friction and centre", right["told"], "%", ">= 95"),
    ]
    if not held.any():
        return rows
    for part, target in (("carried", "<= 5"), ("placed", None)):
        places = {name: np.array([getattr(each, part) for each in outcomes]) for name, outcomes in found.items()}
        off = {name: 1e3 * np.linalg.norm(place - places["true"], axis=-1)[held] for name, place in places.items()}
        middles, tails = (
            ", ".join(f"{who} {np.quantile(off[name], share):.1f}" for name, who in OTHERS.items())
            for share in (0.5, 0.9)
        )
        rows += [
            line(f"{label}: body {part}, median of {held.sum()}", float(np.median(off["own"])), "mm", target, middles),
            line(f"{label}: body {part}, p90", float(np.quantile(off["own"], 0.9)), "mm", None, tails),
        ]
    return rows


def balanced(said: np.ndarray, true: np.ndarray) -> float:
    """% right of those that are and of those that are not, in the mean; of one kind alone where there is no other."""
    return 100 * float(np.mean([(said == true)[true == kind].mean() for kind in (True, False) if (true == kind).any()]))


def outcome(poses: np.ndarray, truth: GraspEpisode) -> Outcome:
    """Of the body's poses [PLACED + 1, 7] in a scene that went as `truth`, which tells where the hand was."""
    held = went_along(poses[CLOSED], poses[LIFTED], truth.joints[CLOSED], truth.joints[LIFTED])
    return Outcome(held, poses[CARRIED, :3], poses[PLACED, :3])


def told(world: World, scene: Scene, parameters: Parameters, *, body: int = BODY) -> State:
    """The world at rest with the body's latents as the oracle has them; `scene` is the world's."""
    state = rest_state(world)
    latents = state.latents.clone()
    spread = scene.solids.spread[scene.shape_ids[0, body].long()].diagonal().double()
    latents[body, SUPPORT_FRICTION] = float(np.log(parameters.table_friction[0] / FRICTION))
    latents[body, TOOL_FRICTION] = float(np.log(parameters.tool_friction[0] / FRICTION))
    latents[body, MASS] = float(np.log(parameters.mass[0] / float(scene.typical_mass[0, body])))
    latents[body, CENTER] = torch.from_numpy(parameters.com[0]) / spread.sqrt()
    return replace(state, latents=latents)


def _predicted(model: DynamicsModel, scene: GraspScene, truth: GraspEpisode) -> Iterator[tuple[str, np.ndarray]]:
    """Names and poses [PLACED + 1, 7] of the body: from the middle of the prior, with latents of 0, and told its
    parameters; all in one batch."""
    world = grasp_world(scene, truth, splats=SPLATS)
    assert world.robot is not None
    rest, bodies = rest_state(world), world_scene(world)
    middle = Prior().latents(torch.zeros(len(world.bodies), KNOWN), bodies.typical_mass[0])
    every = replace(rest, latents=middle.to(rest.latents)), rest, told(world, bodies, scene.parameters)
    state = State(**{name: torch.stack([getattr(each, name) for each in every]) for name in vars(rest)})
    found = predict(world, state, clip_action(world.robot.action, grasp_actions(truth)), model=model)
    poses: Tensor = found.states.world_from_body[:, :, BODY]
    yield from zip(("own", "typical", "told"), poses.numpy(), strict=True)


def _again(scene: GraspScene, split: str, number: int, k: int) -> Outcome:
    ranges = for_split(FAMILIES["push"], split).ranges
    return _rerun(scene, ranges.draw((scene.shape,), np.random.default_rng([SEED, number, k])))


def _rerun(scene: GraspScene, parameters: Parameters) -> Outcome:
    again = simulate(replace(scene, parameters=parameters))
    return outcome(again.poses, again)
