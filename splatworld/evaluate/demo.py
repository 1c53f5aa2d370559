"""The whole line as one demo: video, world, bodies, a push against the truth, a plan, permanence, a report."""

from __future__ import annotations

import html
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from splatworld import store
from splatworld.core.checks import InputError, SplatworldError
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.evaluate import demo_permanence
from splatworld.evaluate.bodies_sample import Match, match, metre_lines
from splatworld.evaluate.demo_markup import paragraph
from splatworld.evaluate.demo_page import write_page
from splatworld.evaluate.demo_plan import PLANNED, rearrange
from splatworld.evaluate.demo_push import PREDICTED, TRUE, Filmed, push
from splatworld.evaluate.demo_scene import Armed, with_tool
from splatworld.evaluate.demo_stages import Chapter, Stages, Told
from splatworld.evaluate.demo_world import tell_bodies, tell_world
from splatworld.evaluate.report import Line, commit_hash, line
from splatworld.evaluate.sample_truth import read_truth
from splatworld.reconstruct.work import key_of
from splatworld.recordings import load_rollout

WORLD, ARMED, PAGE = "world", "world_with_tool", "play.html"
"""In the folder of a demo: the world, the same with a tool, and a page that plays the push."""
ADDRESS = "http://127.0.0.1:8080"
STAGES = {
    "world": "From video to world",
    "bodies": "Bodies",
    "push": "A push, predicted",
    "plan": "A plan, carried out",
    "permanence": "What is left alone stays",
    "look": "See for yourself",
}


@dataclass(frozen=True)
class Demo:
    """What a demo is about.

    Attributes:
        folder: for everything.
        make: reconstructs, writes the world to `folder / WORLD`, and returns it with its frames; the last says whether
            it was cut short.
        export: writes a page that plays the worlds and rollouts at paths to a file.
        key: of the video and of the options of the reconstruction.
        title: headline of the report.
        truth: folder of the sample, whose true scene is known; None: there is no truth.
        steps: of the long run.
        command: that runs this program here.
    """

    folder: Path
    make: Callable[[], tuple[World, PosedClip, bool]]
    export: Callable[[Sequence[Path], Path], object]
    key: str
    title: str
    truth: Path | None = None
    steps: int = demo_permanence.STEPS
    command: str = "splatworld"


@dataclass(frozen=True)
class Outcome:
    """How a demo ended.

    Attributes:
        page: the report.
        chapters: what every stage told.
        stopped: whether the reconstruction was cut short, and nothing more was tried.
    """

    page: Path
    chapters: tuple[Chapter, ...]
    stopped: bool


def run_demo(demo: Demo, say: Callable[..., Any], *, fresh: bool = False) -> Outcome:
    """Run every stage that is not finished, and write the report after each.

    Args:
        demo: see there.
        say: `say(sentence)` and `say(stage, done, total)`.
        fresh: take nothing over from an earlier run.

    Raises:
        InputError: the video cannot be used, or the folder cannot be written. What goes wrong once the world is there
            is told in the report.
    """
    stages, line_ = Stages(demo.folder, say), _Line(demo, say)
    if fresh:
        stages.forget()
    page = demo.folder
    for number, (name, title) in enumerate(STAGES.items(), 1):
        stages.run(
            name, title, line_.makers[name], key=line_.key(name), leaves=line_.leaves(name), must=name == "world"
        )
        planned = () if line_.stopped else list(STAGES.values())[number:]
        page = write_page(demo.folder, tuple(stages.chapters.values()), title=demo.title, planned=planned)
        if line_.stopped:
            stages.forget()
            break
    return Outcome(page, tuple(stages.chapters.values()), line_.stopped)


class _Line:
    """What the stages do, and what they hand on."""

    def __init__(self, demo: Demo, say: Callable[..., Any]) -> None:
        self._demo, self._say, self.stopped = demo, say, False
        self.makers: dict[str, Callable[[], Told]] = {
            "world": self._tell_world,
            "bodies": self._tell_bodies,
            "push": self._tell_push,
            "plan": lambda: rearrange(self.armed.world, demo.folder, self.reality, self.called, say),
            "permanence": lambda: demo_permanence.long_run(self.armed, say, steps=demo.steps),
            "look": self._tell_look,
        }

    def key(self, name: str) -> str:
        """Of all that a stage depends on."""
        demo = self._demo
        if name == "world":
            return demo.key
        shown = [str(path) for path in self._shown()] if name == "look" else []
        return key_of(commit_hash(), store.world_id(demo.folder / WORLD), str(demo.truth), demo.steps, shown)

    def leaves(self, name: str) -> tuple[Path, ...]:
        """What a stage writes that others need."""
        names = {"world": (WORLD,), "push": (ARMED, PREDICTED), "plan": (PLANNED,), "look": (PAGE,)}
        return tuple(self._demo.folder / each for each in names.get(name, ()))

    @cached_property
    def world(self) -> World:
        return store.load_world(self._demo.folder / WORLD)

    @cached_property
    def armed(self) -> Armed:
        """The world with a tool, as it is on disk."""
        torch.set_num_threads(1)  # the kernels take the cores
        armed, path = with_tool(self.world), self._demo.folder / ARMED
        if not store.is_world(path) or store.world_id(path) != store.world_id(armed.world):
            store.save_world(armed.world, path, overwrite=True, capture=store.copy_capture(self._demo.folder / WORLD))
        return Armed(store.load_world(path), armed.body, armed.actions)

    @cached_property
    def truth(self) -> tuple[dict[str, Any], Match] | None:
        """The sample's truth, and which bodies are which."""
        if self._demo.truth is None:
            return None
        truth = read_truth(self._demo.truth)
        return truth, match(self.world, self._demo.truth, truth)

    @cached_property
    def reality(self) -> Filmed | None:
        """The true scene, where there is one."""
        if self.truth is None:
            return None
        try:
            from splatworld.evaluate.demo_sample import SampleEnv
        except ImportError as error:
            raise InputError(f"the true scene needs the extra 'sim' ({error}); run `make install`.") from error
        self._say("the true scene is built")
        return SampleEnv(self.armed.world, *self.truth)

    def called(self, index: int) -> str:
        """A body's name, of the sample with what it is."""
        name = self.world.bodies[index].name
        if self.truth is None:
            return name
        truth, found = self.truth
        things = {body["id"]: body["name"] for body in truth["bodies"]}
        return name + "".join(f" ({things[label]})" for label, body in found.bodies.items() if body == index)

    def _tell_world(self) -> Told:
        world, posed, self.stopped = self._demo.make()
        return tell_world(world, posed, self._demo.folder, self._say)

    def _tell_bodies(self) -> Told:
        self._say("bodies: pictures")
        told = tell_bodies(self.world, self._demo.folder, self.called)
        if self.truth is None:
            return told
        truth, found = self.truth
        hit = set(found.bodies.values())
        lines: list[Line] = [
            line("bodies: found, of those that are there", len(hit), "", f"== {len(truth['bodies'])}"),
            line("bodies: invented", len(self.world.bodies) - 1 - len(hit), "", "== 0"),
            line("bodies: overlap of splats with the truth (IoU), lowest", min(found.ious.values()), ""),
            *metre_lines(self.world, truth)[:1],
        ]
        return Told(told.html, tuple(lines))

    def _tell_push(self) -> Told:
        return push(self.armed, self._demo.folder, self.reality, self.called, self._say)

    def _shown(self) -> list[Path]:
        """What the viewer is given."""
        folder = self._demo.folder
        rollouts = [folder / name for name in (PREDICTED, TRUE) if self._own(name)]
        return [folder / ARMED, *rollouts] if rollouts else [folder / WORLD]

    def _own(self, name: str) -> bool:
        """Whether a rollout is one of the world with a tool, not of one that an earlier video left here."""
        try:
            return load_rollout(self._demo.folder / name).world_id == store.world_id(self._demo.folder / ARMED)
        except SplatworldError:
            return False

    def _tell_look(self) -> Told:
        """A page that plays without a server, and the commands for the live viewer."""
        shown, folder = self._shown(), self._demo.folder
        self._say("a page that plays without a server")
        self._demo.export(shown, folder / PAGE)
        live = shlex.join([self._demo.command, "view", *map(str, shown)])
        more = shlex.join([self._demo.command, "view", str(folder / ARMED), str(folder / PLANNED)])
        text = paragraph("Turn it, go near, play it: one file, no server.")
        text += f'<p><a class="button" href="{PAGE}">Open the interactive page</a></p>'
        text += paragraph(
            f"The live viewer also tells what each body is, how sure the prediction is and what touches; it opens at "
            f"{ADDRESS}:"
        )
        commands = [live, more] if self._own(PLANNED) else [live]
        text += "<pre><code>" + html.escape("\n".join(commands)) + "</code></pre>"
        return Told(text)
