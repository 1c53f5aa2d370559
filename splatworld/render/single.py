"""One view's way through the kernels, on the CPU or on a GPU, for those who work view by view."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from splatworld import native
from splatworld.render.device import DevicePass
from splatworld.render.passes import RasterPass, Settings


class DeviceView:
    """A `DevicePass` over one view, as a `RasterPass`: shapes have no B."""

    def __init__(self, batch: DevicePass) -> None:
        self._batch = batch
        self.image, self.transmittance, self.counts = batch.image[0], batch.transmittance[0], batch.counts[0]
        self.depth_sum = None if batch.depth_sum is None else batch.depth_sum[0]

    def backward(
        self,
        gradients: Mapping[str, Tensor | None],
        image: Tensor,
        transmittance: Tensor | None = None,
        depth_sum: Tensor | None = None,
    ) -> None:
        """Add this view's gradients to `gradients`, see `RasterPass.backward`."""
        batched = {
            name: g[None] if g is not None and name in ("frames", "camera") else g for name, g in gradients.items()
        }
        given = (None if g is None else g[None] for g in (image, transmittance, depth_sum))
        self._batch.backward(batched, *given)  # type: ignore[arg-type]


def draw_one(
    parameters: dict[str, Tensor],
    body_ids: Tensor,
    frames: Tensor,
    camera_row: Tensor,
    size: tuple[int, int],
    background: Tensor,
    *,
    antialias: bool = False,
    color_only: bool = False,
) -> RasterPass | DeviceView:
    """One view, drawn where `parameters` are; arguments as of `RasterPass`, all on that device."""
    if not native.on_device(frames):
        return RasterPass(
            parameters, body_ids, frames, camera_row, size, background, antialias=antialias, color_only=color_only
        )
    settings = Settings(body_ids, None, size, parameters["sh"].shape[1], antialias)
    return DeviceView(
        DevicePass(parameters, frames[None], camera_row[None], background, settings, color_only=color_only)
    )
