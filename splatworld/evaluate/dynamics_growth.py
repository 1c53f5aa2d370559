"""What more data and a larger network are worth: small trainings of one family, error against both, as a plot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from splatworld.dynamics.checkpoint import load_model
from splatworld.dynamics.config import TrainingConfig
from splatworld.dynamics.model import ModelConfig
from splatworld.dynamics.training import train
from splatworld.evaluate.dynamics_metrics import errors, movers
from splatworld.evaluate.dynamics_rollouts import network, true
from splatworld.evaluate.dynamics_sets import TRAINING, TestSet, load_set, training_set
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.resume import FOLDER

PLOT = FOLDER / "dynamics-growth.png"
EPISODES = (192, 576, TRAINING)
SIZES: dict[str, ModelConfig] = {
    "21k": ModelConfig(contact=(32, 32), trunk=(96, 64)),
    "81k": ModelConfig(),
    "300k": ModelConfig(contact=(128, 128), trunk=(384, 256, 256)),
}
"""About how many weights a member has -> the network."""
STEPS = 6000
COUNT = 60
TICKS = (5, 10, 20, 50, 100)
"""mm, of the plot."""
SECOND = 10
"""Actions."""


def lines(say: Callable[..., object]) -> list[Line]:
    """Error of one pushed body after 1 s against episodes and weights; each training is short, steps the same."""
    folder = training_set(say)[1][0]
    test_set = load_set("one", COUNT, say)
    points: dict[tuple[int, str], tuple[float, float]] = {}
    for episodes, size in [*((n, "81k") for n in EPISODES), *((TRAINING, name) for name in SIZES if name != "81k")]:
        say(f"growth: {episodes} episodes, {size} weights")
        points[episodes, size] = _error(folder, episodes, size, test_set, say)
    _draw(points, PLOT)
    return [
        line(f"growth: {episodes} episodes, {size} weights: position after 1 s, {name}", value, "mm")
        for (episodes, size), pair in points.items() for name, value in zip(("median", "p90"), pair, strict=True)
    ]  # fmt: skip


def _error(
    folder: Path, episodes: int, size: str, test_set: TestSet, say: Callable[..., object]
) -> tuple[float, float]:
    config = TrainingConfig(
        episodes=(str(folder),), most=episodes, single=STEPS, rollout=STEPS // 40, spread=0, model=SIZES[size]
    )
    file = FOLDER / f"dynamics-growth-{episodes}-{size}.safetensors"
    if not file.is_file():
        train(config, file, say=say)
    model = load_model(file)
    batch = test_set.batch(0, SECOND)
    truth = true(batch)
    found = errors(network(model, batch), truth, movers(test_set, truth))
    return found.place_mm(), found.place_mm(0.9)


def _draw(points: dict[tuple[int, str], tuple[float, float]], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    data, size = figure.subplots(1, 2, sharey=True)
    series = {
        data: [(episodes, pair) for (episodes, name), pair in points.items() if name == "81k"],
        size: [(1000 * int(name[:-1]), pair) for (episodes, name), pair in points.items() if episodes == TRAINING],
    }
    for plot, found in series.items():
        found.sort()
        for k, label in enumerate(("median", "p90")):
            plot.plot([x for x, _ in found], [pair[k] for _, pair in found], "os"[k] + "-", label=label)
        plot.set_xscale("log")
        plot.set_yscale("log")
        plot.set_xticks([x for x, _ in found], [f"{x:,}" for x, _ in found])
        plot.set_yticks(TICKS, [f"{each}" for each in TICKS])
        plot.xaxis.set_minor_formatter(NullFormatter())
        plot.yaxis.set_minor_formatter(NullFormatter())
        plot.grid(alpha=0.3, which="both")
    data.set_xlabel("episodes")
    size.set_xlabel("weights of a member")
    data.set_ylabel("error after 1 s, mm")
    data.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(path)
