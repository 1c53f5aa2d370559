"""`splatworld segment WORLD`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from splatworld.cli.terminal import Common, Terminal, table

if TYPE_CHECKING:
    from splatworld.core.world import World


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Correct the bodies of a world, or find them anew.

    Without a correction, bodies are found anew. Corrections are done in the order of this list; on an error the world
    stays as it is.
    """

    world: Annotated[Positional[Path], arg(metavar="WORLD")]
    """A world's folder; it is changed."""
    masks: Path | None = None
    """Folder of id images named like the frames, 0 for the background: bodies as they show them."""
    box: tuple[float, float, float, float, float, float] | None = None
    """A new body of what lies between two corners, m: x y z of the lower, then of the higher one."""
    click: tuple[float, float] | None = None
    """A new body of what stands up at pixel x y of --camera."""
    camera: str | None = None
    """The camera that --click is about, as `info --json` lists them."""
    name: str | None = None
    """Name of the body that --box or --click makes."""
    merge: UseAppendAction[tuple[tuple[str, str], ...]] = ()
    """Two bodies that are one; the first gives the name; with "background", the other is no body. Repeatable."""
    split: UseAppendAction[tuple[str, ...]] = ()
    """A body that is two. Repeatable."""
    rename: UseAppendAction[tuple[tuple[str, str], ...]] = ()
    """A body's name and its new one. Repeatable."""
    kind: UseAppendAction[tuple[tuple[str, Literal["rigid", "static", "deformable"]], ...]] = ()
    """A body and its kind: rigid, static or deformable; articulated ones are made with --joint. Repeatable."""
    joint: tuple[str, str, Literal["fixed", "hinge", "slide"]] | None = None
    """A body, what it hangs on, and how."""
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """A point on the joint's axis, m."""
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Direction of the joint's axis."""
    limits: tuple[float, float] = (-3.14159, 3.14159)
    """Lowest and highest value of the joint, rad or m; the body is at 0 now."""
    remove: UseAppendAction[tuple[str, ...]] = ()
    """A body to take out of the world; what was under it is filled. Repeatable."""
    mass: UseAppendAction[tuple[tuple[str, float], ...]] = ()
    """A body and its mass in kg, in place of that at 400 kg/m^3. Repeatable."""


def run(options: Options, terminal: Terminal) -> None:
    from splatworld.bodies.build import build_bodies, describe, refresh, set_mass
    from splatworld.store import load_world, save_world

    corrections = _corrections(options)
    world = load_world(options.world)
    if corrections:
        world = refresh(correct(world, options, terminal), progress=terminal.progress)
        for name, mass in options.mass:  # of shapes as they are at the end
            world = set_mass(world, name, mass)
    else:
        world = build_bodies(world, progress=terminal.progress)
    save_world(world, options.world, overwrite=True)
    rows = describe(world)
    data: dict[str, Any] = {"world": str(options.world), "bodies": rows}
    terminal.result(data, table({row["name"]: row["summary"] for row in rows}))


def correct(world: World, options: Options, terminal: Terminal) -> World:
    """The world after all corrections."""
    import torch

    from splatworld.bodies import correct
    from splatworld.bodies.kinds import make_deformable
    from splatworld.bodies.masks import from_masks, read_masks
    from splatworld.bodies.remove import without

    if options.masks is not None:
        world = from_masks(world, read_masks(world, options.masks), progress=terminal.progress)
    if options.box is not None:
        low, high = torch.tensor(options.box[:3]), torch.tensor(options.box[3:])
        world = correct.box(world, low, high, name=options.name)
    if options.click is not None and options.camera is not None:
        world = correct.click(world, options.camera, options.click, name=options.name)
    for pair in options.merge:
        world = correct.merge(world, list(pair))
    for name in options.split:
        world = correct.split(world, name)
    for old, new in options.rename:
        world = correct.rename(world, old, new)
    for name, kind in options.kind:
        world = make_deformable(world, name) if kind == "deformable" else correct.set_kind(world, name, kind)
    if options.joint is not None:
        name, parent, type = options.joint
        world = correct.set_joint(
            world, name, parent, type=type, point=torch.tensor(options.at), axis=torch.tensor(options.axis),
            limits=options.limits,
        )  # fmt: skip
    return without(world, list(options.remove)) if options.remove else world


def _corrections(options: Options) -> bool:
    """Whether any correction is asked for.

    Raises:
        InputError: an option without the one that it is about.
    """
    from splatworld.core.checks import InputError

    if (options.click is None) != (options.camera is None):
        raise InputError("segment: --click and --camera go together; give both or neither.")
    if options.name is not None and options.box is None and options.click is None:
        raise InputError("segment: --name is of the body that --box or --click makes; a body has another by --rename.")
    axis = {field.name: field.default for field in fields(Options) if field.name in ("at", "axis", "limits")}
    if options.joint is None and any(getattr(options, name) != default for name, default in axis.items()):
        raise InputError("segment: --at, --axis and --limits are of the joint that --joint makes; give it too.")
    single = (options.masks, options.box, options.click, options.joint)
    several = (options.merge, options.split, options.rename, options.kind, options.remove, options.mass)
    return any(given is not None for given in single) or any(several)
