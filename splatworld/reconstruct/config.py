"""Options of the fit, with the reason for each default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from splatworld.core.checks import InputError, check_choice

Progress = Callable[[str, int, int], None]
"""`progress(stage, done, total)`: told how far a stage has come; `done == total` closes it."""


@dataclass(frozen=True)
class FitConfig:
    """How splats are fitted to posed frames.

    Attributes:
        iterations: steps, one frame each.
        splats: budget; growth stops there.
        sh_degree: of the colours' spherical harmonics; one degree is added every tenth of the iterations.
        ssim_weight: share of 1 - SSIM in the loss, the rest is L1 (Kerbl et al., 2023).
        depth_weight: of the relative depth error, where the capture has depth maps.
        means_rate: learning rate of the means, times the scene's extent; falls to `final_rate` of it. Short fits
            want twice as much; here it would gain 0.1 dB and cost a tenth of the depth's accuracy.
        final_rate: share of the means' rate that is left at the end.
        scales_rate, quats_rate, opacities_rate, colors_rate, harmonics_rate: the other learning rates; harmonics
            learn slower than the constant colour.
        exposures_rate: learning rate of each frame's log gain.
        readout: s from the exposure of a picture's first row to that of its last, of videos wider than high; phones
            take 10 to 25 ms. 0 reads every picture in an instant. See `poses.Cameras` for why it is not learned.
        poses_rate: learning rate of each frame's pose in rad, and in the scene's extent for its position; 0 keeps the
            poses as given, for structure from motion leaves nothing to gain. Poses from sensors may want 2e-3.
        poses_from: share of the iterations after which poses are corrected.
        seed_share: share of the budget that starts as pixels between the points.
        seed_opacity: opacity of a new splat.
        seed_size: standard deviation of a new splat, as a share of the distance to its third neighbour.
        grow_from, grow_until: shares of the iterations between which the number of splats grows, geometrically,
            from the seeds to the budget.
        relocate_until: share of the iterations up to which dead splats are moved.
        relocate_every: steps between moves.
        dead_opacity: a splat below this opacity is moved to where the picture is made.
        opacity_cost, scale_cost: pull on the mean opacity and the mean scale, so that splats that nothing needs fade.
        visible_only: Adam steps only splats that the frame shows. All are stepped by default: momentum then carries
            those that few frames show further, which gains 0.1 dB for 2 % of the time.
        noise: strength of the random walk of transparent splats, times the means' rate.
        antialias: scale opacities by the area that dilation adds, see `rasterize`; costs 0.1 dB on real captures.
        coarse_until: share of the iterations done on smaller pictures: a quarter of the size in the first half of
            it, a half in the second.
        random_background: a random colour behind the splats each step, so that seeing through costs.
        seed: of every random choice.
        threads: of the kernels; 0 uses every core. The result does not depend on it.
        device: cpu, cuda, or auto, which is a GPU where there are one and the kernels for it. Both give the same world
            up to rounding.
    """

    iterations: int = 3000
    splats: int = 100_000
    sh_degree: int = 2
    ssim_weight: float = 0.2
    depth_weight: float = 0.2
    means_rate: float = 3.2e-4
    final_rate: float = 0.01
    scales_rate: float = 1e-2
    quats_rate: float = 2e-3
    opacities_rate: float = 5e-2
    colors_rate: float = 5e-3
    harmonics_rate: float = 2.5e-4
    exposures_rate: float = 2e-3
    readout: float = 0.015
    poses_rate: float = 0.0
    poses_from: float = 0.2
    seed_share: float = 0.6
    seed_opacity: float = 0.5
    seed_size: float = 0.5
    grow_from: float = 0.05
    grow_until: float = 0.5
    relocate_until: float = 0.85
    relocate_every: int = 50
    dead_opacity: float = 0.005
    opacity_cost: float = 0.003
    scale_cost: float = 0.003
    visible_only: bool = False
    noise: float = 1e5
    antialias: bool = False
    coarse_until: float = 0.4
    random_background: bool = True
    seed: int = 0
    threads: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("iterations", "splats", "relocate_every"):
            if getattr(self, name) < 1:
                raise InputError(f"FitConfig: {name} is {getattr(self, name)}, expected at least 1.")
        check_choice("FitConfig", "device", self.device, ("auto", "cpu", "cuda"))
        if not 0 <= self.sh_degree <= 3:
            raise InputError(f"FitConfig: sh_degree is {self.sh_degree}, expected 0 to 3.")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> FitConfig:
        """The options of a preset, see `PRESETS`, with `changes` on top.

        Raises:
            InputError: no such preset; lists those there are.
        """
        check_choice("FitConfig.preset", "name", name, tuple(PRESETS))
        return cls(**{**PRESETS[name], **changes})


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"iterations": 900, "splats": 50_000, "sh_degree": 1, "means_rate": 6.4e-4},
    "default": {},
    "high": {"iterations": 7000, "splats": 200_000, "sh_degree": 3},
}
"""Trade of time for quality -> what differs from the defaults; `capture.config.PRESETS` has the capture's part."""
