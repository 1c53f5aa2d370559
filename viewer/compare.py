"""Held-out frames: what was captured, what the world shows, and where the two differ."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import torch
import viser

from splatworld.core.camera import resize
from splatworld.core.checks import InputError
from splatworld.reconstruct.score import psnr
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes
from splatworld.viewer import colors
from splatworld.viewer.callbacks import reported
from splatworld.viewer.flight import fly, view_of
from splatworld.viewer.source import Source

ERROR_TOP = 0.2
"""Error at the upper end of the error picture's colours, as a share of full brightness; the same for every frame."""


@dataclass(frozen=True)
class Comparison:
    """One held-out frame.

    Attributes:
        truth: [H, W, 3] uint8 sRGB, as captured; black where a mask ignores it.
        rendering: [H, W, 3] uint8 sRGB, with the frame's exposure.
        error: [H, W, 3] uint8, root mean square over the channels in false colour.
        psnr: dB, over the pixels that count.
        full_size: False where only the frame's thumbnail is kept, and the figure is no more than a hint.
    """

    truth: np.ndarray
    rendering: np.ndarray
    error: np.ndarray
    psnr: float
    full_size: bool


def compare(source: Source, camera: str) -> Comparison:
    """Compare a held-out frame with its rendering, at the size at which the frame is kept.

    Raises:
        InputError: the world keeps no picture of this frame.
    """
    truth = source.truth(camera)
    if truth is None:
        raise InputError(
            f"{source.folder}: capture/ has no picture of {camera}; reconstruct the world again to keep it."
        )
    height, width = truth.image.shape[:2]
    image = render(source.world, None, resize(source.world.cameras[camera], (width, height))).image
    image = image * torch.tensor(source.gain(camera))
    rendering = to_bytes(image)
    return Comparison(
        truth=truth.image * truth.mask[..., None],
        rendering=rendering,
        error=error_picture(truth.image, rendering) * truth.mask[..., None],
        psnr=psnr(image, torch.from_numpy(truth.image), torch.from_numpy(truth.mask)),
        full_size=truth.full_size,
    )


def error_picture(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far two pictures [H, W, 3] uint8 are apart: root mean square over the channels, [H, W, 3] in false colour."""
    difference = (one.astype(np.float32) - other) / 255
    return colors.colored(np.sqrt(np.square(difference).mean(axis=2)), 0, ERROR_TOP, colors.ERROR_MAP)


def error_legend() -> str:
    """The HTML of what the colours of `error_picture` mean."""
    ticks = [f"{share * ERROR_TOP:.0%}" for share in np.linspace(0, 1, 6)]
    ticks[-1] += " or more"
    return colors.bar("Error, root mean square over the channels, of full brightness", ticks, colors.ERROR_MAP)


class HeldOutTab:
    """The tab that leafs through the held-out frames."""

    def __init__(self, server: viser.ViserServer, source: Source) -> None:
        self._source, gui = source, server.gui
        self._lock, self._closed = threading.Lock(), False
        self._first = threading.Thread(target=self._show_first, daemon=True)
        if not source.held_out:
            gui.add_markdown("This world keeps no held-out frames: nothing was put aside to check it against.")
            return
        self._labels = {_label(source, name): name for name in source.held_out}
        self._choice = gui.add_dropdown("Frame", tuple(self._labels))
        leaf = gui.add_button_group("", ("Previous", "Next", "Fly there"))
        self._status = gui.add_html(colors.caption("Rendering..."))
        blank = np.zeros((2, 2, 3), np.uint8)
        self.truth = gui.add_image(blank, label="Truth", jpeg_quality=92, visible=False)
        self.rendering = gui.add_image(blank, label="Render", jpeg_quality=92, visible=False)
        self.error = gui.add_image(blank, label="Error", jpeg_quality=92, visible=False)
        self._legend = gui.add_html(error_legend(), visible=False)

        @self._choice.on_update
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.show()

        @leaf.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.target.value != "Fly there":
                self.turn(1 if event.target.value == "Next" else -1)
            elif event.client is not None:
                camera = source.world.cameras[self.frame]
                aspect = event.client.camera.aspect
                fly(event.client, view_of(camera, source.world.splats.means, aspect=aspect))

        # Not before the page is up: on a large frame it takes a second.
        self._first.start()

    @property
    def frame(self) -> str:
        """Name of the frame that is chosen."""
        return self._labels[self._choice.value]

    def turn(self, by: int) -> None:
        """Choose the frame `by` places further on, from the last to the first."""
        names = list(self._labels)
        self._choice.value = names[(names.index(self._choice.value) + by) % len(names)]  # type: ignore[misc]

    def show(self) -> None:
        """Compare the chosen frame."""
        with self._lock:
            if self._closed:
                return
            found = compare(self._source, self.frame)
            for handle, picture, label in (
                (self.truth, found.truth, "Truth: held-out frame as captured"),
                (self.rendering, found.rendering, f"Render: {found.psnr:.2f} dB PSNR"),
                (self.error, found.error, f"Error: bright where it is {ERROR_TOP:.0%} or more"),
            ):
                handle.image, handle.label, handle.visible = picture, label, True
            self._legend.visible = True
            self._status.content = colors.caption(self._remarks(found))

    def close(self) -> None:
        """Show nothing more; waits for what is being shown.

        And for the thread that showed the first: what it leaves behind must not be cleared while the interpreter ends.
        """
        with self._lock:
            self._closed = True
        if self._first.is_alive():
            self._first.join(timeout=5.0)  # s: nobody waits longer for the command to end

    def _show_first(self) -> None:
        try:
            self.show()
        except InputError as error:
            self._status.content = colors.caption(str(error))

    def _remarks(self, found: Comparison) -> str:
        height, width = found.truth.shape[:2]
        remarks = [f"{width} x {height} px"]
        if not found.full_size:
            remarks.append("only a thumbnail of this frame is kept, so PSNR is a hint")
        gain = self._source.gain(self.frame)
        if gain != (1.0, 1.0, 1.0):
            remarks.append(
                "exposure of the render: " + ", ".join(f"{c} {g:.3f}" for c, g in zip("RGB", gain, strict=True))
            )
        return "; ".join(remarks)


def _label(source: Source, name: str) -> str:
    score = source.score(name)
    return name if score is None else f"{name}  ({score:.1f} dB)"
