"""Plain colours, the same in rendered splats and in MuJoCo's pictures."""

from __future__ import annotations

TOOL_COLOR = (0.25, 0.27, 0.30)
TABLE_COLOR = (0.80, 0.76, 0.70)
FIXED_COLOR = (0.45, 0.45, 0.48)
COLORS = (
    (0.85, 0.33, 0.24), (0.22, 0.50, 0.75), (0.93, 0.71, 0.22), (0.33, 0.62, 0.36),
    (0.58, 0.40, 0.68), (0.90, 0.55, 0.65), (0.36, 0.68, 0.70), (0.62, 0.47, 0.33),
)  # fmt: skip
"""sRGB of bodies, in their order."""


def body_color(number: int, fixed: bool = False) -> tuple[float, float, float]:
    """sRGB of a body by its number; fixed ones are grey."""
    return FIXED_COLOR if fixed else COLORS[number % len(COLORS)]
