"""A training step on a GPU: its time, and which stage takes how much of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from splatworld.core import pose
from splatworld.evaluate.gpu_clock import bandwidth, medians
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.scenes import Scene
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.losses import PictureLoss
from splatworld.reconstruct.parameters import Parameters
from splatworld.reconstruct.views import Target
from splatworld.render.device import DevicePass
from splatworld.render.ops import camera_rows
from splatworld.render.passes import Settings

STAGES = {
    "project": ("project_kernel",),
    "lists": ("depth_keys", "count_pairs", "total_pairs", "find_pairs", "number_kernel", "find_tiles", "cub::"),
    "blend": ("blend_kernel",),
    "loss": ("ssim_kernel", "count_kernel", "finish_kernel", "::Images"),
    "blend backward": ("gather_kernel",),
    "project backward": ("gradient_kernel", "camera_kernel", "frame_kernel"),
    "adam": ("adam_kernel",),
}
"""What kernels of each stage have in their names; the first stage that fits has it."""
STEPS = 10
"""Training steps that the profiler watches."""


@dataclass(frozen=True)
class Work:
    """How much there is to do: splats, those that are seen, (tile, splat) pairs, pixels, floats of a splat."""

    splats: int
    seen: int
    pairs: int
    pixels: int
    floats: int

    def least_bytes(self) -> dict[str, int]:
        """What each stage must read and write at least; records and pairs are counted as often as tiles want them."""
        parameters = 4 * self.floats * self.splats
        return {
            "project": parameters + 52 * self.seen,
            "lists": 24 * self.seen + 24 * self.pairs,
            "blend": 52 * self.pairs + 16 * self.pixels,
            "loss": 27 * self.pixels,
            "blend backward": 92 * self.pairs + 32 * self.pixels,
            "project backward": 2 * parameters + 40 * self.pairs,
            "adam": 8 * parameters,
        }


class TrainingStep:
    """One splat world fitted to one picture, as `reconstruct.fit` does it."""

    def __init__(self, scene: Scene) -> None:
        """`scene`: one view; the target is its own picture with other colours."""
        splats, camera = scene.splats, scene.camera
        self._device = device = splats.means.device
        self._config = FitConfig()
        self.parameters = Parameters(splats, self._config)
        body_ids = torch.zeros(len(splats), dtype=torch.int32, device=device)
        self._settings = Settings(body_ids, None, camera.size, splats.sh.shape[1], self._config.antialias)
        self._rows = camera_rows(camera).float()[None]
        self._frames = pose.identity(1, 1, device=device)
        self._background = torch.zeros(3, device=device)
        self._gain = torch.ones(3, device=device)
        self._loss = PictureLoss(self._config.ssim_weight)
        picture = (self.draw().image[0].clamp(0, 1).flip(-1) * 255).byte()
        self._target = Target(picture, None, None, camera.size)

    def draw(self) -> DevicePass:
        return DevicePass(
            self.parameters.values, self._frames, self._rows, self._background, self._settings, color_only=True
        )

    def __call__(self) -> None:
        one = self.draw()
        by_image, _ = self._loss.gradients(one.image[0], self._gain, self._target)
        one.backward(self.parameters.gradients, by_image[None])
        self.parameters.step(1e-6, one.counts[0])

    def work(self) -> Work:
        one, values = self.draw(), self.parameters.values
        floats = sum(value[0].numel() for value in values.values())
        width, height = self._target.size
        return Work(len(self.parameters), int((one.counts > 0).sum()), one.pairs, width * height, floats)


def training_lines(scene: Scene, rounds: int) -> list[Line]:
    """Time of a step, and each stage's beside the time that its bytes take at the speed of a copy."""
    device = scene.splats.means.device
    step = TrainingStep(scene)
    work = step.work()
    name = f"training step, {work.splats:,} splats at {scene.camera.width}x{scene.camera.height}"
    whole = medians({"step": step}, rounds, device)["step"]
    speed = bandwidth(device)
    least = {stage: 1e3 * count / speed for stage, count in work.least_bytes().items()}
    floor = sum(least.values())
    rows = [
        line(name, whole, "ms", "<= 4", f"floor {floor:.2f} ms at {speed / 1e12:.2f} TB/s"),
        line(f"{name}, share of the floor", 100 * floor / whole, "%"),
        line(f"{name}, pairs", work.pairs, ""),
    ]
    for stage, taken in stage_times(step, device).items():
        share = f"{100 * least[stage] / taken:.0f} % of its floor" if stage in least and taken else None
        rows.append(line(f"{name}, {stage}", taken, "ms", None, share))
    return rows


def stage_times(step: TrainingStep, device: torch.device) -> dict[str, float]:
    """ms that the kernels of each stage take in one step, and `other` ones; none where there is no GPU to ask."""
    if device.type != "cuda":
        return {}
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as watched:
        for _ in range(STEPS):
            step()
        torch.cuda.synchronize(device)
    found = dict.fromkeys((*STAGES, "other"), 0.0)
    for event in watched.key_averages():
        stage = next((stage for stage, parts in STAGES.items() if any(part in event.key for part in parts)), "other")
        found[stage] += event.self_device_time_total / 1e3 / STEPS
    return found
