"""Families of scenes by name or from a file of what differs from one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path

import torch
import yaml

from splatworld.core.checks import FormatError, InputError
from splatworld.core.options import changed
from splatworld.simulate.episodes import shapes, tools
from splatworld.simulate.episodes.captured import captured
from splatworld.simulate.episodes.deformable.families import DEFORMABLE, DeformableConfig
from splatworld.simulate.episodes.families import FAMILIES, MAX_BODIES, CapturedConfig, FamilyConfig

ALL: dict[str, FamilyConfig | DeformableConfig] = {**FAMILIES, **DEFORMABLE}
"""Name -> what `splatworld simulate NAME` draws from."""


def family_config(scene: str | Path) -> FamilyConfig | DeformableConfig:
    """The family called `scene`, that of a YAML or JSON file (`family: push`, then what differs), or that of a world.

    Raises:
        InputError: no such family, file, option, shape or tool, a value that makes no sense, or as `captured`.
        FormatError: the file is not YAML, or as `captured`.
    """
    if str(scene) in ALL:
        return ALL[str(scene)]
    file = Path(scene)
    if file.is_dir() or file.suffix == ".xml":
        return _captured_config(str(file))
    if not file.is_file():
        raise InputError(f"{scene}: no world, file or family of scenes, expected one of {', '.join(ALL)}.")
    try:
        given = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FormatError(f"{file}: not YAML or JSON ({' '.join(str(error).split())}).") from error
    if not isinstance(given, dict) or given.get("family") not in ALL:
        raise InputError(f"{file}: expected 'family:' with one of {', '.join(ALL)}, then what differs from it.")
    config = changed(file, ALL[given["family"]], given)
    _check(file, config)
    return config


def _captured_config(path: str) -> CapturedConfig:
    identity, bodies = captured(path)
    if len(bodies) > MAX_BODIES:
        raise InputError(f"{path}: {len(bodies)} bodies, expected at most {MAX_BODIES}; remove some with "
                         "`splatworld segment`.")  # fmt: skip
    places = torch.stack([body.rest_pose[:2] for body in bodies.values() if body.kind == "rigid"])
    x, y = places.mean(dim=0).tolist()
    return CapturedConfig(bodies=(len(bodies), len(bodies)), world=path, identity=identity, origin=(x, y))


def _check(file: Path, config: FamilyConfig | DeformableConfig) -> None:
    for owner in (config, config.ranges):
        for field in fields(owner):
            value = getattr(owner, field.name)
            if (
                isinstance(value, tuple)
                and not isinstance(value[0], str)
                and field.name != "motions"
                and not (len(value) == 2 and 0 < value[0] <= value[1])
            ):
                raise InputError(f"{file}: {field.name} is {list(value)}, expected [least, most], both above 0.")
    libraries: list[tuple[tuple[str, ...], Collection[str]]] = [(config.tools, tools.KNOWN)]
    if isinstance(config, DeformableConfig):
        libraries.append((config.obstacles, shapes.KNOWN))
    else:
        libraries.append((config.shapes, shapes.KNOWN))
        if config.bodies[1] > MAX_BODIES:
            raise InputError(f"{file}: {config.bodies[1]} bodies, expected at most {MAX_BODIES}.")
    for names, library in libraries:
        strangers = [name for name in names if name not in library]
        if strangers:
            raise InputError(f"{file}: no family {strangers[0]!r}, expected some of {', '.join(library)}.")
    if not 0.1 <= config.seconds <= 60:
        raise InputError(f"{file}: seconds is {config.seconds}, expected 0.1 to 60.")
