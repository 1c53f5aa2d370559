"""A world without some of its bodies: what they hid is filled, and the shadows they cast are gone."""

from __future__ import annotations

from dataclasses import replace

import torch

from splatworld.bodies.complete import complete
from splatworld.bodies.correct import body_index, reindexed
from splatworld.bodies.floor import floor_of
from splatworld.bodies.numbering import selected
from splatworld.core.checks import InputError
from splatworld.core.splats import Provenance, Splats
from splatworld.core.world import World
from splatworld.render.sh import C0

NEAR = 0.03
"""m, how far off the support splats lie that show it."""


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
    world = replace(world, splats=unshaded(world, gone))
    keep = ~torch.isin(world.splats.body_ids, torch.tensor(gone, dtype=world.splats.body_ids.dtype))
    world = selected(world, keep)
    return reindexed(world, world.splats.body_ids, list(world.bodies), drop=gone)


def unshaded(world: World, bodies: list[int]) -> Splats:
    """The world's splats with the shadows that some bodies cast on the support taken back."""
    splats = world.splats
    seen = splats.provenance != int(Provenance.COMPLETED)
    floor = floor_of(replace(world, splats=splats.select(seen), skin=None))
    if floor is None:
        return splats
    rows, columns, inside = floor.index(splats.means)
    near = (splats.means[:, 2] - floor.height).abs() < NEAR
    own = torch.isin(torch.from_numpy(floor.caster)[rows, columns], torch.tensor(bodies, dtype=torch.int32))
    own &= seen & inside & near & (splats.body_ids == 0)
    factor = torch.where(own[:, None], torch.from_numpy(floor.shade)[rows, columns].exp(), torch.ones(()))
    sh = splats.sh * factor[:, None]
    sh[:, 0] += 0.5 * (factor - 1) / C0  # colour is 0.5 plus the harmonics
    unknown = own & torch.from_numpy(floor.rim | floor.hidden)[rows, columns]
    sh[unknown] = 0
    sh[unknown, 0] = ((torch.from_numpy(floor.bare())[rows, columns] - 0.5) / C0)[unknown]
    return replace(splats, sh=sh)
