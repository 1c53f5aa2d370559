"""Where nodes of deformable bodies go that are as stiff, heavy and rough as the average: what the network corrects."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld import native
from splatworld.dynamics.nets import Net
from splatworld.dynamics.scene import Scene, room

FRICTION = 0.5
"""Coulomb's, between nodes and bodies; see `coasting.FRICTION`."""
STEPS, ITERATIONS = 20, 4
"""Small steps an action, and passes over all constraints in each."""
GRIP = 0.0
"""m inside a tool from which on a node is held by it: what is pushed stays outside by its thickness."""
MEMORY = 0.75
"""Share of how far a node lies beside the line between its neighbours that nothing straightens: friction held it there,
or it is made so."""
SLACK, LOOKS = 0.01, 45
"""Share of its length by which an edge may be off after projection, and passes of that."""


@dataclass(frozen=True)
class Swung:
    """Where N nodes get, and what moved them.

    Attributes:
        points: [N, 3] m.
        velocities: [N, 3] m/s.
        holder: [N] int32, the tool that holds a node, -1 where none does.
        push: [N, 3] m in all, how far bodies that can move pushed it.
        rub: [N, 3] m, the same of friction.
        carried: [N, 3] m, the same of what stands still.
        gap: [N] m to the nearest body that can move.
    """

    points: Tensor
    velocities: Tensor
    holder: Tensor
    push: Tensor
    rub: Tensor
    carried: Tensor
    gap: Tensor


def swing(
    scene: Scene, net: Net, points: Tensor, velocities: Tensor, starts: Tensor, ends: Tensor, wanted: Tensor,
    seconds: float,
) -> Swung:  # fmt: skip
    """Nodes that fall, keep together, and are pushed by bodies and by each other.

    Extended position-based dynamics in small steps (Macklin, Müller, Chentanez, "XPBD: position-based simulation of
    compliant constrained dynamics", 2016; Macklin et al., "Small steps in physics simulation", 2019), with Coulomb's
    friction. Nothing bounces. Nodes do not push bodies. What is inside a tool, or between two, goes with it, and that
    tool does not push the edges that lead there. No gradients pass.

    Args:
        scene: of S states.
        net: of the same states, N nodes.
        points, velocities: [N, 3] m and m/s.
        starts, ends: [S, B, 7] where bodies start and end; they go straight from one to the other.
        wanted: [S] bool; nodes of other states stay.
        seconds: how long the step is.
    """
    rules = native.load().NodeRules(STEPS, ITERATIONS, FRICTION, GRIP, MEMORY, 0.0)
    return _run(scene, net, rules, points, velocities, starts, ends, wanted, seconds)


def project_nodes(scene: Scene, net: Net, points: Tensor, ends: Tensor, wanted: Tensor, held: Tensor) -> Tensor:
    """Nodes [N, 3] at their lengths, out of bodies and apart from each other, at the end of a step.

    Args:
        scene, net, points, wanted: as of `swing`.
        ends: [S, B, 7] where bodies are.
        held: [N] bool, nodes that stay.
    """
    rules = native.load().NodeRules(1, LOOKS, 0.0, GRIP, 0.0, SLACK)
    found = _run(scene, net, rules, points, torch.zeros_like(points), ends, ends, wanted, 0.1)
    return torch.where(held[:, None], points, found.points)


def _run(
    scene: Scene, net: Net, rules: object, points: Tensor, velocities: Tensor, starts: Tensor, ends: Tensor,
    wanted: Tensor, seconds: float,
) -> Swung:  # fmt: skip
    kernels, count = native.load(), len(net.radius)
    after, speed = torch.empty(2, count, 3, dtype=torch.float64)
    holder = torch.empty(count, dtype=torch.int32)
    push, rub, carried = torch.empty(3, count, 3)
    gap = torch.empty(count)
    kernels.swing_nodes(
        scene.packed, net.packed, rules, points.detach().double().contiguous(),
        velocities.detach().double().contiguous(), scene.posed(starts), scene.posed(ends),
        wanted.contiguous().view(torch.uint8), scene.gravity.float().contiguous(), seconds,
        room(kernels.nodes_room(scene.packed, net.packed)), after, speed, holder, push, rub, carried, gap,
    )  # fmt: skip
    return Swung(after, speed, holder, push, rub, carried, gap)
