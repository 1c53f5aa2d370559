"""Worlds on disk: a versioned, checksummed folder that other tools can open, replaced as a whole or not at all.

    world.json            schema, bodies, scale, gravity, cameras, where the splats come from, a checksum for every file
    splats.ply            the splats, INRIA layout
    bodies/*.safetensors  what is large about bodies: NNN.safetensors a body, nodes.safetensors, skin.safetensors
    capture/              what the capture left: COLMAP model, thumbnails
    metrics.json          quality figures

Numbers in `world.json` are written so that float64 survives exactly; equal worlds give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load as decode_tensors
from safetensors.torch import save as encode_tensors
from torch import Tensor

from splatworld import body_tensors, ply, world_json
from splatworld.core.checks import FormatError, InputError, check_finite
from splatworld.core.world import Skin, World
from splatworld.files import check_writable, old_sibling, replacing_folder, write_through

SCHEMA = 1
"""Version of the folder's form; a reader refuses a newer one."""
FORMAT = "splatworld"
MODEL = ("splats.ply", "bodies/")
"""Files that make up a world's identity; pictures of the capture and quality figures do not."""


def save_world(
    world: World,
    path: str | Path,
    *,
    overwrite: bool = False,
    capture: Callable[[Path], None] | None = None,
) -> str:
    """Write a world; afterwards `path` holds all of it, or what it held before.

    Files of the user inside a world that is overwritten are kept.

    Args:
        path: folder to create.
        overwrite: replace the world that is there.
        capture: writes the capture's artefacts into the empty folder it is given; without it, those of the world
            that is overwritten are kept.

    Returns:
        The world's id.

    Raises:
        InputError: the world has a number that is not finite; `path` exists and is no world, or is one and `overwrite`
            is off; the disk is full.
    """
    path = Path(path).resolve()
    check_target(path, overwrite=overwrite)
    files = {**_model_files(world), "metrics.json": _dump(_plain(world.metrics))}
    document = _document(world)
    with replacing_folder(path) as new:
        for name, content in files.items():
            write_through(new / name, content)
        if capture is not None:
            (new / "capture").mkdir()
            capture(new / "capture")
        if path.exists():
            _keep_others(path, new, with_capture=capture is None)
        kept = (p.relative_to(new).as_posix() for p in (new / "capture").rglob("*") if p.is_file())
        names = sorted([*files, *kept])
        document["checksums"] = {name: file_hash(new / name) for name in names}
        document["id"] = _identity(document)
        write_through(new / "world.json", _dump(document))
    return document["id"]


def load_world(path: str | Path) -> World:
    """Read a world and verify every checksum.

    Returns:
        The world; splats are float32, all else float64.

    Raises:
        InputError: there is no world at `path`.
        FormatError: a newer schema, or a damaged or missing file, named.
    """
    folder, document = read_document(path)
    for name, expected in document["checksums"].items():
        file = folder / name
        if not file.is_file():
            raise FormatError(f"{folder}: {name} is missing; restore it from a copy or reconstruct the world again.")
        if file_hash(file) != expected:
            raise FormatError(f"{file}: damaged, its checksum differs; restore it from a copy or reconstruct again.")
    try:
        return _world(folder, document)
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{folder / 'world.json'}: an entry is missing or of another form ({error!r}).") from error


def read_document(path: str | Path) -> tuple[Path, dict[str, Any]]:
    """The folder that holds the world at `path` and its checked `world.json`; reads nothing else.

    Raises:
        InputError: there is no world at `path`.
        FormatError: `world.json` is damaged or of a newer schema.
    """
    folder = Path(path).resolve()
    if not folder.exists() and old_sibling(folder).exists():
        folder = old_sibling(folder)  # a save was killed between its two renames
    if folder.is_file():
        raise InputError(f"{path}: a file, expected a world's folder; bring splats in with `splatworld import`.")
    if not folder.is_dir():
        raise InputError(f"{path}: no such world; check the path.")
    file = folder / "world.json"
    if not file.is_file():
        raise InputError(f"{path}: not a world, it has no world.json; give a folder that splatworld wrote.")
    document = _parse(file)
    if document is None:
        raise FormatError(f"{file}: damaged, not the JSON of a world; restore it from a copy or reconstruct again.")
    schema = document.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise FormatError(
            f"{path}: written in schema {schema}, but this version of splatworld reads up to schema {SCHEMA}; "
            "update splatworld."
        )
    if schema != SCHEMA or not isinstance(document.get("checksums"), dict) or document.get("id") != _identity(document):
        raise FormatError(f"{file}: damaged, its checksum differs; restore it from a copy or reconstruct again.")
    return folder, document


def world_id(world: World | str | Path) -> str:
    """SHA-256 over splats, bodies, cameras, scale and gravity; the same in memory and on disk.

    Raises:
        InputError, FormatError: as `read_document`, for a path.
    """
    if not isinstance(world, World):
        return read_document(world)[1]["id"]
    files = {name: hashlib.sha256(content).hexdigest() for name, content in _model_files(world).items()}
    return _identity({**_document(world), "checksums": files})


def is_world(path: str | Path) -> bool:
    """Whether `path` holds a world of any version, perhaps damaged elsewhere than in `world.json`."""
    return _parse(Path(path) / "world.json") is not None


def check_target(path: str | Path, *, overwrite: bool) -> None:
    """Find out before long work whether a world can be written to `path`.

    Raises:
        InputError: something else is there, or a world and `overwrite` is off, or the place cannot be written.
    """
    target = Path(path).resolve()
    folder = target if target.exists() else old_sibling(target)  # as after a save that was killed
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{path}: a file is there; choose another path for the world's folder.")
    if folder.is_dir() and any(folder.iterdir()):
        if not is_world(folder):
            raise InputError(f"{path}: a folder that is not a world is there; choose another path or empty it.")
        if not overwrite:
            raise InputError(f"{path}: a world is there already; choose another path or pass --overwrite.")
    check_writable(target)


def copy_capture(source: str | Path) -> Callable[[Path], None]:
    """For `save_world(capture=...)`: take over the capture artefacts of the world at `source`."""
    folder = Path(source) / "capture"

    def copy(target: Path) -> None:
        if folder.is_dir():
            shutil.copytree(folder, target, dirs_exist_ok=True)

    return copy


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _keep_others(path: Path, new: Path, *, with_capture: bool) -> None:
    """Link into `new` what the world at `path` holds beyond its own files, and its capture if wanted."""
    own = (_parse(path / "world.json") or {}).get("checksums", {})
    for folder, _, names in os.walk(path):
        for name in names:
            source = Path(folder, name)
            relative = source.relative_to(path)
            captured = relative.parts[0] == "capture"
            known = relative.as_posix() in own or relative.as_posix() == "world.json"
            target = new / relative
            if (known and not (captured and with_capture)) or target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target, follow_symlinks=False)
            except OSError:
                shutil.copy2(source, target, follow_symlinks=False)


def _model_files(world: World) -> dict[str, bytes | bytearray]:
    files: dict[str, bytes | bytearray] = {"splats.ply": ply.to_bytes(world.splats)}
    for index, body in enumerate(world.bodies):
        shape = body_tensors.encode(body)
        if shape:
            files[_body_file(index)] = encode_tensors(shape)
    if len(world.rest_nodes):
        files["bodies/nodes.safetensors"] = encode_tensors({"rest_nodes": _stored(world.rest_nodes.double())})
    if world.skin is not None:
        skin = {"indices": _stored(world.skin.indices), "weights": _stored(world.skin.weights)}
        files["bodies/skin.safetensors"] = encode_tensors(skin)
    return files


def _world(folder: Path, document: dict[str, Any]) -> World:
    tensors = {
        name: decode_tensors((folder / name).read_bytes())
        for name in document["checksums"]
        if name.endswith(".safetensors")
    }
    fields = world_json.decode(document)
    fields["bodies"] = tuple(
        replace(body, **body_tensors.decode(tensors.get(_body_file(index), {})))
        for index, body in enumerate(fields["bodies"])
    )
    if "bodies/nodes.safetensors" in tensors:
        fields["rest_nodes"] = tensors["bodies/nodes.safetensors"]["rest_nodes"]
    if "bodies/skin.safetensors" in tensors:
        fields["skin"] = Skin(**tensors["bodies/skin.safetensors"])
    metrics = json.loads((folder / "metrics.json").read_text())
    return World(splats=ply.read_splats(folder / "splats.ply"), metrics=metrics, **fields)


def _body_file(index: int) -> str:
    return f"bodies/{index:03d}.safetensors"


def _document(world: World) -> dict[str, Any]:
    """`world.json` without what follows from the files."""
    for camera in world.cameras.values():
        camera.check()
    check_finite("World", "gravity", world.gravity)
    return {"format": FORMAT, "schema": SCHEMA, **world_json.encode(world)}


def _identity(document: dict[str, Any]) -> str:
    checksums = {k: v for k, v in document.get("checksums", {}).items() if k.startswith(MODEL)}
    return hashlib.sha256(_dump({**document, "checksums": checksums, "id": None}).encode()).hexdigest()


def _dump(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def _parse(file: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None


def _plain(value: Any) -> Any:
    """Figures as JSON has them: tensors become lists, a figure that is not finite becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _stored(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()
