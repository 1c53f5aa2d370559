"""Trained networks on disk: one safetensors file that says what it is, how it was made and how good it is."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as decode_tensors
from safetensors.torch import save as encode_tensors

from splatworld.core.checks import FormatError, InputError
from splatworld.core.robot import ACTION_SECONDS
from splatworld.dynamics.edges import EDGE_SCALARS, NODE_SCALARS, NodeModel, NodeModelConfig
from splatworld.dynamics.features import BODY_FEATURES, CONTACT_FEATURES
from splatworld.dynamics.model import DynamicsModel, ModelConfig
from splatworld.files import write_file

FORMAT = "splatworld-dynamics"
VERSION = 1
"""Of what the network reads and says; a checkpoint of another one is refused."""
MOST_BYTES = 8_000_000
PACKAGED = Path(__file__).parents[1] / "data" / "dynamics.safetensors"
"""The checkpoint that comes with the package."""


def save_model(model: DynamicsModel, path: str | Path, *, notes: dict[str, Any] | None = None) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        model: the network.
        path: the file.
        notes: how it was made: data, seeds, commit, metrics; JSON values.

    Raises:
        InputError: a weight is not finite, the file would be larger than 8 MB, or cannot be written.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    broken = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise InputError(f"{path}: weights {broken[0]} are not finite; resume the training from an earlier state.")
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "config": json.dumps(asdict(model.config)),
        "reads": json.dumps(_reads()),
        "notes": json.dumps(notes or {}, sort_keys=True),
    }
    if model.nodes is not None:
        header |= {"nodes": json.dumps(asdict(model.nodes.config)), "node_reads": json.dumps(_node_reads())}
    content = encode_tensors(weights, metadata=header)
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: {len(content)} bytes, expected at most {MOST_BYTES}; make the network smaller.")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_file(Path(path), content)


def load_model(path: str | Path | None = None) -> DynamicsModel:
    """A trained network, without gradients.

    Args:
        path: a checkpoint; None: the one that comes with the package.

    Raises:
        InputError: there is no such file.
        FormatError: it is damaged, no checkpoint of dynamics, or of another version or length of actions.
    """
    if path is None:
        return _packaged()
    content, header = _read(Path(path))
    try:
        given: dict[str, Any] = json.loads(header["config"])
        sizes: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        config = ModelConfig(**sizes)
        model = DynamicsModel(config, _nodes(path, header))
        model.load_state_dict(decode_tensors(content))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise FormatError(f"{path}: damaged ({' '.join(str(error).split())}); train or fetch it again.") from error
    return model.eval().requires_grad_(False)


def _nodes(path: str | Path, header: dict[str, str]) -> NodeModel | None:
    """The network of deformable bodies of a checkpoint's header, untrained; None of one that has none."""
    if "nodes" not in header:
        return None
    if json.loads(header["node_reads"]) != _node_reads():
        given = json.loads(header["node_reads"])
        raise FormatError(f"{path}: trained for {given}, expected {_node_reads()}; train its nodes anew.")
    return NodeModel(NodeModelConfig(**json.loads(header["nodes"])))


def read_notes(path: str | Path) -> dict[str, Any]:
    """How a checkpoint was made; errors as of `load_model`."""
    return json.loads(_read(Path(path))[1].get("notes", "{}"))


@cache
def _packaged() -> DynamicsModel:
    if not PACKAGED.is_file():
        raise InputError(
            "dynamics: no checkpoint comes with this version of the package; train one with `splatworld "
            "train-dynamics` and give it to load_model."
        )
    return load_model(PACKAGED)


def _read(path: Path) -> tuple[bytes, dict[str, str]]:
    """Content and header of a checkpoint of this version."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; check the path.")
    content = path.read_bytes()
    try:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])["__metadata__"]
        reads = json.loads(header["reads"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: damaged, or no checkpoint of splatworld's dynamics; check the path.") from error
    if header.get("format") != FORMAT:
        raise FormatError(f"{path}: no checkpoint of splatworld's dynamics; check the path.")
    if header.get("version") != str(VERSION):
        raise FormatError(
            f"{path}: of version {header.get('version')}, but this version of splatworld reads version {VERSION}; "
            "update splatworld or train it anew."
        )
    if reads != _reads():
        raise FormatError(f"{path}: trained for {reads}, expected {_reads()}; train it anew.")
    return content, header


def _reads() -> dict[str, float]:
    return {"action_seconds": ACTION_SECONDS, "contact_features": CONTACT_FEATURES, "body_features": BODY_FEATURES}


def _node_reads() -> dict[str, int]:
    return {"node_scalars": NODE_SCALARS, "edge_scalars": EDGE_SCALARS}
