"""Frames with known cameras to a world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from splatworld import native
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.reconstruct import densify
from splatworld.reconstruct.advice import warn
from splatworld.reconstruct.config import FitConfig, Progress
from splatworld.reconstruct.coverage import measure_coverage
from splatworld.reconstruct.depth import depth_gradients, depth_unit
from splatworld.reconstruct.exposure import Exposures
from splatworld.reconstruct.floaters import drop_floaters
from splatworld.reconstruct.losses import PictureLoss
from splatworld.reconstruct.parameters import Parameters
from splatworld.reconstruct.poses import Cameras
from splatworld.reconstruct.score import score
from splatworld.reconstruct.seed import seed_splats
from splatworld.reconstruct.views import View
from splatworld.render.device import choose_device
from splatworld.render.single import draw_one
from splatworld.unfinished import Checkpoint, State


def fit(
    posed: PosedClip,
    config: FitConfig | None = None,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    checkpoint: Checkpoint | None = None,
) -> World:
    """Fit splats to the training frames of a clip.

    Args:
        posed: undistorted frames; `clip.held_out` ones take no part, they are scored afterwards.
        config: see `FitConfig`.
        progress: `progress("fit", done, total)`.
        stop: asked every step; True ends the fit with what there is.
        checkpoint: where the fit's state is saved from time to time; goes on from what is there already, and ends
            with the bytes of a fit that was never interrupted.

    Returns:
        A world whose splats all belong to the static background, in the frame and unit of `posed`; `metrics` holds the
        held-out scores, `coverage` and `warnings`. The same clip and config give the same bytes for any number of
        threads.

    Raises:
        InputError: distorted cameras, no training frames, or too few points.
    """
    config = config or FitConfig()
    if any(camera.is_distorted for camera in posed.cameras):
        raise InputError("fit: the frames are distorted; pass them through capture.undistort first.")
    if bool(posed.clip.held_out.all()):
        raise InputError("fit: every frame is held out; at least one must be left to learn from.")
    threads, torch_threads = native.get_threads(), torch.get_num_threads()
    try:
        if config.threads:
            native.set_threads(config.threads)
        # The kernels take the cores; torch's small sums must not depend on how many there are.
        torch.set_num_threads(1)
        fitting = _Fit(posed, config)
        saved = None if checkpoint is None else checkpoint.load()
        if saved is not None:
            fitting.restore(saved)
        for step in range(fitting.steps, config.iterations):
            if stop is not None and stop():
                if checkpoint is not None:
                    checkpoint.save(fitting.state())
                break
            fitting.advance(step)
            if checkpoint is not None and checkpoint.due():
                checkpoint.save(fitting.state())
            if progress is not None:
                progress("fit", step + 1, config.iterations)
        return fitting.world(progress)
    finally:
        native.set_threads(threads)
        torch.set_num_threads(torch_threads)


class Part(Protocol):
    """Something that is fitted."""

    def state(self) -> dict[str, Tensor]: ...

    def restore(self, state: dict[str, Tensor]) -> None: ...


class _Fit:
    """One fit in progress.

    Attributes:
        parts: what is fitted, by name; each part has `state` and `restore` for checkpoints.
        order: training frames still to come in this round.
        steps: done so far.
    """

    def __init__(self, posed: PosedClip, config: FitConfig) -> None:
        self.posed, self.config = posed, config
        self.device = choose_device("fit", config.device)
        self.train = torch.nonzero(~posed.clip.held_out).squeeze(-1).tolist()
        self.exposures = Exposures(len(self.train), config.exposures_rate)
        unit = depth_unit(posed)
        self.views = [View(posed, frame, depth_unit=unit, device=self.device) for frame in self.train]
        centers = torch.stack([posed.cameras[frame].world_from_camera[:3] for frame in self.train]).double()
        self.extent = 1.1 * float((centers - centers.mean(dim=0)).norm(dim=-1).max())
        self.parameters = Parameters(seed_splats(posed, config).to(self.device), config, extent=self.extent)
        self.seeds = len(self.parameters)
        self.cameras = Cameras(posed, self.train, config, self.extent)
        self.loss = PictureLoss(config.ssim_weight)
        self.frame_table = pose.identity(1, device=self.device)
        self.parts: dict[str, Part] = {
            "parameters": self.parameters,
            "exposures": self.exposures,
            "cameras": self.cameras,
        }
        self.order: list[int] = []
        self.steps = 0

    def advance(self, step: int) -> None:
        config, parameters = self.config, self.parameters
        done = step / config.iterations
        rate = config.means_rate * self.extent * config.final_rate**done
        if not self.order:
            generator = np.random.Generator(np.random.Philox(key=[config.seed, (step << 8) + 3]))
            self.order = generator.permutation(len(self.train)).tolist()
        frame = self.order.pop()
        seen = self._add_gradients(frame, step)
        parameters.step(rate, seen if config.visible_only else None)
        densify.wander(parameters, rate, config, step)
        self.steps = step + 1
        if (step + 1) % config.relocate_every == 0 and config.grow_from <= done <= config.relocate_until:
            densify.relocate(parameters, config, step)
            grown = min((done - config.grow_from) / (config.grow_until - config.grow_from), 1.0)
            densify.grow(parameters, round(self.seeds * (config.splats / self.seeds) ** grown), config, step)

    def _add_gradients(self, frame: int, step: int) -> Tensor:
        """Those of the loss of one training frame; steps that frame's exposure and camera on the way.

        Returns:
            [N] int32, 0 for splats that the frame does not show.
        """
        config, parameters = self.config, self.parameters
        target = self.views[frame].at(self._shrink(step / config.iterations))
        row = self.cameras.row(frame, target.size)
        parameters.widen((min(config.sh_degree, int(10 * step / config.iterations)) + 1) ** 2)
        background = torch.zeros(3)
        if config.random_background:
            generator = np.random.Generator(np.random.Philox(key=[config.seed, (step << 8) + 4]))
            background = torch.from_numpy(generator.random(3, dtype=np.float32))
        body_ids = torch.zeros(len(parameters), dtype=torch.int32, device=self.device)
        one = draw_one(
            parameters.values, body_ids, self.frame_table, row.to(self.device), target.size,
            background.to(self.device), antialias=config.antialias, color_only=target.depth is None,
        )  # fmt: skip
        gain = self.exposures.gain(frame).to(self.device)
        by_image, by_log_gain = self.loss.gradients(one.image, gain, target)
        self.exposures.step(frame, by_log_gain.cpu())
        by_depth = () if target.depth is None else depth_gradients(one, target.depth, config.depth_weight)
        refine = config.poses_rate > 0 and step >= config.poses_from * config.iterations
        by_row = torch.zeros(len(row), dtype=torch.float64, device=self.device) if refine else None
        one.backward({**parameters.gradients, "camera": by_row}, by_image, *by_depth)
        if by_row is not None:
            self.cameras.step(frame, row, by_row.cpu(), step / config.iterations)
        return one.counts

    def state(self) -> State:
        """All that a later step depends on."""
        progress = {"order": torch.tensor(self.order, dtype=torch.int64), "steps": torch.tensor(self.steps)}
        return {"progress": progress, **{name: _on_cpu(part.state()) for name, part in self.parts.items()}}

    def restore(self, state: State) -> None:
        """Go on from what `state` returned."""
        for name, part in self.parts.items():
            part.restore(state[name])
        self.order, self.steps = state["progress"]["order"].tolist(), int(state["progress"]["steps"])

    def _shrink(self, done: float) -> int:
        if done >= self.config.coarse_until:
            return 1
        return 2 if done >= self.config.coarse_until / 2 else 4

    def world(self, progress: Progress | None) -> World:
        posed = replace(self.posed, cameras=self.cameras.seen())
        log_gains, antialias = self.exposures.log_gains, self.config.antialias
        splats, dropped = drop_floaters(self.parameters.splats(), posed, self.train, self.views, log_gains.exp())
        world = World(
            splats=splats,
            gravity=posed.gravity,
            scale=posed.scale,
            cameras=dict(zip(posed.clip.names, map(_precise, self.cameras.still()), strict=True)),
            metrics={"iterations": self.steps, "floaters_dropped": dropped, **posed.metrics},
        )
        times = posed.clip.times[self.train]
        world = score(world, posed, log_gains, times, antialias=antialias, progress=progress)
        world = world.to("cpu")  # as all that comes after the fit wants it
        coverage = measure_coverage(world, posed)
        warnings = warn(world, posed, coverage, log_gains)
        return replace(world, metrics={**world.metrics, "coverage": coverage.summary(), "warnings": warnings})


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in state.items()}


def _precise(camera: Camera) -> Camera:
    """In double precision, as a world has its cameras on disk: what follows must not depend on a save between."""
    distortion = None if camera.distortion is None else camera.distortion.double()
    seen_from, focal, center = (v.double() for v in (camera.world_from_camera, camera.focal, camera.center))
    return replace(camera, focal=focal, center=center, world_from_camera=seen_from, distortion=distortion)
