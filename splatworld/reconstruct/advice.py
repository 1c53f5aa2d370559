"""Plain sentences on what is weak about a reconstruction, and how to film it better."""

from __future__ import annotations

import statistics

from torch import Tensor

from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.reconstruct.coverage import SECTORS, Coverage

FEW_FRAMES = 20
"""Training frames below which surfaces are seen too seldom."""
JUMP = 0.15
"""Change of exposure between neighbouring frames, as a log gain, that the eye sees as a flicker."""
LITTLE = 0.25
"""Share of the surface seen from one direction only, above which the overlap is low."""
HIDDEN = 0.1
"""Share of a held-out frame that training frames hardly saw, above which its score says little of the fit."""


def warn(world: World, posed: PosedClip, coverage: Coverage, log_gains: Tensor) -> list[str]:
    """What the reader of a world should know, the capture's own remarks on its quality first.

    Args:
        world: with its held-out scores.
        posed: what it was fitted to.
        coverage: of the world.
        log_gains: [T, 3] exposures of the training frames, in time order.
    """
    found = [note for note in posed.notes if note.startswith("Quality:")]
    frames = int((~posed.clip.held_out).sum())
    if frames < FEW_FRAMES:
        found.append(f"Only {frames} frames were learned from; film longer or from more places.")
    if posed.unplaced:
        found.append(f"{len(posed.unplaced)} frames could not be placed: what only they saw is missing.")
    jumps = log_gains.mean(dim=-1).diff().abs()
    if len(jumps) and float(jumps.max()) > JUMP:
        share = 100 * (float(jumps.max().exp()) - 1)
        found.append(f"The exposure jumps by up to {share:.0f} % between frames; lock exposure and white balance.")
    if coverage.share(1, 1) > LITTLE:
        found.append(
            f"Low overlap: {100 * coverage.share(1, 1):.0f} % of the surface was seen from one direction only; its "
            "depth is uncertain. Move sideways more, in overlapping sweeps."
        )
    looking = [name for name, share in coverage.unseen.items() if share > HIDDEN]
    if looking:
        found.append(
            f"{len(looking)} of {len(coverage.unseen)} held-out frames look at places that hardly any other frame saw "
            f"({', '.join(looking[:3])}{', ...' if len(looking) > 3 else ''}): their scores tell of the path, too."
        )
    scores = {name: row["psnr"] for name, row in world.metrics.get("held_out", {}).items()}
    if len(scores) >= 3:
        usual = statistics.median(scores.values())
        bad = [f"{name} ({score:.1f} dB)" for name, score in scores.items() if score < usual - 6]
        if bad:
            found.append(f"Held-out frames far below the median of {usual:.1f} dB: {', '.join(bad[:4])}.")
    return found + _unfilmed(coverage)


def _unfilmed(coverage: Coverage) -> list[str]:
    """The azimuths that no camera covered at any height."""
    around = [any(row[sector] for row in coverage.filmed()) for sector in range(SECTORS)]
    missing = 360 * around.count(False) // SECTORS
    if missing < 60:
        return []
    if coverage.inward:
        return [f"{missing} of 360 degrees around the scene were not filmed: backs seen from there are unknown."]
    return [f"{missing} of 360 degrees around the camera were not filmed: the world ends there."]
