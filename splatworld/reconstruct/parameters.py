"""The numbers being fitted, and Adam's moments beside them."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.splats import Provenance, Splats, morton_order
from splatworld.reconstruct.config import FitConfig
from splatworld.render.ops import RasterPass

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


class Parameters:
    """Splats as plain tensors, stepped in place.

    Attributes:
        values: name -> tensor, by `RasterPass.PARAMETERS`; the constant colour and the other harmonics are one
            tensor `sh`, with one learning rate each.
    """

    def __init__(self, splats: Splats, config: FitConfig) -> None:
        self.values = {name: getattr(splats, name).float().contiguous() for name in RasterPass.PARAMETERS}
        self._first = {name: torch.zeros_like(value) for name, value in self.values.items()}
        self._second = {name: torch.zeros_like(value) for name, value in self.values.items()}
        self._rates = {
            "log_scales": config.scales_rate,
            "quats": config.quats_rate,
            "opacity_logits": config.opacities_rate,
            "sh": config.colors_rate,
        }
        # Adam's step does not depend on the gradient's size, so a slower rate is a share of the step.
        self._harmonics_share = config.harmonics_rate / config.colors_rate
        self._step = 0

    def __len__(self) -> int:
        return len(self.values["means"])

    def step(self, gradients: dict[str, Tensor], means_rate: float) -> None:
        """One Adam step on every parameter."""
        self._step += 1
        adam = native.load().adam
        for name, value in self.values.items():
            before = value[:, 1:].clone() if name == "sh" else None
            adam(
                value, gradients[name], self._first[name], self._second[name], None,
                self._rates.get(name, means_rate), BETA1, BETA2, EPSILON, self._step,
            )  # fmt: skip
            if before is not None:
                value[:, 1:] = before + self._harmonics_share * (value[:, 1:] - before)

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
            tensors.update({name: state[f"{group}.{name}"] for name in tensors})
        self._step = int(state["step"])

    def splats(self) -> Splats:
        """What has been fitted so far, all on the static background."""
        count = len(self)
        return Splats(
            **{name: value.clone() for name, value in self.values.items()},
            body_ids=torch.zeros(count, dtype=torch.int32),
            provenance=torch.full((count,), int(Provenance.OBSERVED), dtype=torch.uint8),
        )
