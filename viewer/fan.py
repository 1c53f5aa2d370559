"""Candidates of a plan in the scene: a fan of lines coloured by cost, the chosen one bold."""

from __future__ import annotations

import numpy as np
import viser

from splatworld.viewer import colors
from splatworld.viewer.planning import Tried

THIN, BOLD = 1.5, 6.0
"""px."""
WORST = 0.8
"""Quantile of the costs from which on all have the same colour."""
ABOVE = 0.002
"""m that lines are lifted, for ways on a table."""
CHOSEN = (255, 255, 255)


class Fan:
    """The lines, and the legend of their colours."""

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self._lines: list[viser.SceneNodeHandle] = []

    def draw(self, tried: Tried | None, chosen: np.ndarray) -> str:
        """Draw candidates and the ways [T + 1, K, 3] of the chosen one; returns the legend as HTML."""
        self.remove()
        legend = ""
        if tried is not None:
            low, high = float(tried.costs.min()), float(np.quantile(tried.costs, WORST))
            order = np.argsort(-tried.costs)  # the best is drawn last
            shades = colors.colored(-tried.costs[order][None], -max(high, low + 1e-9), -low, colors.DEPTH_MAP)[0]
            pieces = _pieces(tried.ways[order])
            each = np.repeat(shades, pieces.shape[1], axis=0)
            self._add("fan", pieces.reshape(-1, 2, 3), np.repeat(each[:, None], 2, axis=1), THIN)
            ticks = [f"{cost:.2g}" for cost in np.linspace(high, low, 3)]
            legend = colors.bar(f"Cost of {len(tried.costs)} candidates; white: the plan", ticks, colors.DEPTH_MAP)
        if len(chosen) > 1:
            self._add("chosen", _pieces(chosen[None])[0], CHOSEN, BOLD)
        return legend

    def remove(self) -> None:
        """Take them out of the scene."""
        for line in self._lines:
            line.remove()
        self._lines = []

    def _add(self, name: str, pieces: np.ndarray, shade: np.ndarray | tuple[int, int, int], width: float) -> None:
        self._lines.append(
            self._server.scene.add_line_segments(
                f"/plan/{name}", pieces, shade, thickness=width, thickness_units="screen"
            )
        )


def _pieces(ways: np.ndarray) -> np.ndarray:
    """[N, T * K, 2, 3] straight pieces of ways [N, T + 1, K, 3]."""
    lifted = ways.astype(np.float32) + np.array([0.0, 0.0, ABOVE], np.float32)
    pieces = np.stack([lifted[:, :-1], lifted[:, 1:]], axis=3)
    return pieces.reshape(len(ways), -1, 2, 3)
