"""The list of bodies as the page shows it."""

from __future__ import annotations

import html
from typing import Any

from splatworld.viewer import colors


def listing(bodies: list[dict[str, Any]], selected: int | None, shown: set[int], *, metric: bool) -> str:
    """The HTML of a list of bodies: number, colour, name, kind, size, mass and splats.

    Args:
        bodies: as `bodies.build.describe` gives them.
        selected: index of the one that stands out.
        shown: indices of those that are not faint.
        metric: whether sizes are in m; else they have no unit.
    """
    unit, factor, digits = (" cm", 100.0, ".1f") if metric else ("", 1.0, ".3g")
    rows = []
    for index, row in enumerate(bodies):
        size = " x ".join(f"{factor * side:{digits}}" for side in row["size"]) + unit if index else ""
        mass = f"{1000 * row['mass']:.0f} g" if row["mass"] else ""
        style = "background:rgba(120,160,255,0.28);" if index == selected else ""
        style += "" if index in shown else "opacity:0.4;"
        swatch = f"background:rgb{colors.body_color(index)}"
        detail = "; ".join(text for text in (row["kind"], size, mass, f"{row['splats']:,} splats") if text)
        rows.append(
            f'<tr style="{style}"><td style="padding:0.15em 0.5em;vertical-align:top;text-align:right">{index}</td>'
            f'<td style="vertical-align:top;padding-top:0.4em"><span style="display:inline-block;width:0.8em;'
            f'height:0.8em;border-radius:2px;{swatch}"></span></td><td style="padding:0.15em 0.5em;width:100%">'
            f'<b>{html.escape(row["name"])}</b><br><span style="opacity:0.7">{html.escape(detail)}</span></td></tr>'
        )
    return (
        '<div style="max-height:31em;overflow-y:auto;margin:0 0.8em 0.6em 0.8em;font-size:12px;line-height:1.4">'
        f'<table style="border-collapse:collapse;width:100%">{"".join(rows)}</table></div>'
    )
