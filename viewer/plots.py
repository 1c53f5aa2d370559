"""The tab of plots: what goes on in a rollout over time, with a cursor at the instant that is shown."""

from __future__ import annotations

import html
import threading
from dataclasses import dataclass

import numpy as np
import viser

from splatworld.viewer import colors
from splatworld.viewer.asked import Asked, apart, clearance, speeds, spreads
from splatworld.viewer.stage import Stage
from splatworld.viewer.tracks import Track

HEIGHT = 110
"""px of a plot."""
LEFT = "3.4em"
"""Room for the numbers of the upright axis."""
POINTS = 600
"""Points of a line at most; of those between, the largest is drawn."""
PLOTS = 4
"""Speed, uncertainty, distance to other rollouts, clearance."""
STILL = 1e-3
"""m below which a line is not worth drawing."""


@dataclass(frozen=True)
class Line:
    """One line of a plot.

    Attributes:
        label: its name.
        color: sRGB.
        times: [K] s.
        values: [K]; those that are not finite leave a gap.
    """

    label: str
    color: tuple[int, int, int]
    times: np.ndarray
    values: np.ndarray


class PlotsTab:
    """Plots of the leading rollout on a stage."""

    def __init__(self, server: viser.ViserServer, asked: Asked, stage: Stage, span: tuple[float, float]) -> None:
        """
        Args:
            server: of the page.
            asked: about the rollouts.
            stage: where they are.
            span: s, beginning and end of the timeline.
        """
        self._server, self._asked, self._stage, self._span = server, asked, stage, span
        self._now = server.gui.add_html("")
        self._lock, self._closed = threading.RLock(), False
        self._clearances: dict[Track, Line | None] = {}  # of the rollouts as they are now
        self._worker: threading.Thread | None = None
        self._charts = [server.gui.add_html("") for _ in range(PLOTS)]
        self.at(span[0])
        self.arranged()

    def arranged(self, span: tuple[float, float] | None = None) -> None:
        """Plot anew, after another rollout leads or others are shown, or the timeline's span is another one.

        What takes long follows.
        """
        with self._lock:
            if self._closed:
                return
            self._span = span or self._span
            self._clearances = {track: line for track, line in self._clearances.items() if track in self._stage.tracks}
            plots = self._plots()
            for chart, content in zip(self._charts, plots + [""] * (PLOTS - len(plots)), strict=True):
                chart.content = content
            lead = self._stage.tracks[self._stage.lead]
            if lead not in self._clearances:
                self._worker = threading.Thread(target=self._look_closer, args=(lead,), daemon=True)
                self._worker.start()

    def close(self) -> None:
        """Plot nothing more; waits for what is being computed, which must not go on while the interpreter ends."""
        with self._lock:
            self._closed = True
        if self._worker is not None:
            self._worker.join(timeout=5.0)  # s: nobody waits longer for the command to end

    def _look_closer(self, lead: Track) -> None:
        factor = _unit(self._asked)[1]
        found = clearance(self._asked, lead)
        line = None if found is None else Line("of the robot", (255, 220, 90), found[0], factor * found[1])
        self._clearances[lead] = line
        self.arranged()

    def at(self, time: float) -> None:
        """Move the cursors of all plots to a time in s."""
        begin, end = self._span
        self._now.content = cursor(min(1.0, (time - begin) / (end - begin)) if end > begin else 0.0)

    def _plots(self) -> list[str]:
        stage, world = self._stage, self._asked.world
        lead = stage.tracks[stage.lead]
        unit, factor = _unit(self._asked)
        moving = sorted(lead.moving)

        def lines(values: np.ndarray, bodies: list[int]) -> list[Line]:
            kept = [i for i in bodies if np.nanmax(values[:, i], initial=0.0) > STILL]
            return [Line(world.bodies[i].name, colors.body_color(i), lead.times, factor * values[:, i]) for i in kept]

        plots = [plot(f"Speed, {unit}/s", lines(speeds(lead), moving), self._span)]
        std = spreads(lead)
        if std is not None:
            own = [i for i in moving if world.bodies[i].kind != "robot"]
            plots.append(plot(f"Sure to (one sigma), {unit}", lines(std, own), self._span))
        others = [number for number in stage.layers if number != stage.lead]
        if others:
            found = []
            for number in others:
                away = np.nanmax(apart(lead, stage.tracks[number]), axis=1)
                found.append(Line(stage.tracks[number].label, colors.track_color(number), lead.times, factor * away))
            plots.append(plot(f"Farthest apart from, {unit}", found, self._span))
        tool = self._clearances.get(lead)
        if tool is not None:
            plots.append(plot(f"Clearance, {unit}", [tool], self._span))
        return plots


def _unit(asked: Asked) -> tuple[str, float]:
    """A unit for lengths, and what the world's lengths are multiplied by."""
    return ("units", 1.0) if asked.world.scale.source == "none" else ("cm", 100.0)


def plot(title: str, lines: list[Line], span: tuple[float, float]) -> str:
    """The HTML of a plot of lines over the time from `span[0]` to `span[1]` s."""
    if not lines:
        return _framed(f"<div>{html.escape(title)}: nothing to show</div>")
    finite = np.concatenate([line.values[np.isfinite(line.values)] for line in lines] + [np.zeros(1)])
    low, high = min(float(finite.min()), 0.0), max(float(finite.max()), 1e-9)
    drawn = "".join(
        f'<polyline points="{_points(line, span, low, high)}" fill="none" stroke="rgb{line.color}" stroke-width="1.6" '
        'vector-effect="non-scaling-stroke"/>'
        for line in lines
    )
    zero = 100 * high / (high - low)
    svg = (
        f'<div style="flex:1;position:relative;height:{HEIGHT}px;background:rgba(128,128,128,0.12)">'
        '<div style="position:absolute;left:var(--now);height:100%;border-left:1px solid currentColor"></div>'
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" style="width:100%;height:100%;display:block">'
        f'<line x1="0" x2="100" y1="{zero:.2f}" y2="{zero:.2f}" '
        f'stroke="rgba(128,128,128,0.6)" vector-effect="non-scaling-stroke"/>{drawn}</svg></div>'
    )
    names = "".join(
        f'<span style="white-space:nowrap;margin-right:0.9em"><span style="color:rgb{line.color}">&#9632;</span> '
        f"{html.escape(line.label)}</span> "
        for line in lines
    )
    numbers = f"<span>{high:.3g}</span><span>{low:.3g}</span>"
    seconds = f"<span>{span[0]:.4g}</span><span>{span[1]:.4g} s</span>"
    return _framed(
        f'<div style="display:flex;justify-content:space-between"><b>{html.escape(title)}</b></div>'
        f'<div style="margin-left:{LEFT};line-height:1.3;margin-bottom:0.2em">{names}</div><div style="display:flex">'
        f'<div style="width:{LEFT};height:{HEIGHT}px;box-sizing:border-box;padding-right:0.5em;text-align:right;'
        'display:flex;flex-direction:column;justify-content:space-between;line-height:1;opacity:0.7">'
        f"{numbers}</div>{svg}</div>"
        f'<div style="margin-left:{LEFT};display:flex;justify-content:space-between;height:1.5em;opacity:0.7">{seconds}'
        "</div>"
    )


def cursor(share: float) -> str:
    """The HTML that puts the cursor of every plot on the page a share of the way along its time."""
    return f"<style>:root{{--now:{100 * share:.2f}%}}</style>"


def _points(line: Line, span: tuple[float, float], low: float, high: float) -> str:
    """The corners of a line in a square of 100, gaps left out."""
    times, values = line.times, line.values
    if len(times) > POINTS:
        starts = np.linspace(0, len(times), POINTS, endpoint=False).astype(int)
        values, times = np.maximum.reduceat(values, starts), times[starts]
    kept = np.isfinite(values)
    x = 100 * (times[kept] - span[0]) / max(span[1] - span[0], 1e-9)
    y = 100 * (high - values[kept]) / (high - low)
    return " ".join(f"{a:.2f},{b:.2f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _framed(content: str) -> str:
    return f'<div style="font-size:12px;line-height:1.5;padding:0.3em 0.8em 0 0.8em">{content}</div>'
