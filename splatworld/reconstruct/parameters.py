"""The numbers being fitted, and Adam's moments beside them."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.splats import Provenance, Splats, morton_order
from splatworld.reconstruct.config import FitConfig
from splatworld.render.device import working
from splatworld.render.ops import RasterPass

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


class Parameters:
    """Splats as plain tensors, stepped in place.

    Attributes:
        values: name -> tensor, by `RasterPass.PARAMETERS`; the constant colour and the other harmonics are one
            tensor `sh` [N, K, 3], with one learning rate each. It holds only the harmonics in use, see `widen`.
        gradients: like `values`; zero after each step, so that a step adds to them without clearing them first.
    """

    def __init__(self, splats: Splats, config: FitConfig, *, extent: float = 1.0) -> None:
        """`extent`: size of the scene, in which the cost of scales is counted."""
        self.values = {name: getattr(splats, name).float().contiguous() for name in RasterPass.PARAMETERS}
        self._first = {name: torch.zeros_like(value) for name, value in self.values.items()}
        self._second = {name: torch.zeros_like(value) for name, value in self.values.items()}
        self._config, self._extent = config, extent
        self._step = 0
        self._clear_gradients()

    def __len__(self) -> int:
        return len(self.values["means"])

    def step(self, means_rate: float, seen: Tensor | None = None) -> None:
        """One Adam step along `gradients` and those of the costs of opacity and scale.

        Args:
            means_rate: learning rate of the means.
            seen: [N] int32, 0 for splats that keep value and moments; their gradients must be zero. None: all are
                stepped.
        """
        self._step += 1
        config, device = self._config, self.values["means"].device
        harmonics = self.values["sh"].shape[1]
        rates = {
            "means": [means_rate] * 3,
            "log_scales": [config.scales_rate] * 3,
            "quats": [config.quats_rate] * 4,
            "opacity_logits": [config.opacities_rate],
            "sh": [config.colors_rate] * 3 + [config.harmonics_rate] * 3 * (harmonics - 1),
        }
        opacity_cost = {"opacity_logits": config.opacity_cost / len(self)}
        scale_cost = {"log_scales": config.scale_cost / self._extent / (3 * len(self))}
        on_device = native.on_device(self.values["means"])
        adam = (native.load_cuda() if on_device else native.load()).adam
        with working(device, "Parameters") as stream:
            for name, value in self.values.items():
                adam(
                    value, self.gradients[name], self._first[name], self._second[name], seen,
                    torch.tensor(rates[name], device=device), opacity_cost.get(name, 0.0), scale_cost.get(name, 0.0),
                    BETA1, BETA2, EPSILON, self._step, *((stream,) if on_device else ()),
                )  # fmt: skip

    def widen(self, harmonics: int) -> None:
        """Let each splat have at least that many harmonics; new ones start at zero."""
        if harmonics > self.values["sh"].shape[1]:
            for rows in (self.values, self._first, self._second):
                rows["sh"] = _widened(rows["sh"], harmonics)
            self._clear_gradients()

    def _clear_gradients(self) -> None:
        self.gradients = {name: torch.zeros_like(value) for name, value in self.values.items()}

    def forget(self, rows: Tensor) -> None:
        """Clear the moments of rows whose values were set by hand."""
        for moments in (self._first, self._second):
            for value in moments.values():
                value[rows] = 0

    def copy_rows(self, source: Tensor, target: Tensor) -> None:
        """Overwrite rows `target` by rows `source`."""
        for value in self.values.values():
            value[target] = value[source]

    def append_rows(self, source: Tensor) -> None:
        """Add copies of rows `source`, with clear moments."""
        for name, value in self.values.items():
            self.values[name] = torch.cat([value, value[source]])
        for moments in (self._first, self._second):
            for name, value in moments.items():
                moments[name] = torch.cat([value, torch.zeros_like(value[source])])
        self._clear_gradients()

    def sort(self) -> None:
        """Put the splats in Morton order: kernels then read and skip them in runs."""
        order = morton_order(self.values["means"])
        for rows in (self.values, self._first, self._second):
            for name, value in rows.items():
                rows[name] = value[order]

    def state(self) -> dict[str, Tensor]:
        """All that a later step depends on."""
        groups = {"value": self.values, "first": self._first, "second": self._second}
        state = {f"{group}.{name}": value for group, tensors in groups.items() for name, value in tensors.items()}
        return state | {"step": torch.tensor(self._step)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        for group, tensors in (("value", self.values), ("first", self._first), ("second", self._second)):
            tensors.update({name: state[f"{group}.{name}"].to(old.device) for name, old in tensors.items()})
        self._step = int(state["step"])
        self._clear_gradients()

    def splats(self) -> Splats:
        """What has been fitted so far, all on the static background."""
        count = len(self)
        harmonics = _widened(self.values["sh"], (self._config.sh_degree + 1) ** 2)
        return Splats(
            **{name: value.clone() for name, value in {**self.values, "sh": harmonics}.items()},
            body_ids=torch.zeros(count, dtype=torch.int32, device=harmonics.device),
            provenance=torch.full((count,), int(Provenance.OBSERVED), dtype=torch.uint8, device=harmonics.device),
        )


def _widened(sh: Tensor, harmonics: int) -> Tensor:
    """Harmonics [N, K, 3] with zeros up to `harmonics`, if K is less."""
    return torch.nn.functional.pad(sh, (0, 0, 0, max(harmonics - sh.shape[1], 0)))
