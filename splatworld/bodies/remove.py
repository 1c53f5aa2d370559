"""A world without some of its bodies: what they hid is filled, and the shadows they cast are gone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from splatworld.bodies.complete import below_bodies, complete
from splatworld.bodies.correct import body_index, reindexed
from splatworld.bodies.floor import Floor, floor_of
from splatworld.bodies.numbering import selected
from splatworld.core.checks import InputError
from splatworld.core.splats import Provenance, Splats, joined
from splatworld.core.world import World
from splatworld.render.sh import C0

BELOW, ABOVE = 0.03, 0.006
"""m, how far off the support splats lie that show it; what stands higher, as a book behind a keyboard, has no shadow
taken off it."""

LOWER = 0.006
"""m, how far below the support it is filled: what pictures do show of it lies over the guess, what the fit left behind
bodies, centimetres deeper, under it."""


def without(world: World, names: list[str]) -> World:
    """Take bodies out of the world.

    Args:
        world: with bodies.
        names: of bodies; what hangs on them must go with them.

    Returns:
        The world without them, the support completed where they stood, lit where their shadows were.

    Raises:
        InputError: no such body, the background, or a body that another one hangs on.
    """
    gone = sorted({body_index(world, name) for name in names})
    if 0 in gone:
        raise InputError("remove: the background cannot be removed; name bodies.")
    if world.skin is None:  # else what was completed stays: splats hang on nodes
        world = complete(world)  # for the support below them
    world = uncovered(world, gone)
    keep = ~torch.isin(world.splats.body_ids, torch.tensor(gone, dtype=world.splats.body_ids.dtype))
    world = selected(world, keep)
    return reindexed(world, world.splats.body_ids, list(world.bodies), drop=gone)


def uncovered(world: World, bodies: list[int], *, moved: tuple[int, ...] = ()) -> World:
    """The world with the support as it is without some bodies, which may then be moved: their shadows are taken back,
    and it is whole below them, where until now it leaves out what would shine through them.

    Args:
        world: completed.
        bodies: their numbers; they must stand where they were captured.
        moved: numbers of those that no longer do, which hide nothing of the others' shadows and rims.
    """
    seen = world.splats.provenance != int(Provenance.COMPLETED)
    ids = world.splats.body_ids
    there = seen & ~torch.isin(ids, ids.new_tensor(moved))
    floor = floor_of(replace(world, splats=world.splats.select(there), skin=None))
    if floor is None:
        return world
    splats = _unshaded(world.splats, floor, bodies)
    if world.skin is not None:
        return replace(world, splats=splats)
    rows, columns, inside = floor.index(splats.means)
    below = inside & torch.from_numpy(floor.hidden & np.isin(floor.caster, bodies))[rows, columns]
    splats = splats.select(seen | (splats.body_ids != 0) | ~below)
    world = replace(world, splats=splats)
    return replace(world, splats=joined([splats, below_bodies(world, floor, bodies, lower=LOWER)]))


def _unshaded(splats: Splats, floor: Floor, bodies: list[int]) -> Splats:
    """The splats with the shadows that some bodies cast on the support taken back."""
    seen = splats.provenance != int(Provenance.COMPLETED)
    rows, columns, inside = floor.index(splats.means)
    height = splats.means[:, 2] - floor.height
    near = (height > -BELOW) & (height < ABOVE)
    own = torch.isin(torch.from_numpy(floor.caster)[rows, columns], torch.tensor(bodies, dtype=torch.int32))
    own &= seen & inside & near & (splats.body_ids == 0)
    factor = torch.where(own[:, None], torch.from_numpy(floor.shade)[rows, columns].exp(), torch.ones(()))
    sh = splats.sh * factor[:, None]
    sh[:, 0] += 0.5 * (factor - 1) / C0  # colour is 0.5 plus the harmonics
    unknown = own & torch.from_numpy(floor.rim | floor.hidden)[rows, columns]
    sh[unknown] = 0
    sh[unknown, 0] = ((torch.from_numpy(floor.bare)[rows, columns] - 0.5) / C0)[unknown]
    return replace(splats, sh=sh)
