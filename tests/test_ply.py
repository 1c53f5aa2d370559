"""Splats in files of other tools: what is written is read back bit by bit, what is damaged is refused by name."""

import time

import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement

from splatworld import ply
from splatworld.core.checks import FormatError, InputError
from splatworld.core.splats import Provenance, Splats
from tests.worlds import assert_equal, make_splats


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_round_trip_is_exact(tmp_path, count, degree):
    splats = make_splats(count, degree)
    ply.write_splats(tmp_path / "a.ply", splats)
    assert_equal(ply.read_splats(tmp_path / "a.ply"), splats)


def test_layout_is_inria(tmp_path):
    splats = make_splats()
    ply.write_splats(tmp_path / "a.ply", splats)
    vertex = PlyData.read(tmp_path / "a.ply")["vertex"]
    names = [p.name for p in vertex.properties]
    expected = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    expected += [f"f_rest_{i}" for i in range(45)]
    expected += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert names == [*expected, "body_id", "provenance"]
    # Channel-major: f_rest_15 is green's first coefficient above the constant.
    assert np.array_equal(vertex["f_rest_15"], splats.sh[:, 1, 1].numpy())
    assert np.array_equal(vertex["f_rest_2"], splats.sh[:, 3, 0].numpy())
    assert np.array_equal(vertex["rot_0"], splats.quats[:, 0].numpy())


def test_same_splats_same_bytes():
    assert ply.to_bytes(make_splats()) == ply.to_bytes(make_splats())


def foreign(splats: Splats, *, drop: tuple[str, ...] = ("body_id", "provenance")) -> np.ndarray:
    """The rows as another tool would hold them: without the two extra properties, unless told otherwise."""
    content = bytes(ply.to_bytes(splats))
    names = [line.split() for line in content.partition(b"end_header\n")[0].decode().splitlines() if "property" in line]
    kinds = {"float": "<f4", "int": "<i4", "uchar": "u1"}
    rows = np.frombuffer(content.partition(b"end_header\n")[2], np.dtype([(n, kinds[k]) for _, k, n in names]))
    return rows[[name for name in rows.dtype.names if name not in drop]].copy()


def write_foreign(path, rows: np.ndarray, **options) -> None:
    flat = np.array(rows.tolist(), dtype=[(name, rows.dtype[name]) for name in rows.dtype.names])
    PlyData([PlyElement.describe(flat, "vertex")], **options).write(path)


@pytest.mark.parametrize("options", [{"text": True}, {"byte_order": ">"}, {"byte_order": "<"}])
def test_foreign_files_are_imported(tmp_path, options):
    splats = make_splats(7)
    write_foreign(tmp_path / "a.ply", foreign(splats), **options)
    back = ply.read_splats(tmp_path / "a.ply")
    assert torch.equal(back.sh, splats.sh)
    assert torch.equal(back.quats, splats.quats)
    assert (back.body_ids == 0).all()
    assert (back.provenance == Provenance.IMPORTED).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["x", "f_dc_1", "f_rest_44", "opacity", "scale_2", "rot_3"])
def test_refuses_numbers_that_are_not_finite(tmp_path, name, bad):
    rows = foreign(make_splats(5))
    rows[name][3] = bad
    write_foreign(tmp_path / "a.ply", rows)
    with pytest.raises(InputError, match="expected finite numbers"):
        ply.read_splats(tmp_path / "a.ply")


def test_refuses_a_zero_quaternion(tmp_path):
    rows = foreign(make_splats(5))
    for i in range(4):
        rows[f"rot_{i}"][2] = 0
    write_foreign(tmp_path / "a.ply", rows)
    with pytest.raises(InputError, match=r"quats\[2\] is zero"):
        ply.read_splats(tmp_path / "a.ply")


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(("count", "match"), [(60, "cut short"), (40, "the count is wrong"), (10**12, "cut short")])
def test_refuses_a_wrong_count(tmp_path, count, match, text):
    path = tmp_path / "a.ply"
    write_foreign(path, foreign(make_splats(50, 0)), text=text)
    path.write_bytes(path.read_bytes().replace(b"element vertex 50", f"element vertex {count}".encode()))
    with pytest.raises(FormatError, match=match):
        ply.read_splats(path)


@pytest.mark.parametrize("keep", [0, 2, 3, 4, 20, 300, 1500, 2000])
def test_refuses_a_truncated_file(tmp_path, keep):
    content = ply.to_bytes(make_splats(5))
    path = tmp_path / "a.ply"
    path.write_bytes(content[:keep])
    with pytest.raises(FormatError):
        ply.read_splats(path)


def test_refuses_point_clouds_and_other_files(tmp_path):
    path = tmp_path / "a.ply"
    write_foreign(path, foreign(make_splats(5), drop=("opacity", "scale_0", "body_id")))
    with pytest.raises(FormatError, match="lacks opacity, scale_0"):
        ply.read_splats(path)
    path.write_text("hello")
    with pytest.raises(FormatError, match="not a PLY"):
        ply.read_splats(path)
    path.write_bytes(b"ply\n\xff\xfe\n")
    with pytest.raises(FormatError, match="damaged"):
        ply.read_splats(path)
    with pytest.raises(InputError, match="no such file"):
        ply.read_splats(tmp_path / "b.ply")


def test_refuses_other_harmonics_and_owners(tmp_path):
    path = tmp_path / "a.ply"
    write_foreign(path, foreign(make_splats(5), drop=("f_rest_44",)))
    with pytest.raises(FormatError, match="44 f_rest"):
        ply.read_splats(path)
    for name, value, match in (("provenance", 3, "0 to 2"), ("body_id", -1, "-1 to")):
        rows = foreign(make_splats(5), drop=())
        rows[name][1] = value
        write_foreign(path, rows)
        with pytest.raises(FormatError, match=match):
            ply.read_splats(path)


def test_never_writes_what_it_would_not_read(tmp_path):
    splats = make_splats(5)
    splats.means[2, 1] = float("nan")
    with pytest.raises(InputError):
        ply.write_splats(tmp_path / "a.ply", splats)
    assert list(tmp_path.iterdir()) == []


def test_splat_records(tmp_path):
    rows = np.zeros(2, ply.SPLAT_RECORD)
    rows["mean"] = [[1, 2, 3], [4, 5, 6]]
    rows["scale"] = 0.5
    rows["color"] = [[255, 0, 128, 255], [0, 0, 0, 0]]
    rows["quat"] = [[255, 128, 128, 128], [128, 128, 0, 128]]
    path = tmp_path / "a.splat"
    path.write_bytes(rows.tobytes())
    splats = ply.read_splats(path)
    assert torch.equal(splats.means[1], torch.tensor([4.0, 5, 6]))
    assert torch.allclose(splats.scales, torch.full((2, 3), 0.5))
    assert splats.opacities[0] > 0.99
    assert splats.opacities[1] < 0.01
    assert torch.equal(splats.quats[1], torch.tensor([0.0, 0, -1, 0]))
    path.write_bytes(rows.tobytes()[:-1])
    with pytest.raises(FormatError, match="multiple of 32"):
        ply.read_splats(path)


def test_a_million_splats_are_written_quickly():
    splats = make_splats(200_000)
    begin = time.perf_counter()
    ply.to_bytes(splats)
    assert time.perf_counter() - begin < 2
