"""Episodes of deformable bodies as one training set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.dynamics.library import NOTHING, TABLE, pack_folders
from splatworld.dynamics.nets import Net, body_net, stacked
from splatworld.dynamics.scene import DENSITY, Kind, Scene, Solids
from splatworld.episodes import SUBSTATES
from splatworld.node_episodes import NodeEpisodes, load_node_episodes

BODIES = 3
"""Bodies of a state: the table, what stands there, the tool."""
STILL = 1e-3
"""m/s and m up to which nothing moves."""


@dataclass(frozen=True)
class NodeLibrary:
    """Episodes of folders, their shapes, and their nets.

    Attributes:
        solids: all shapes; the table is the first, the second is nothing.
        episodes: by folder.
        nets: by folder and episode, of one state each.
        shape_ids, kinds: by folder, [N, BODIES].
        windows: [W, 3] int64 folder, episode and action in which nodes move.
    """

    solids: Solids
    episodes: tuple[NodeEpisodes, ...]
    nets: tuple[tuple[Net, ...], ...]
    shape_ids: tuple[Tensor, ...]
    kinds: tuple[Tensor, ...]
    windows: Tensor


@dataclass(frozen=True)
class NodeBatch:
    """S stretches of episodes, each A actions long, N nodes in all.

    Attributes:
        scene, net: of S states.
        points, velocities: [A + 1, N, 3] m and m/s.
        poses: [A + 1, S, BODIES, 7] of table, obstacle and tool.
        numbers: [S, 3] folder, episode and action.
    """

    scene: Scene
    net: Net
    points: Tensor
    velocities: Tensor
    poses: Tensor
    numbers: Tensor


def load_node_library(
    folders: Sequence[str | Path], *, most: int | None = None, progress: Callable[[int, int], object] | None = None
) -> NodeLibrary:
    """Read episodes of deformable bodies and pack their shapes; arguments and errors as of `load_library`."""
    if not folders:
        raise InputError("train-dynamics: no episodes; name folders that `splatworld simulate` wrote.")
    loaded = [(Path(folder), load_node_episodes(folder, most=most)) for folder in folders]
    wanted = [
        (folder, [("shapes", name) for name in each.obstacles] + [("tools", name) for name in each.tools])
        for folder, each in loaded
    ]
    solids, place = pack_folders(wanted, bodies=BODIES, progress=progress)
    ids, kinds, nets, windows = [], [], [], []
    for i, (_, each) in enumerate(loaded):
        obstacles = torch.tensor([*(place[i, "shapes", name] for name in each.obstacles), NOTHING])
        tools = torch.tensor([*(place[i, "tools", name] for name in each.tools), NOTHING])
        rows = torch.stack([torch.full_like(each.tool_ids, TABLE), obstacles[each.obstacle_ids],
                            tools[each.tool_ids]], dim=1)  # fmt: skip
        roles = torch.zeros(len(each), BODIES, dtype=torch.int64)
        roles[:, 2] = torch.where(each.tool_ids >= 0, int(Kind.TOOL), int(Kind.STATIC))
        ids.append(rows.int())
        kinds.append(roles)
        nets.append(tuple(_net(each, number) for number in range(len(each))))
        windows.append(_busy(each, i))
    found = torch.cat(windows)
    if not len(found):
        raise InputError("train-dynamics: nothing moves in these episodes; name others.")
    return NodeLibrary(solids, tuple(each for _, each in loaded), tuple(nets), tuple(ids), tuple(kinds), found)


def draw_nodes(library: NodeLibrary, size: int, actions: int, generator: torch.Generator) -> NodeBatch:
    """A batch of stretches that begin where something moves."""
    lengths = torch.tensor([each.actions.shape[1] for each in library.episodes])
    windows = library.windows[library.windows[:, 2] + actions <= lengths[library.windows[:, 0]]]
    if not len(windows):
        raise InputError(f"train-dynamics: no episode lasts {actions} actions; lower the horizon.")
    return node_stretches(library, windows[torch.randint(len(windows), (size,), generator=generator)], actions)


def node_stretches(library: NodeLibrary, chosen: Tensor, actions: int) -> NodeBatch:
    """Stretches of episodes [S, 3] folder, episode, and action that each begins with, in their order."""
    nets, points, velocities, poses, ids, kinds = [], [], [], [], [], []
    for folder, number, start in chosen.tolist():
        each, states = library.episodes[folder], slice(start, start + actions + 1)
        there = each.mask[number]
        nets.append(library.nets[folder][number])
        points.append(each.points[number, states][:, there].double())
        velocities.append(each.velocities[number, states][:, there].double())
        joints = each.joints[number, ::SUBSTATES][states].double()
        poses.append(_poses(each.obstacle_poses[number].double(), joints))
        ids.append(library.shape_ids[folder][number])
        kinds.append(library.kinds[folder][number])
    rows = torch.stack(ids)
    mass = DENSITY * library.solids.volume[rows.long()]
    down = torch.tensor([0.0, 0.0, -9.81])
    scene = Scene(library.solids, rows, torch.stack(kinds), mass, library.solids.shapes.pairs, down)
    return NodeBatch(
        scene, stacked(nets), torch.cat(points, 1), torch.cat(velocities, 1), torch.stack(poses, 1), chosen
    )


def _poses(obstacle: Tensor, joints: Tensor) -> Tensor:
    """[T, BODIES, 7] of table, obstacle and tool at joints [T, 4]."""
    half, still = joints[:, 3:] / 2, torch.zeros(len(joints), 2, dtype=torch.float64)
    tool = torch.cat([joints[:, :3], half.cos(), still, half.sin()], dim=-1)
    table = pose.identity(len(joints), dtype=torch.float64)
    return torch.stack([table, obstacle.expand(len(joints), 7), tool], dim=1)


def _net(episodes: NodeEpisodes, number: int) -> Net:
    edges = episodes.edges[number]
    edges = edges[edges[:, 0] >= 0]
    radii = episodes.radius[number].expand(len(edges))
    places = episodes.natural[number][episodes.mask[number]].double()
    rest = pose.identity(len(places), dtype=torch.float64)
    rest[:, :3] = places
    return body_net(rest, edges, radii)


def _busy(episodes: NodeEpisodes, folder: int) -> Tensor:
    """[W, 3] folder, episode and action in which a node moves, or moved in the one before."""
    way = (episodes.points.diff(dim=1).norm(dim=-1) * episodes.mask[:, None]).amax(-1)
    busy = way > STILL
    busy[:, 1:] |= way[:, :-1] > STILL
    episode, action = busy.nonzero().unbind(-1)
    return torch.stack([torch.full_like(episode, folder), episode, action], dim=-1)
