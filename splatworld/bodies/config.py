"""What counts as a body."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SegmentConfig:
    """What counts as a body.

    Attributes:
        cell: m, side of the cells in which clusters are found; things further apart than this come apart.
        off: m, from the plane within which the support lies, however rough it came out.
        lowest: m, height of the lowest body.
        least_extent, largest_extent: m, a body's longest side.
        reach, around: m, how far above the support and beyond its edge bodies are looked for.
        least_weight: share of a picture that a body covers on average in the views, at least, on a smooth support.
        enough_weight: the same, but enough however rough the support.
        least_opacity: splats that are fainter build no clusters, though they may belong to one.
        inside: share of a cluster that lies over the support, at least.
        surrounded: share of a body's outline in pictures that is against the support, at least, where heights do not
            tell of it.
        views, max_side: how many views vote, and their longest side in px.
    """

    cell: float = 0.005
    off: float = 0.03
    lowest: float = 0.006
    least_extent: float = 0.015
    largest_extent: float = 0.7
    reach: float = 0.8
    around: float = 0.3
    least_weight: float = 2e-4
    enough_weight: float = 0.01
    least_opacity: float = 0.2
    inside: float = 0.75
    surrounded: float = 0.15
    views: int = 24
    max_side: int = 480

    def scaled(self, unit: float) -> SegmentConfig:
        """The same with lengths in a world in which a metre is `unit` long."""
        lengths = ("cell", "off", "lowest", "least_extent", "largest_extent", "reach", "around")
        return replace(self, **{name: getattr(self, name) * unit for name in lengths})
