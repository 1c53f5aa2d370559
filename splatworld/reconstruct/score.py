"""How well a world shows frames it was not fitted to."""

from __future__ import annotations

import statistics
from dataclasses import replace

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.reconstruct.config import Progress
from splatworld.reconstruct.exposure import interpolate_gains
from splatworld.render.render import render


def psnr(image: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB.

    Args:
        image: [H, W, 3] float, clamped to [0, 1] and rounded to 8 bits first, as it would be stored.
        target: [H, W, 3] uint8.
        mask: optional [H, W] bool, pixels that count.
    """
    error = ((image.clamp(0, 1) * 255).round().double() - target.double()) ** 2
    if mask is not None:
        error = error[mask]
    mean = float(error.mean())
    return float("inf") if mean == 0 else float(10 * torch.log10(torch.tensor(255.0**2 / mean, dtype=torch.float64)))


def ssim(image: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Structural similarity with an 11-pixel Gaussian window (Wang et al., 2004); arguments as in `psnr`."""
    kernels = native.load()
    height, width = target.shape[:2]
    _, value, _ = kernels.l1_ssim(
        image.clamp(0, 1).float().contiguous(), None, target.contiguous(),
        None if mask is None else mask.to(torch.uint8).contiguous(), 1.0,
        torch.empty(kernels.LOSS_PLANES, height, width), torch.empty(height, kernels.LOSS_SUMS).double(),
        torch.empty(height, width, 3),
    )  # fmt: skip
    return value


def score(
    world: World,
    posed: PosedClip,
    log_gains: Tensor,
    times: Tensor,
    *,
    antialias: bool = False,
    progress: Progress | None = None,
) -> World:
    """The world with held-out scores in its metrics.

    Args:
        world: fitted to the clip's training frames.
        posed: undistorted frames.
        log_gains: [T, 3] log exposure gains of the training frames.
        times: [T] s their times; a held-out frame's gain is interpolated from them.
        antialias: as the world was fitted.
        progress: `progress("score", done, total)`.

    Returns:
        `metrics` gains `held_out` (name -> psnr, ssim, gain), and `psnr_mean`, `psnr_median`, `psnr_worst`,
        `ssim_mean`. Frames that could not be placed count as 0.
    """
    clip = posed.clip
    held = torch.nonzero(clip.held_out).squeeze(-1).tolist()
    if not held and not posed.unplaced_held_out:
        return world
    gains = interpolate_gains(log_gains, times, clip.times[held])
    rows: dict[str, dict[str, object]] = {}
    for done, (frame, gain) in enumerate(zip(held, gains, strict=True)):
        image = render(world, None, posed.cameras[frame], antialias=antialias).image.cpu() * gain
        mask = None if clip.masks is None else clip.masks[frame]
        rows[clip.names[frame]] = {
            "psnr": psnr(image, clip.images[frame], mask),
            "ssim": ssim(image, clip.images[frame], mask),
            "gain": gain.tolist(),
        }
        if progress is not None:
            progress("score", done + 1, len(held))
    lost = [0.0] * posed.unplaced_held_out
    values = [float(row["psnr"]) for row in rows.values()] + lost  # type: ignore[arg-type]
    similar = [float(row["ssim"]) for row in rows.values()] + lost  # type: ignore[arg-type]
    return replace(
        world,
        metrics={
            **world.metrics,
            "psnr_mean": statistics.fmean(values),
            "psnr_median": statistics.median(values),
            "psnr_worst": min(values),
            "ssim_mean": statistics.fmean(similar),
            "held_out": rows,
            "held_out_unplaced": posed.unplaced_held_out,
        },
    )
