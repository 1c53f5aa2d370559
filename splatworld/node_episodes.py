"""Recorded episodes of deformable bodies on disk: one rope, cloth or soft body each, node by node.

Folders are those of `splatworld.episodes`, with other tensors in their shards; `load_shape` reads tools and obstacles.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splatworld.core.checks import InputError
from splatworld.episodes import read_document, read_shard

KINDS = ("rope", "cloth", "soft")


@dataclass(frozen=True)
class NodeTruth:
    """What only the oracle knows, [N] each.

    Attributes:
        mass: kg.
        stiffness: N m^2 of a rope and N m of a cloth when bent, Pa of a soft body.
        damping: s.
        table_friction, tool_friction, self_friction: Coulomb's coefficients.
    """

    mass: Tensor
    stiffness: Tensor
    damping: Tensor
    table_friction: Tensor
    tool_friction: Tensor
    self_friction: Tensor


@dataclass(frozen=True)
class NodeEpisodes:
    """N episodes of T actions, padded to M nodes, E edges and F triangles; the table is the plane z = 0.

    Attributes:
        tools, obstacles: names that the ids count in; `load_shape` reads them, tools with kind "tools".
        kinds: [N] int64 into `KINDS`.
        mask: [N, M] bool, where there is a node.
        edges: [N, E, 2] int64 pairs of nodes that keep their distance, more or less; -1 beyond the last.
        triangles: [N, F, 3] int64 of a cloth, or a soft body's surface, facing outward; -1 beyond the last.
        elements: [N, Q, 4] int64 segments, triangles or tetrahedra of which it is made; -1 where there is none.
        natural: [N, M, 3] m, nodes of the body at rest: straight, flat or standing.
        radius: [N] m by which it is thicker than what its edges and triangles span.
        tool_ids: [N] int64, -1 without a tool.
        held: [N] int64 node that the tool holds, -1 where it holds none.
        force: [N, 4] N and N m, the most the servos give.
        obstacle_ids: [N] int64 of something that nothing moves, -1 without one.
        obstacle_poses: [N, 7] world_from_body.
        points: [N, T + 1, M, 3] m, nodes at the ends of actions; 0 where there is none.
        velocities: [N, T + 1, M, 3] m/s.
        actions: [N, T, 4] commanded increments of the tool's x, y, z (m) and yaw (rad).
        targets: [N, T + 1, 4] where the tool's servos were commanded to at the ends of actions.
        joints, joint_velocities: [N, T * SUBSTATES + 1, 4] the tool's x, y, z, yaw as achieved.
        numbers: [N] int64, which draw of the seed each is.
        truth: hidden parameters.
    """

    tools: tuple[str, ...]
    obstacles: tuple[str, ...]
    kinds: Tensor
    mask: Tensor
    edges: Tensor
    triangles: Tensor
    elements: Tensor
    natural: Tensor
    radius: Tensor
    tool_ids: Tensor
    held: Tensor
    force: Tensor
    obstacle_ids: Tensor
    obstacle_poses: Tensor
    points: Tensor
    velocities: Tensor
    actions: Tensor
    targets: Tensor
    joints: Tensor
    joint_velocities: Tensor
    numbers: Tensor
    truth: NodeTruth

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: slice | Tensor) -> NodeEpisodes:
        """Some of the episodes."""
        chosen: dict[str, Any] = {name: value[index] for name, value in vars(self).items() if isinstance(value, Tensor)}
        truth = NodeTruth(**{f.name: getattr(self.truth, f.name)[index] for f in fields(NodeTruth)})
        return replace(self, **chosen, truth=truth)


PLAIN = ("kinds", "radius", "held", "force", "obstacle_poses", "actions", "targets", "joints", "joint_velocities",
         "numbers")  # fmt: skip
"""What every episode has as much of."""
COUNTED = {"edges": "edge_counts", "triangles": "triangle_counts", "elements": "element_counts"}
"""What episodes have different numbers of -> where they are counted."""


def load_node_episodes(path: str | Path, *, most: int | None = None) -> NodeEpisodes:
    """Read the episodes of a folder, whole or as far as its generation has come; every checksum is verified.

    Args:
        path: folder that `splatworld simulate rope`, `cloth` or `soft` wrote.
        most: read only so many episodes, in whole shards.

    Raises:
        InputError: there are no episodes, or none of deformable bodies.
        FormatError: a file is missing or damaged, named.
    """
    folder, document = read_document(path)
    shards: list[tuple[dict[str, Tensor], list[str], list[str]]] = []
    found = 0
    for name, entry in sorted(document["shards"].items()):
        if most is not None and found >= most:
            break
        shard = read_shard(folder / "shards" / name, entry["sha256"])
        if "node_counts" not in shard[0]:
            raise InputError(f"{path}: episodes of rigid bodies, expected some of {', '.join(KINDS)}; "
                             "use load_episodes.")  # fmt: skip
        shards.append(shard)
        found += len(shard[0]["numbers"])
    if not found:
        raise InputError(f"{path}: no episode is finished yet; let `splatworld simulate` go on.")
    obstacles = tuple(sorted({name for _, names, _ in shards for name in names}))
    tools = tuple(sorted({name for _, _, names in shards for name in names}))
    widths = {count: max(int(s[count].max()) for s, _, _ in shards) for count in ("node_counts", *COUNTED.values())}
    parts = [_padded(shard, widths) for shard, _, _ in shards]
    for part, (_, known, held) in zip(parts, shards, strict=True):
        part["obstacle_ids"] = _renumbered(part["obstacle_ids"], known, obstacles)
        part["tool_ids"] = _renumbered(part["tool_ids"], held, tools)
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    truth = NodeTruth(**{f.name: joined.pop(f"truth.{f.name}") for f in fields(NodeTruth)})
    return NodeEpisodes(tools=tools, obstacles=obstacles, truth=truth, **joined)


def _renumbered(ids: Tensor, names: list[str], all_names: tuple[str, ...]) -> Tensor:
    return torch.tensor([*(all_names.index(name) for name in names), -1])[ids]  # -1 finds the last, which is -1


def _padded(shard: dict[str, Tensor], widths: dict[str, int]) -> dict[str, Tensor]:
    """A shard with an episode a row."""
    found = {name: shard[name] for name in (*PLAIN, "tool_ids", "obstacle_ids")}
    found |= {name: value for name, value in shard.items() if name.startswith("truth.")}
    for name, count in COUNTED.items():
        found[name] = _rows(shard[name], shard[count], widths[count], -1)
    counts = shard["node_counts"]
    found["mask"] = torch.arange(widths["node_counts"]) < counts[:, None]
    found["natural"] = _rows(shard["natural"], counts, widths["node_counts"], 0)
    for name in ("points", "velocities"):
        nodes_first = shard[name].transpose(0, 1)
        found[name] = _rows(nodes_first, counts, widths["node_counts"], 0).transpose(1, 2).contiguous()
    return found


def _rows(values: Tensor, counts: Tensor, width: int, fill: int) -> Tensor:
    """Values [sum of counts, ...] as [N, width, ...]."""
    full = values.new_full((len(counts), width, *values.shape[1:]), fill)
    full[torch.arange(width) < counts[:, None]] = values
    return full
