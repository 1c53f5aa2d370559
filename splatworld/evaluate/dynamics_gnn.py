"""What others would do: a graph network over nodes of the surfaces, 3 cm apart, trained on the same episodes.

Message passing between nodes of one body and of bodies near each other, then the rigid motion that fits the nodes'
displacements best (Sanchez-Gonzalez et al., "Learning to simulate complex physics with graph networks", 2020; rigid
bodies as of Li et al., "Learning particle dynamics for manipulating rigid bodies", 2019).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from splatworld.core import pose
from splatworld.core.robot import ACTION_SECONDS
from splatworld.dynamics.library import Batch, Library, draw
from splatworld.dynamics.losses import Noise, disturbed
from splatworld.dynamics.scene import Kind
from splatworld.dynamics.touch import moved, travelled
from splatworld.episodes import SUBSTATES, load_shape
from splatworld.evaluate.dynamics_rollouts import Rollouts
from splatworld.unfinished import read_tensors, write_tensors

SPACING = 0.03
"""m between nodes."""
MOST = 40
"""Nodes a body, at most."""
RADIUS = 0.045
"""m within which nodes of different bodies see each other."""
NEIGHBOURS = 6
"""Of each node, within its body."""
WIDTH, ROUNDS = 64, 3
NODE, EDGE = 17, 8
UNIT = 0.002
"""m of displacement error that are one unit of loss."""


def surface_nodes(vertices: Tensor, faces: Tensor) -> Tensor:
    """[P, 3] of a mesh's surface, farthest points first, until they are `SPACING` apart; 4 to `MOST`."""
    generator = torch.Generator().manual_seed(0)
    corners = vertices.double()[faces.long()]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1)
    chosen = torch.multinomial(area, 1500, replacement=True, generator=generator)
    share = torch.rand(2, 1500, 1, generator=generator, dtype=torch.float64)
    share = torch.where(share.sum(0) > 1, 1 - share, share)
    a, b, c = corners[chosen].unbind(1)
    points = torch.cat([vertices.double(), a + share[0] * (b - a) + share[1] * (c - a)])
    kept = [points[points.norm(dim=-1).argmax()]]
    gap = (points - kept[0]).norm(dim=-1)
    while len(kept) < MOST and (len(kept) < 4 or gap.max() > SPACING):
        kept.append(points[gap.argmax()])
        gap = torch.minimum(gap, (points - kept[-1]).norm(dim=-1))
    return torch.stack(kept)


@dataclass(frozen=True)
class Nodes:
    """Nodes of all shapes of a library.

    Attributes:
        points: [L, MOST, 3] m, body frame.
        used: [L, MOST] bool.
    """

    points: Tensor
    used: Tensor


def library_nodes(library: Library, folders: list[Path]) -> Nodes:
    """Nodes of the shapes in the order in which `load_library` packed them."""
    points, used = torch.zeros(2, MOST, 3).double(), torch.zeros(2, MOST, dtype=torch.bool)
    rows, masks = [points], [used]
    for folder, episodes in zip(folders, library.episodes, strict=True):
        for kind, names in (("shapes", episodes.shapes), ("tools", episodes.tools)):
            for name in names:
                mesh = load_shape(folder, name, kind=kind).mesh
                assert mesh is not None
                found = surface_nodes(mesh.vertices, mesh.faces)
                row = torch.zeros(1, MOST, 3).double()
                row[0, : len(found)] = found
                rows.append(row)
                masks.append((torch.arange(MOST) < len(found))[None])
    return Nodes(torch.cat(rows), torch.cat(masks))


def _mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.SiLU(), nn.Linear(WIDTH, outputs))


class GraphNetwork(nn.Module):
    """Displacements of nodes in one action."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes, self.edges, self.head = _mlp(NODE, WIDTH), _mlp(EDGE, WIDTH), _mlp(WIDTH, 3)
        self.messages = nn.ModuleList(_mlp(3 * WIDTH, WIDTH) for _ in range(ROUNDS))
        self.updates = nn.ModuleList(_mlp(2 * WIDTH, WIDTH) for _ in range(ROUNDS))

    def forward(self, nodes: Tensor, edges: Tensor, ends: Tensor) -> Tensor:
        """Nodes [P, NODE], edges [E, EDGE] between ends [2, E] -> [P, 3] cm."""
        seen, along = self.nodes(nodes), self.edges(edges)
        for message, update in zip(self.messages, self.updates, strict=True):
            along = along + message(torch.cat([along, seen[ends[0]], seen[ends[1]]], dim=-1))
            heard = torch.zeros_like(seen).index_add(0, ends[1], along)
            seen = seen + update(torch.cat([seen, heard / 4], dim=-1))
        return self.head(seen)


def predicted(model: GraphNetwork, nodes: Nodes, batch: Batch, poses: Tensor, twists: Tensor, tools: Tensor) -> tuple[
    Tensor, Tensor, Tensor]:  # fmt: skip
    """Displacements [P, 3] m of nodes at (states, bodies, nodes) [P, 3], and the nodes [P, 3] m as they are.

    Args:
        model: the network.
        nodes: of the batch's library.
        batch: whose scenes.
        poses, twists: [S, B, 7] and [S, B, 6] now.
        tools: [S, B, 6] m and rad, how tools move.
    """
    scene = batch.scene
    ids = scene.shape_ids.long()
    used = nodes.used[ids]
    world = pose.transform(poses[..., None, :], nodes.points[ids])
    where = used.nonzero()
    at = tuple(where.unbind(-1))
    place, body = world[at], (at[0], at[1])
    arm = place - poses[body][:, :3]
    velocity = twists[body][:, :3] + torch.linalg.cross(twists[body][:, 3:], arm)
    way = tools[body][:, :3] + torch.linalg.cross(tools[body][:, 3:], arm)
    kind = nn.functional.one_hot(scene.kinds[body], 3)
    own = torch.cat(
        [velocity / 0.25, way / 0.01, kind, place[:, 2:] / 0.05, arm / 0.05, nodes.points[ids][at] / 0.05,
         torch.ones(len(where), 1)], dim=-1,
    ).float()  # fmt: skip
    ends = _edges(world, used, where)
    gap, speed = place[ends[0]] - place[ends[1]], velocity[ends[0]] - velocity[ends[1]]
    same = (at[1][ends[0]] == at[1][ends[1]]).double()[:, None]
    between = torch.cat([gap / RADIUS, gap.norm(dim=-1, keepdim=True) / RADIUS, speed / 0.25, same], dim=-1).float()
    shift = 0.01 * model(own, between, ends).double() + ACTION_SECONDS * velocity
    return shift, where, place


def _edges(world: Tensor, used: Tensor, where: Tensor) -> Tensor:
    """[2, E] between nodes near each other, both ways."""
    states, bodies, most = used.shape
    index = torch.full((states, bodies * most), -1)
    index[where[:, 0], where[:, 1] * most + where[:, 2]] = torch.arange(len(where))
    flat = world.flatten(1, 2).float()
    gaps = torch.cdist(flat, flat)
    valid = index >= 0
    gaps.masked_fill_(~(valid[:, :, None] & valid[:, None]), torch.inf)
    gaps.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    owner = torch.arange(bodies).repeat_interleave(most)
    same = owner[:, None] == owner
    inside = gaps.masked_fill(~same, torch.inf)
    nearest = inside.topk(NEIGHBOURS, largest=False)
    chosen = torch.zeros_like(gaps, dtype=torch.bool).scatter_(2, nearest.indices, nearest.values < torch.inf)
    chosen |= (gaps < RADIUS) & ~same
    state, a, b = (chosen | chosen.mT).nonzero().unbind(-1)
    return torch.stack([index[state, a], index[state, b]])


def rigid_motion(before: Tensor, shift: Tensor, where: Tensor, poses: Tensor) -> Tensor:
    """Poses [S, B, 7] moved as fits displacements of nodes best in the least squares (Kabsch, 1976)."""
    states, bodies = poses.shape[:2]
    row = where[:, 0] * bodies + where[:, 1]
    size = states * bodies
    count = torch.zeros(size, 1).double().index_add(0, row, torch.ones(len(row), 1).double()).clamp(min=1)
    means = [torch.zeros(size, 3).double().index_add(0, row, each) / count for each in (before, before + shift)]
    a, b = before - means[0][row], before + shift - means[1][row]
    spread = torch.zeros(size, 3, 3).double().index_add(0, row, b[:, :, None] * a[:, None])
    spread = spread + 1e-9 * torch.eye(3).double()
    u, _, vh = torch.linalg.svd(spread)
    sign = torch.ones(size, 3).double()
    sign[:, 2] = torch.linalg.det(u @ vh)
    turn = pose.matrix_to_quat(u @ (sign[:, :, None] * vh))
    flat = poses.flatten(0, 1)
    place = means[1] + pose.rotate(turn, flat[:, :3] - means[0])
    quat = pose.normalize_quat(pose.multiply_quats(turn, flat[:, 3:]))
    return torch.cat([place, quat], dim=-1).reshape(states, bodies, 7)


def train_graph(
    library: Library, folders: list[Path], file: Path, *, minutes: float, batch: int = 12, seed: int = 0,
    say: Callable[..., object],
) -> GraphNetwork:  # fmt: skip
    """Train for some minutes of one core, single steps with the noise of our own; kept in `file`."""
    torch.manual_seed(seed)
    model = GraphNetwork()
    kept = read_tensors(file, f"gnn {minutes} {seed}")
    if kept is not None:
        model.load_state_dict(kept[0])
        return model.eval()
    nodes = library_nodes(library, folders)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    begin, step = time.process_time(), 0
    while (done := (time.process_time() - begin) / (60 * minutes)) < 1:
        optimizer.param_groups[0]["lr"] = 1e-5 + 1e-3 * 0.5 * (1 + math.cos(math.pi * done))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        drawn = draw(library, batch, 1, generator)
        now = disturbed(drawn, torch.zeros(batch, dtype=torch.int64), Noise(), generator)
        tools = _tool_ways(drawn, now.poses, drawn.poses[:, SUBSTATES])
        shift, where, place = predicted(model, nodes, drawn, now.poses, now.twists, tools)
        ids = drawn.scene.shape_ids.long()
        at = tuple(where.unbind(-1))
        actual = pose.transform(drawn.poses[:, SUBSTATES][at[:2]], nodes.points[ids][at]) - place
        free = drawn.scene.free[at[:2]]
        loss = nn.functional.huber_loss(shift[free] / UNIT, actual[free] / UNIT)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 200 == 0:
            say(f"graph network: step {step}, loss {float(loss.detach()):.3f}")
        step += 1
    write_tensors(file, model.state_dict(), key=f"gnn {minutes} {seed}", values={"steps": step})
    return model.eval()


@torch.no_grad()
def roll_graph(model: GraphNetwork, nodes: Nodes, batch: Batch) -> Rollouts:
    """Episodes by the graph network; tools go where they went."""
    truth = batch.poses[:, ::SUBSTATES]
    poses, twists = truth[:, 0], batch.twists[:, 0]
    found = [(poses, twists)]
    for t in range(truth.shape[1] - 1):
        tools = _tool_ways(batch, truth[:, t], truth[:, t + 1])
        poses = torch.where(batch.scene.tool[..., None], truth[:, t], poses)
        shift, where, place = predicted(model, nodes, batch, poses, twists, tools)
        after = torch.where(batch.scene.free[..., None], rigid_motion(place, shift, where, poses), poses)
        after = moved(after, torch.zeros_like(twists))
        twists = torch.where(batch.scene.free[..., None], travelled(poses, after) / ACTION_SECONDS, twists)
        poses = torch.where(batch.scene.tool[..., None], truth[:, t + 1], after)
        found.append((poses, twists))
    each = torch.stack([pair[0] for pair in found], dim=1)
    speeds = torch.stack([pair[1] for pair in found], dim=1)[:, :, 1:-1]
    none = torch.zeros_like(speeds)
    return Rollouts(each[:, :, 1:-1], speeds, truth[:, :, -1], none)


def _tool_ways(batch: Batch, poses: Tensor, ends: Tensor) -> Tensor:
    return torch.where((batch.scene.kinds == Kind.TOOL)[..., None], travelled(poses, ends), 0.0)
