"""Recorded episodes on disk: what moved, what was commanded, and apart from it the truth that no model may see.

    episodes.json               schema, scene family, seed, split, counts, a checksum for every file
    shards/00000.safetensors    some episodes each, bodies of all of them one after another
    shapes/*.safetensors        meshes and convex parts, one file a shape: episodes name their shapes
    tools/*.safetensors         the same of tools

Every shard is written at once, so a generation that was cut short keeps what it has and goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as decode_tensors
from safetensors.torch import save as encode_tensors
from torch import Tensor

from splatworld import body_tensors, documents
from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.checks import FormatError, InputError, ShapeError
from splatworld.files import write_file
from splatworld.store import file_hash

SCHEMA = 1
FORMAT = "splatworld-episodes"
MAX_BODIES = 8
"""Bodies to which episodes are padded."""
TABLE, TOOL = MAX_BODIES, MAX_BODIES + 1
"""Rows of `Episodes.impulses` that stand for the table and the tool."""
SUBSTATES = 5
"""States recorded an action."""


@dataclass(frozen=True)
class Truth:
    """What only the oracle knows of the bodies; padding is 0.

    Attributes:
        mass: [N, 8] kg.
        com: [N, 8, 3] m, true centre of mass in the body's frame, whose origin is that of the uniform solid.
        inertia: [N, 8, 3, 3] kg m^2 about the true centre of mass, body axes.
        table_friction, tool_friction: [N, 8] Coulomb's coefficient with the table and with the tool.
        body_friction: [N, 8, 8] between bodies.
    """

    mass: Tensor
    com: Tensor
    inertia: Tensor
    table_friction: Tensor
    tool_friction: Tensor
    body_friction: Tensor


@dataclass(frozen=True)
class Episodes:
    """N episodes of T actions and K = T * SUBSTATES + 1 states, padded to 8 bodies; the table is the plane z = 0.

    Attributes:
        shapes, tools: names that `shape_ids` and `tool_ids` count in; load them with `load_shape`.
        shape_ids: [N, 8] int64, -1 where there is no body.
        tool_ids: [N] int64, -1 without a tool.
        mask: [N, 8] bool, where there is a body.
        fixed: [N, 8] bool, bodies that nothing moves.
        poses: [N, K, 8, 7] world_from_body; the identity where there is no body.
        twists: [N, K, 8, 6] linear velocity of the origin m/s, angular velocity rad/s, world axes.
        asleep: [N, K, 8] bool: at rest, the pose that of the state before bit by bit.
        actions: [N, T, 4] commanded increments of the tool's x, y, z (m) and yaw (rad).
        targets: [N, T + 1, 4] where the tool's servos were commanded to at the ends of actions.
        joints, joint_velocities: [N, K, 4] the tool's x, y, z, yaw as achieved; its pose is (x, y, z), turned by yaw.
        force: [N, 4] N and N m, the most the servos give.
        penetration: [N, K] m, deepest since the state before.
        energy: [N, K, 2] J, kinetic and potential.
        impulses: [N, T, 10, 10] N s, normal impulses an action between bodies, `TABLE` and `TOOL`; symmetric. Sleeping
            bodies feel none.
        numbers: [N] int64, which draw of the seed each is.
        truth: hidden parameters.
    """

    shapes: tuple[str, ...]
    tools: tuple[str, ...]
    shape_ids: Tensor
    tool_ids: Tensor
    mask: Tensor
    fixed: Tensor
    poses: Tensor
    twists: Tensor
    asleep: Tensor
    actions: Tensor
    targets: Tensor
    joints: Tensor
    joint_velocities: Tensor
    force: Tensor
    penetration: Tensor
    energy: Tensor
    impulses: Tensor
    numbers: Tensor
    truth: Truth

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: slice | Tensor) -> Episodes:
        """Some of the episodes."""
        chosen: dict[str, Any] = {name: value[index] for name, value in vars(self).items() if isinstance(value, Tensor)}
        truth = Truth(**{f.name: getattr(self.truth, f.name)[index] for f in fields(Truth)})
        return replace(self, **chosen, truth=truth)


PER_BODY = ("fixed", *(f"truth.{name}" for name in ("mass", "com", "inertia", "table_friction", "tool_friction")))
PER_STATE = ("poses", "twists", "asleep")
PER_EPISODE = ("actions", "targets", "joints", "joint_velocities", "force", "penetration", "energy", "numbers")


def save_shard(path: Path, tensors: dict[str, Tensor], shapes: Iterable[str], tools: Iterable[str]) -> None:
    """Write one shard.

    Args:
        path: the file.
        tensors: `counts` [E] bodies an episode; per body [S] in their order `shape_ids` and `PER_BODY`; [K, S]
            `PER_STATE`; [E] `tool_ids` and `PER_EPISODE`; `truth.body_friction` [E, 8, 8]; `contacts` [C, 4] episode,
            action and two rows of `impulses`, with `contact_impulses` [C].
        shapes, tools: names that the ids count in.

    Raises:
        InputError: a number is not finite, or the file cannot be written.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {name} has numbers that are not finite; such an episode must be dropped.")
    named = {"shapes": json.dumps(list(shapes)), "tools": json.dumps(list(tools))}
    write_file(path, encode_tensors({name: t.contiguous() for name, t in tensors.items()}, metadata=named))


def read_document(path: str | Path) -> tuple[Path, dict[str, Any]]:
    """The folder of episodes at `path` and its `episodes.json`.

    Raises:
        InputError: there are no episodes at `path`.
        FormatError: `episodes.json` is damaged or of a newer schema.
    """
    folder = Path(path)
    again = "simulate some with `splatworld simulate`"
    file = folder / "episodes.json"
    document = documents.read_document(file, format=FORMAT, schema=SCHEMA, needs=("shards",), again=again)
    return folder, document


def load_episodes(path: str | Path, *, most: int | None = None) -> Episodes:
    """Read the episodes of a folder, whole or as far as its generation has come; every checksum is verified.

    Args:
        path: folder that `splatworld simulate` wrote.
        most: read only so many episodes, in whole shards.

    Raises:
        InputError: there are no episodes, or they are of deformable bodies.
        FormatError: a file is missing or damaged, named.
    """
    folder, document = read_document(path)
    shards: list[tuple[dict[str, Tensor], list[str], list[str]]] = []
    found = 0
    for name, entry in sorted(document["shards"].items()):
        if most is not None and found >= most:
            break
        shards.append(read_shard(folder / "shards" / name, entry["sha256"]))
        if "counts" not in shards[-1][0]:
            raise InputError(f"{path}: episodes of deformable bodies, expected rigid ones; use load_node_episodes.")
        found += len(shards[-1][0]["counts"])
    if not found:
        raise InputError(f"{path}: no episode is finished yet; let `splatworld simulate` go on.")
    shapes = tuple(sorted({name for _, names, _ in shards for name in names}))
    tools = tuple(sorted({name for _, _, names in shards for name in names}))
    parts = [_padded(shard, names, held, shapes, tools) for shard, names, held in shards]
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    truth = Truth(**{f.name: joined.pop(f"truth.{f.name}") for f in fields(Truth)})
    return Episodes(shapes=shapes, tools=tools, truth=truth, **joined)


def encode_shape(body: Body) -> bytes:
    """A shape's file, given as a body of unit density: its mass is its volume."""
    assert body.inertia is not None
    weight = {"volume": torch.tensor([body.mass], dtype=torch.float64), "inertia": body.inertia.double().contiguous()}
    return encode_tensors({**body_tensors.encode(body), **weight})


def load_shape(path: str | Path, name: str, *, kind: str = "shapes") -> Body:
    """A shape as a body of unit density (mass is m^3, inertia m^5) with mesh and convex parts, at the origin.

    Args:
        path: folder of episodes.
        name: as in `Episodes.shapes` or `Episodes.tools`.
        kind: "shapes" or "tools".

    Raises:
        InputError: the folder has no such shape.
        FormatError: its file is damaged.
    """
    folder, document = read_document(path)
    file = folder / kind / f"{name}.safetensors"
    if not file.is_file():
        raise InputError(f"{file}: no such shape; expected one of Episodes.{kind}.")
    expected = document.get(kind, {}).get(name)
    if expected is not None and file_hash(file) != expected:
        raise FormatError(f"{file}: damaged, its checksum differs; simulate the episodes again.")
    try:
        tensors = decode_tensors(file.read_bytes())
        weight: dict[str, Any] = {"mass": float(tensors["volume"]), "inertia": tensors["inertia"]}
        solid: dict[str, Any] = dict(body_tensors.decode(tensors))
    except Exception as error:  # safetensors raises a type of its own
        raise FormatError(f"{file}: damaged ({error}); simulate the episodes again.") from error
    at = pose.identity(dtype=torch.float64)
    return Body(name, "robot" if kind == "tools" else "rigid", at, **weight, **solid)


def read_shard(file: Path, expected: str) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """A shard's tensors and the names of its shapes and tools.

    Raises:
        FormatError: it is missing, or its checksum is not `expected`.
    """
    if not file.is_file():
        raise FormatError(f"{file}: missing; run the same `splatworld simulate` again, it makes what is not there.")
    content = file.read_bytes()
    if file_hash(file) != expected:
        raise FormatError(f"{file}: damaged, its checksum differs; delete it and run `splatworld simulate` again.")
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    return decode_tensors(content), json.loads(header["shapes"]), json.loads(header["tools"])


def _padded(
    shard: dict[str, Tensor],
    shapes: list[str],
    tools: list[str],
    all_shapes: tuple[str, ...],
    all_tools: tuple[str, ...],
) -> dict[str, Tensor]:
    """A shard with bodies in columns of their own, [E, ..., 8, ...], and ids that count in all names."""
    counts = shard["counts"]
    episodes, length = len(counts), shard["poses"].shape[0]
    if int(counts.max()) > MAX_BODIES:
        raise ShapeError(f"load_episodes: an episode has {int(counts.max())} bodies, expected at most {MAX_BODIES}.")
    mask = torch.arange(MAX_BODIES) < counts[:, None]
    found = {name: shard[name] for name in PER_EPISODE}
    found["mask"] = mask
    for name in PER_BODY:
        values = shard[name]
        full = values.new_zeros(episodes, MAX_BODIES, *values.shape[1:])
        full[mask] = values
        found[name] = full
    for name in PER_STATE:
        values = shard[name].transpose(0, 1)  # bodies first
        full = values.new_zeros(episodes, MAX_BODIES, length, *values.shape[2:])
        if name == "poses":
            full[..., 3] = 1
        full[mask] = values
        found[name] = full.transpose(1, 2).contiguous()
    for name in ("fixed", "asleep"):
        found[name] = found[name].bool()
    found["truth.body_friction"] = shard["truth.body_friction"]
    place = torch.tensor([all_shapes.index(name) for name in shapes])
    found["shape_ids"] = torch.full((episodes, MAX_BODIES), -1)
    found["shape_ids"][mask] = place[shard["shape_ids"]]
    held = torch.tensor([*(all_tools.index(name) for name in tools), -1])
    found["tool_ids"] = held[shard["tool_ids"]]  # -1 finds the last, which is -1
    impulses = torch.zeros(episodes, shard["actions"].shape[1], MAX_BODIES + 2, MAX_BODIES + 2)
    episode, action, a, b = shard["contacts"].long().unbind(1)
    impulses[episode, action, a, b] = impulses[episode, action, b, a] = shard["contact_impulses"]
    found["impulses"] = impulses
    return found
