"""Suite `dynamics`: what the packaged network makes of shapes, tools and numbers of bodies it has never met."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from splatworld.dynamics.checkpoint import load_model
from splatworld.dynamics.model import DynamicsModel
from splatworld.evaluate import (
    dynamics_grasp,
    dynamics_growth,
    dynamics_physics,
    dynamics_rendered,
    dynamics_stacks,
    dynamics_toppling,
)
from splatworld.evaluate.bodies import sample_world
from splatworld.evaluate.bodies_sample import match
from splatworld.evaluate.dynamics_adaptation import adaptation_lines
from splatworld.evaluate.dynamics_beliefs import belief_lines
from splatworld.evaluate.dynamics_deformable import node_lines, picture_lines, speed_line
from splatworld.evaluate.dynamics_forces import force_lines
from splatworld.evaluate.dynamics_gnn import library_nodes, roll_graph, train_graph
from splatworld.evaluate.dynamics_joints import joint_lines
from splatworld.evaluate.dynamics_metrics import Errors, errors, joined, movers, spreads
from splatworld.evaluate.dynamics_pictures import save_worst
from splatworld.evaluate.dynamics_rollouts import RULES, Rollouts, mujoco, network, true
from splatworld.evaluate.dynamics_sets import TestSet, load_set, training_set
from splatworld.evaluate.dynamics_speed import speed_lines
from splatworld.evaluate.dynamics_stacks import alone_lines, stack_lines
from splatworld.evaluate.dynamics_toppling import topple_lines
from splatworld.evaluate.reconstruction import SAMPLE
from splatworld.evaluate.report import Line, Report, line
from splatworld.evaluate.resume import FOLDER, measure_parts
from splatworld.evaluate.sample_truth import read_truth
from splatworld.simulate.episodes import fixtures
from splatworld.simulate.episodes.deformable.families import DEFORMABLE

Progress = Callable[..., Any]

SECOND = 10
"""Actions."""
COUNT, QUICK_COUNT = 60, 6
"""Episodes a set."""
STANDING_COUNT = 160
"""Episodes a set of what is pushed over: sides are right or wrong, and a few say little."""
GRASP_COUNT = 100
"""Grasps a split."""
NODE_COUNT, QUICK_NODE_COUNT = 32, 4
"""Episodes a set of ropes, cloths or soft bodies."""
WORST = FOLDER / "dynamics-worst.png"
RENDERED = FOLDER / "dynamics-rendered.png"
GRAPH = FOLDER / "dynamics-gnn.safetensors"
GRAPH_MINUTES = 20.0
"""That the graph network is trained: on one core about as long as single steps of ours."""
PUSHES = {
    "one": ("one body, known families", (3.0, 6.0), (2.0, 3.0)),
    "held-out": ("one body, held-out shapes and tools", (5.0, 10.0), None),
    "several": ("2-4 bodies, held-out shapes and tools", (5.0, 10.0), None),
}
"""Set -> what it is called; mm after 1 s and 3 s; degrees."""


def run(*, quick: bool = False, long: bool = False, progress: Progress | None = None) -> Report:
    """Measure every row on episodes that are generated once and kept in `out/eval`.

    Args:
        quick: a few episodes a set, without targets that so few cannot judge.
        long: also train the graph network that is compared with, and networks on less data and of other sizes.
        progress: called with one sentence a step.
    """
    say = progress or (lambda *_: None)
    model = load_model()
    count = QUICK_COUNT if quick else COUNT
    node_count = QUICK_NODE_COUNT if quick else NODE_COUNT
    parts: dict[str, Callable[[], list[Line]]] = {}
    for name in PUSHES:
        parts[name] = partial(_push_part, model, name, count, say, graph=long)
    parts |= {
        "spread": lambda: spread_lines(model, count, say),
        "beliefs": lambda: belief_lines(model, count, say),
        "forces": lambda: force_lines(model, count, say),
        "events": lambda: dynamics_physics.event_lines(model, count, say),
        "speed": lambda: speed_lines(model, count, say, runs=3 if quick else 9),
        "minute": lambda: dynamics_physics.minute_lines(model, 1 if quick else 4, 6.0 if quick else 60.0, say),
    }
    standing_count = QUICK_COUNT if quick else STANDING_COUNT
    for name in dynamics_toppling.LABELS:
        parts[name] = partial(topple_lines, model, name, standing_count, say)
    for name in dynamics_stacks.LABELS:
        parts[name] = partial(stack_lines, model, name, standing_count, say)
    parts["stack alone"] = lambda: alone_lines(model, count, say, actions=SECOND if quick else 60 * SECOND)
    for kind in fixtures.KINDS:
        parts[kind] = partial(joint_lines, model, kind, count, say)
    grasp_count = QUICK_COUNT if quick else GRASP_COUNT
    for split in dynamics_grasp.LABELS:
        parts[f"grasp {split}"] = partial(dynamics_grasp.grasp_lines, model, split, grasp_count, say)
    for kind in DEFORMABLE:
        for split in ("test_known", "test_heldout"):
            parts[f"{kind} {split}"] = partial(node_lines, model, kind, split, node_count, say)
    parts["deformable speed"] = lambda: [speed_line(model, kind, node_count, say) for kind in DEFORMABLE]
    parts["deformed pictures"] = lambda: picture_lines(model, node_count, say)
    if not quick:
        parts["adaptation"] = lambda: adaptation_lines(model, count, say)
        parts["rendered"] = lambda: _rendered_part(model, say)
    if long:
        parts["growth"] = lambda: dynamics_growth.lines(say)
    if quick:
        lines = [each for measure in parts.values() for each in measure()]
        return Report("dynamics", [line(each.name, each.value, each.unit, None, each.baseline) for each in lines])
    return Report("dynamics", measure_parts("dynamics-long" if long else "dynamics", parts, say))


def push_lines(model: DynamicsModel, test_set: TestSet, say: Progress, *, graph: bool) -> list[Line]:
    """Rows of one set of pushes: against targets, rules, MuJoCo that does not know, and the graph network."""
    name, millimetres, degrees = PUSHES[test_set.name]
    methods = _methods(model, test_set, say, graph=graph)
    rows: list[Line] = []
    for seconds in (1, 3):
        actions = SECOND * seconds
        found: dict[str, list[Errors]] = {method: [] for method in methods}
        for start in range(0, test_set.actions - actions + 1, SECOND):
            truth = true(test_set.batch(start, actions))
            which = movers(test_set, truth)
            for method, roll in methods.items():
                say(f"{name}: {method}, {seconds} s from {start / SECOND:g} s")
                rollouts = roll(start, actions)
                found[method].append(errors(rollouts, truth, which))
                if seconds == 3 and method == "commanded":  # there a body that cannot give way stops the tool
                    rows += dynamics_physics.sunk_lines(name, test_set.batch(start, actions), rollouts, truth)
                if seconds == 3 and method == "network" and test_set.name == "several":
                    save_worst(test_set, rollouts, truth, which, WORST)
        rows += _compared(f"{name}, {seconds} s", {k: joined(v) for k, v in found.items()},
                          millimetres[seconds > 1], degrees[seconds > 1] if degrees else None)  # fmt: skip
    return rows


def _push_part(model: DynamicsModel, name: str, count: int, say: Progress, *, graph: bool) -> list[Line]:
    return push_lines(model, load_set(name, count, say), say, graph=graph)


def _rendered_part(model: DynamicsModel, say: Progress) -> list[Line]:
    world, truth = sample_world(say), read_truth(SAMPLE)
    found = match(world, SAMPLE, truth)
    return dynamics_rendered.rendered_lines(model, world, found, SAMPLE, truth, RENDERED, say)


def _methods(
    model: DynamicsModel, test_set: TestSet, say: Progress, *, graph: bool
) -> dict[str, Callable[[int, int], Rollouts]]:
    """Who predicts, each from an action on and so many of them."""

    def own(start: int, actions: int) -> Rollouts:
        return network(model, test_set.batch(start, actions))

    def commanded(start: int, actions: int) -> Rollouts:
        return network(model, test_set.batch(start, actions), test_set.sent(start, actions))

    def by_rule(rule: str, start: int, actions: int) -> Rollouts:
        return RULES[rule](test_set.batch(start, actions))

    methods: dict[str, Callable[[int, int], Rollouts]] = {"network": own, "commanded": commanded}
    methods |= {knowledge: partial(mujoco, test_set, knowledge) for knowledge in ("mean", "redrawn")}
    methods |= {rule: partial(by_rule, rule) for rule in RULES}
    return methods | ({"graph": _graph(test_set, say)} if graph else {})


def _compared(name: str, found: dict[str, Errors], millimetres: float, degrees: float | None) -> list[Line]:
    own, mean, redrawn = found["network"], found["mean"], found["redrawn"]
    middle, tail = own.place_mm(), own.place_mm(0.9)
    floor = f"MuJoCo redrawn {redrawn.place_mm():.1f}, at mean parameters {mean.place_mm():.1f}"
    rows = [
        line(f"{name}: position, median of {len(own.place)}", middle, "mm", f"<= {millimetres:g}", floor),
        line(f"{name}: position, p90", tail, "mm", None,
             f"MuJoCo redrawn {redrawn.place_mm(0.9):.1f}, at mean parameters {mean.place_mm(0.9):.1f}"),
        line(f"{name}: orientation, median", own.turn_degrees(), "degrees",
             None if degrees is None else f"<= {degrees:g}",
             f"MuJoCo redrawn {redrawn.turn_degrees():.1f}, at mean parameters {mean.turn_degrees():.1f}"),
        line(f"{name}: orientation, p90", own.turn_degrees(0.9), "degrees", None,
             f"MuJoCo redrawn {redrawn.turn_degrees(0.9):.1f}"),
        line(f"{name}: position with the tool as commanded, median", found["commanded"].place_mm(), "mm"),
        line(f"{name}: p90 against MuJoCo redrawn", tail / redrawn.place_mm(0.9), "x", "<= 1.2"),
        line(f"{name}: median against MuJoCo at mean parameters", middle / mean.place_mm(), "x", "<= 1"),
    ]  # fmt: skip
    for rule in RULES:
        other = found[rule].place_mm()
        rows.append(line(f"{name}: better than {rule}", other / middle, "x", ">= 10", f"{rule} {other:.1f} mm"))
    peer = f"{name}: better than a graph network"
    if "graph" in found:
        other = found["graph"].place_mm()
        rows.append(line(peer, other / middle, "x", ">= 1.5", f"graph network {other:.1f} mm"))
    else:
        rows.append(line(f"{peer}, which only --long trains", None, "x", ">= 1.5"))
    return rows


def _graph(test_set: TestSet, say: Progress) -> Callable[[int, int], Rollouts]:
    library, folders = training_set(say)
    model = train_graph(library, folders, GRAPH, minutes=GRAPH_MINUTES, say=say)
    nodes = library_nodes(test_set.library, [Path(test_set.folder)])
    return lambda start, actions: roll_graph(model, nodes, test_set.batch(start, actions))


def spread_lines(model: DynamicsModel, count: int, say: Progress) -> list[Line]:
    """Whether the network knows how sure it may be."""
    rows, typical = [], {}
    for name in (*PUSHES, "outside"):
        test_set = load_set(name, count, say)
        for actions in (SECOND, 3 * SECOND):
            batch = test_set.batch(0, actions)
            say(f"spread: {name}, {actions / SECOND:g} s")
            found, truth = network(model, batch), true(batch)
            known = spreads(found, truth, movers(test_set, truth))
            label = f"{PUSHES[name][0] if name in PUSHES else 'outside the training range'}, {actions / SECOND:g} s"
            typical[name, actions] = known.typical
            judged = name in PUSHES
            rows += [
                line(f"{label}: coordinates within the 90 % interval", 100 * known.held, "%",
                     ">= 85" if judged else None),
                line(f"{label}: coordinates outside the 90 % interval", 100 - 100 * known.held, "%",
                     ">= 5" if judged else None),
                line(f"{label}: rank correlation of spread and error", known.correlation, "",
                     ">= 0.6" if judged else None),
            ]  # fmt: skip
    ratio = typical["outside", SECOND] / typical["several", SECOND]
    rows.append(line("median spread outside the training range against 2-4 held-out bodies, 1 s", ratio, "x", ">= 1"))
    return rows
