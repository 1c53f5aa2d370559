"""Episodes as one training set: all shapes packed together, scenes of different bodies side by side in a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.checks import InputError
from splatworld.core.latents import CENTER, DENSITY, FRICTION, MASS, SUPPORT_FRICTION, TOOL_FRICTION
from splatworld.core.state import LATENTS
from splatworld.dynamics.scene import Kind, Scene, Solids, pack_solids
from splatworld.episodes import MAX_BODIES, SUBSTATES, Episodes, Truth, load_episodes, load_shape, read_document
from splatworld.geometry.distance import distance_grid

SPACING, MARGIN = 0.003, 0.025
"""m of the distance grids: coarser and tighter than a world's, there are hundreds of them."""
BODIES = MAX_BODIES + 2
"""Bodies of a batch: the table, those of the episode, the tool last."""
TABLE, NOTHING = 0, 1
"""Shapes that every library begins with."""
SETTLED = 2
"""Actions after a body fell asleep that are still worth training on."""


@dataclass(frozen=True)
class Library:
    """E episodes of possibly different lengths, and their shapes.

    Attributes:
        solids: all shapes; the table is the first, the second is nothing.
        episodes: by folder.
        shape_ids: by folder, [N, BODIES] int32.
        kinds: by folder, [N, BODIES] int64.
        windows: [W, 3] int64 folder, episode and action in which something moves.
    """

    solids: Solids
    episodes: tuple[Episodes, ...]
    shape_ids: tuple[Tensor, ...]
    kinds: tuple[Tensor, ...]
    windows: Tensor


@dataclass(frozen=True)
class Batch:
    """S stretches of episodes, each A actions long.

    Attributes:
        scene: of S states.
        poses: [S, A * SUBSTATES + 1, BODIES, 7] float64.
        twists: [S, A * SUBSTATES + 1, BODIES, 6] float64.
        latents: [S, BODIES, 8] float32, what is true of those that are free.
        numbers: [S] int64, which episode each is of.
    """

    scene: Scene
    poses: Tensor
    twists: Tensor
    latents: Tensor
    numbers: Tensor


def load_library(
    folders: Sequence[str | Path], *, most: int | None = None, progress: Callable[[int, int], object] | None = None
) -> Library:
    """Read episodes and pack their shapes.

    Args:
        folders: that `splatworld simulate` wrote.
        most: episodes of each, in whole shards.
        progress: told how many shapes are packed, and of how many.

    Raises:
        InputError: no folders, or one without episodes.
        FormatError: a damaged file, named.
    """
    if not folders:
        raise InputError("train-dynamics: no episodes; name folders that `splatworld simulate` wrote.")
    loaded = [(Path(folder), load_episodes(folder, most=most)) for folder in folders]
    wanted = [(folder, _names(each)) for folder, each in loaded]
    solids, place = pack_folders(wanted, bodies=BODIES, progress=progress)
    ids, kinds, windows = [], [], []
    for i, (_, each) in enumerate(loaded):
        rows, roles = _cast(each, i, place)
        ids.append(rows)
        kinds.append(roles)
        windows.append(_busy(each, i))
    found = torch.cat(windows)
    if not len(found):
        raise InputError("train-dynamics: nothing moves in these episodes; name others.")
    return Library(solids, tuple(each for _, each in loaded), tuple(ids), tuple(kinds), found)


def pack_folders(
    folders: Sequence[tuple[Path, list[tuple[str, str]]]],
    *,
    bodies: int,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[Solids, dict[tuple[int, str, str], int]]:
    """The shapes of folders of episodes, packed; the first stands for the table, the second for nothing.

    Args:
        folders: each with kinds and names of its shapes, as `load_shape` takes them.
        bodies: of a state.
        progress: told how many shapes are packed, and of how many.

    Returns:
        The shapes, and (number of the folder, kind, name) -> shape.
    """
    documents = [read_document(folder)[1] for folder, _ in folders]
    wanted = [(i, kind, name) for i, (_, names) in enumerate(folders) for kind, name in names]
    shapes: list[Body] = [background(), replace(background(), name="nothing")]
    place: dict[tuple[int, str, str], int] = {}
    packed: dict[str, int] = {}  # by their files' checksums: folders share shapes
    for done, (i, kind, name) in enumerate(wanted):
        same = documents[i][kind][name]
        if same not in packed:
            packed[same] = len(shapes)
            shape = load_shape(folders[i][0], name, kind=kind)
            source = shape.mesh if shape.mesh is not None else shape.parts
            shapes.append(replace(shape, grid=distance_grid(source, SPACING, margin=MARGIN)))
        place[i, kind, name] = packed[same]
        if progress is not None:
            progress(done + 1, len(wanted))
    columns = torch.combinations(torch.arange(bodies, dtype=torch.int32), 2)
    return pack_solids(shapes, pairs=columns), place


def draw(library: Library, size: int, actions: int, generator: torch.Generator) -> Batch:
    """A batch of stretches that begin where something moves.

    Args:
        library: to draw from.
        size: stretches.
        actions: of each.
        generator: what is drawn depends on it alone.
    """
    lengths = torch.tensor([each.actions.shape[1] for each in library.episodes])
    fits = library.windows[:, 2] + actions <= lengths[library.windows[:, 0]]
    windows = library.windows[fits]
    if not len(windows):
        raise InputError(f"train-dynamics: no episode lasts {actions} actions; lower the horizon.")
    return stretches(library, windows[torch.randint(len(windows), (size,), generator=generator)], actions)


def stretches(library: Library, chosen: Tensor, actions: int) -> Batch:
    """Stretches of episodes, ordered by folder.

    Args:
        library: where they are.
        chosen: [S, 3] int64 folder, episode, and action that each begins with.
        actions: of each.
    """
    parts = []
    for folder in range(len(library.episodes)):
        rows = chosen[chosen[:, 0] == folder]
        if len(rows):
            parts.append(_stretch(library, folder, rows[:, 1], rows[:, 2], actions))
    ids, kinds, poses, twists, latents, numbers = (torch.cat(column) for column in zip(*parts, strict=True))
    return Batch(_scene(library.solids, ids, kinds), poses, twists, latents, numbers)


def true_latents(scene: Scene, truth: Truth) -> Tensor:
    """[S, BODIES, 8] what is true of the bodies of S states that are free.

    Args:
        scene: the states.
        truth: of the episode that each is of.
    """
    found = torch.zeros(*scene.kinds.shape, LATENTS)
    inner, moments = found[:, 1:-1], scene.solids.spread.diagonal(dim1=-2, dim2=-1)
    inner[..., SUPPORT_FRICTION] = torch.log(truth.table_friction / FRICTION)
    inner[..., TOOL_FRICTION] = torch.log(truth.tool_friction / FRICTION)
    inner[..., MASS] = torch.log(truth.mass / scene.typical_mass[:, 1:-1])
    inner[..., CENTER] = truth.com / moments[scene.shape_ids[:, 1:-1].long()].sqrt()
    return torch.where(scene.free[..., None], found, 0.0)


def _scene(solids: Solids, ids: Tensor, kinds: Tensor) -> Scene:
    volume = solids.volume[ids.long()]
    return Scene(solids, ids, kinds, DENSITY * volume, solids.shapes.pairs, torch.tensor([0.0, 0.0, -9.81]))


def _names(episodes: Episodes) -> list[tuple[str, str]]:
    return [("shapes", name) for name in episodes.shapes] + [("tools", name) for name in episodes.tools]


def _cast(episodes: Episodes, folder: int, place: dict[tuple[int, str, str], int]) -> tuple[Tensor, Tensor]:
    """Shapes and kinds [N, BODIES]."""
    shapes = torch.tensor([*(place[folder, "shapes", name] for name in episodes.shapes), NOTHING])
    tools = torch.tensor([*(place[folder, "tools", name] for name in episodes.tools), NOTHING])
    count = len(episodes)
    ids = torch.cat(
        [torch.full((count, 1), TABLE), shapes[episodes.shape_ids], tools[episodes.tool_ids][:, None]], dim=1
    )  # -1 finds the last, which is nothing
    free = episodes.mask & ~episodes.fixed
    kinds = torch.zeros(count, BODIES, dtype=torch.int64)
    kinds[:, 1:-1][free] = int(Kind.FREE)
    kinds[:, -1][episodes.tool_ids >= 0] = int(Kind.TOOL)
    return ids.int(), kinds


def _busy(episodes: Episodes, folder: int) -> Tensor:
    """[W, 3] folder, episode and action in which a body is awake, or was shortly before."""
    awake = (episodes.mask[:, None] & ~episodes.fixed[:, None] & ~episodes.asleep).any(-1)[:, 1:]
    action = awake.unflatten(1, (-1, SUBSTATES)).any(-1)
    recent = torch.nn.functional.max_pool1d(
        torch.nn.functional.pad(action[:, None].float(), (SETTLED, 0)), SETTLED + 1, 1
    )[:, 0]
    episode, at = recent.nonzero().unbind(-1)
    return torch.stack([torch.full_like(episode, folder), episode, at], dim=-1)


def _stretch(library: Library, folder: int, rows: Tensor, starts: Tensor, actions: int) -> tuple[Tensor, ...]:
    """Shapes, kinds, poses, twists, latents and numbers."""
    episodes = library.episodes[folder]
    states = starts[:, None] * SUBSTATES + torch.arange(actions * SUBSTATES + 1)
    at = (rows[:, None], states)
    count, length = states.shape
    table = pose.identity(count, length, 1, dtype=torch.float64)
    joints, rates = episodes.joints[at].double(), episodes.joint_velocities[at].double()
    half, still = joints[..., 3:] / 2, torch.zeros(count, length, 2, dtype=torch.float64)
    tool = torch.cat([joints[..., :3], half.cos(), still, half.sin()], dim=-1)[..., None, :]
    tool_twist = torch.cat([rates[..., :3], still, rates[..., 3:]], dim=-1)[..., None, :]
    body = episodes.poses[at].double()
    body = torch.cat([body[..., :3], pose.normalize_quat(body[..., 3:])], dim=-1)
    poses = torch.cat([table, body, tool], dim=-2)
    twists = torch.cat([torch.zeros_like(tool_twist), episodes.twists[at].double(), tool_twist], dim=-2)
    ids, kinds = library.shape_ids[folder][rows], library.kinds[folder][rows]
    truth = Truth(**{name: value[rows] for name, value in vars(episodes.truth).items()})
    latents = true_latents(_scene(library.solids, ids, kinds), truth)
    return ids, kinds, poses, twists, latents, episodes.numbers[rows]
