"""Splats in files that other tools open: the INRIA PLY layout, and the `.splat` layout for reading.

INRIA layout (Kerbl et al., "3D Gaussian Splatting", 2023): one `vertex` element of floats `x y z nx ny nz f_dc_0..2
f_rest_* opacity scale_0..2 rot_0..3`. Spherical harmonics above the constant are channel-major (all of red, then green,
then blue); opacity is a logit, scales are logarithms, rotations wxyz. Two integer properties follow: `body_id` and
`provenance`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from plyfile import PlyData, PlyParseError

from splatworld.core.checks import FormatError, InputError
from splatworld.core.splats import SH_CONSTANT, Provenance, Splats
from splatworld.files import write_file

REQUIRED = (
    *("x", "y", "z"),
    *(f"f_dc_{i}" for i in range(3)),
    "opacity",
    *(f"scale_{i}" for i in range(3)),
    *(f"rot_{i}" for i in range(4)),
)
REST_COUNTS = {0: 1, 9: 4, 24: 9, 45: 16}
"""Number of `f_rest_*` properties -> coefficients a channel."""
HEADER = 1 << 16
"""Bytes in which the header of a PLY ends."""
SPLAT_RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("quat", "u1", 4)])


def write_splats(path: str | Path, splats: Splats) -> None:
    """Write a PLY in the INRIA layout, float32 little endian, atomically.

    Raises:
        InputError: a number is not finite, a quaternion is zero, or the disk is full; nothing is written then.
    """
    write_file(path, to_bytes(splats))


def to_bytes(splats: Splats) -> bytearray:
    """The PLY file as bytes; equal splats give equal bytes.

    Raises:
        InputError: a number is not finite or a quaternion is zero.
    """
    splats.check()
    rest = 3 * (splats.sh.shape[1] - 1)
    floats = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    floats += [f"f_rest_{i}" for i in range(rest)]
    floats += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    header = "\n".join(
        [
            *("ply", "format binary_little_endian 1.0", f"element vertex {len(splats)}"),
            *(f"property float {name}" for name in floats),
            *("property int body_id", "property uchar provenance", "end_header\n"),
        ]
    ).encode()
    record = np.dtype([("floats", "<f4", len(floats)), ("body_id", "<i4"), ("provenance", "u1")])
    content = bytearray(len(header) + len(splats) * record.itemsize)
    content[: len(header)] = header
    rows = np.frombuffer(content, record, offset=len(header))
    columns = rows["floats"]
    columns[:, 0:3] = _array(splats.means)
    columns[:, 6:9] = _array(splats.sh[:, 0])
    columns[:, 9 : 9 + rest] = _array(splats.sh[:, 1:].transpose(1, 2).flatten(1))
    columns[:, 9 + rest] = _array(splats.opacity_logits)
    columns[:, 10 + rest : 13 + rest] = _array(splats.log_scales)
    columns[:, 13 + rest :] = _array(splats.quats)
    rows["body_id"] = _array(splats.body_ids)
    rows["provenance"] = _array(splats.provenance)
    return content


def read_splats(path: str | Path) -> Splats:
    """Read splats from a PLY (binary or text) in the INRIA layout, or from a `.splat` file.

    Files without `body_id` and `provenance` come from other tools: their splats belong to body 0 and are `imported`.

    Returns:
        Splats in float32.

    Raises:
        InputError: no such file, or a number is not finite, or a quaternion is zero.
        FormatError: not splats, a wrong count, missing properties, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .ply or .splat file of Gaussian splats.")
    try:
        splats = _read_splat_records(path) if path.suffix.lower() == ".splat" else _read_ply(path)
        splats.check()
    except FormatError:
        raise
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return splats


def is_splats(path: str | Path) -> bool:
    """Whether a file is named like one of splats, `.splat`, or is a PLY with their colours rather than a mesh."""
    path = Path(path)
    if path.suffix.lower() != ".ply" or not path.is_file():
        return path.suffix.lower() == ".splat"
    with open(path, "rb") as stream:
        return b" f_dc_0" in stream.read(HEADER).partition(b"end_header")[0]


def _read_ply(path: Path) -> Splats:
    vertex = _read_vertices(path)
    names = vertex.dtype.names or ()
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise FormatError(
            f"{path}: the PLY lacks {', '.join(missing)}, so it holds no Gaussian splats; "
            "a point cloud or mesh cannot be used, export splats in the INRIA layout."
        )
    rest = [name for name in names if name.startswith("f_rest_")]
    if len(rest) not in REST_COUNTS or set(rest) != {f"f_rest_{i}" for i in range(len(rest))}:
        raise FormatError(
            f"{path}: the PLY has {len(rest)} f_rest_* properties, expected f_rest_0 onwards, "
            "0, 9, 24 or 45 of them (spherical harmonics of degree 0 to 3)."
        )

    def columns(*wanted: str) -> torch.Tensor:
        out = np.empty((len(vertex), len(wanted)), np.float32)
        for i, name in enumerate(wanted):
            out[:, i] = vertex[name]
        return torch.from_numpy(out)

    def integers(name: str, default: int, last: int) -> torch.Tensor:
        if name not in names:
            return torch.full((len(vertex),), default, dtype=torch.int32)
        values = vertex[name].astype(np.int64)
        if len(values) and (values.min() < 0 or values.max() > last):
            raise FormatError(f"{path}: {name} spans {values.min()} to {values.max()}, expected 0 to {last}.")
        return torch.from_numpy(values.astype(np.int32))

    higher = columns(*(f"f_rest_{i}" for i in range(len(rest)))).reshape(len(vertex), 3, len(rest) // 3)
    return Splats(
        means=columns("x", "y", "z"),
        log_scales=columns("scale_0", "scale_1", "scale_2"),
        quats=columns("rot_0", "rot_1", "rot_2", "rot_3"),
        opacity_logits=columns("opacity")[:, 0].contiguous(),
        sh=torch.cat([columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None], higher.transpose(1, 2)], dim=1),
        body_ids=integers("body_id", 0, 2**31 - 1),
        provenance=integers("provenance", Provenance.IMPORTED, max(Provenance)).to(torch.uint8),
    )


def _read_vertices(path: Path) -> np.ndarray:
    """The records of the `vertex` element, after every check on the file's size."""
    with open(path, "rb") as stream:
        if stream.read(3) != b"ply":
            raise FormatError(f"{path}: not a PLY file; give splats exported as .ply or .splat.")
        stream.seek(0)
        try:
            data = PlyData.read(stream)
            if "vertex" not in data:
                raise FormatError(f"{path}: the PLY has no vertex element, expected one row a splat; export it again.")
            if data.text:
                rows = path.read_bytes().partition(b"end_header")[2].split(b"\n")
                left = sum(bool(row.strip()) for row in rows) - sum(element.count for element in data)
            else:
                left = path.stat().st_size - stream.tell()
        except (PlyParseError, ValueError, MemoryError, OverflowError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{path}: the PLY is damaged or cut short ({error}); export or copy it again.") from error
        if left:
            raise FormatError(
                f"{path}: {left} {'lines' if data.text else 'bytes'} follow the {data['vertex'].count} splats that the "
                "header counts; the count is wrong, export it again."
            )
        return data["vertex"].data


def _read_splat_records(path: Path) -> Splats:
    """The 32-byte records of antimatter15/splat: mean, scale, RGBA and a quaternion in bytes."""
    content = path.read_bytes()
    if not content or len(content) % SPLAT_RECORD.itemsize:
        raise FormatError(
            f"{path}: {len(content)} bytes, expected a multiple of {SPLAT_RECORD.itemsize}; "
            "the .splat file is damaged or cut short, export or copy it again."
        )
    rows = np.frombuffer(content, SPLAT_RECORD)
    color = torch.from_numpy(rows["color"].astype(np.float32) / 255)
    count = len(rows)
    return Splats(
        means=torch.from_numpy(rows["mean"].copy()),
        log_scales=torch.from_numpy(rows["scale"].copy()).log(),
        quats=torch.from_numpy((rows["quat"].astype(np.float32) - 128) / 128),
        # Half a byte step keeps the logits of 0 and 255 finite.
        opacity_logits=torch.logit(color[:, 3], eps=0.5 / 255),
        sh=((color[:, :3] - 0.5) / SH_CONSTANT)[:, None],
        body_ids=torch.zeros(count, dtype=torch.int32),
        provenance=torch.full((count,), int(Provenance.IMPORTED), dtype=torch.uint8),
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
