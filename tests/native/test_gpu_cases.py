"""The CUDA kernels on a host that plays the device: kinds of scene, and lists that do not fit."""

from dataclasses import replace

import pytest
import torch

from tests.native.gpu_program import check_gradients, check_pictures, cpu_passes, run_program, scene_inputs


def check(program, folder, inputs):
    found, passes = run_program(program, folder, inputs), cpu_passes(inputs)
    check_pictures(found, passes)
    check_gradients(found, passes, inputs)


def test_four_frames_a_splat_and_a_moving_camera(program, tmp_path):
    inputs = scene_inputs(11, count=80)
    assert inputs.skin is not None
    assert inputs.skin.indices.shape[1] == 4
    assert inputs.rows[0, 16:].all()  # it moves, rows are read one after the other and exposed for a while
    check(program, tmp_path, replace(inputs, antialias=False))


def test_antialiased_and_fewer_harmonics_than_there_are(program, tmp_path):
    inputs = scene_inputs(2, count=80)
    assert (inputs.sh_count, inputs.values["sh"].shape[1]) == (9, 16)
    assert inputs.rows[0, 22:].all()
    check(program, tmp_path, replace(inputs, antialias=True))


def test_hidden_bodies_are_not_seen(program, tmp_path):
    inputs = replace(scene_inputs(0, count=80), hidden=(1, 2))
    assert 0 < sum(int((inputs.body_ids == body).sum()) for body in inputs.hidden) < 80
    check(program, tmp_path, inputs)


@pytest.mark.parametrize("room", [{"seen_room": 20}, {"pair_room": 30}, {"seen_room": 20, "pair_room": 30}], ids=str)
def test_what_does_not_fit_is_not_written(program, tmp_path, room):
    inputs = scene_inputs(0, count=80)
    seen, pairs, overflow, wanted = run_program(program, tmp_path, inputs, **room)["totals"].tolist()
    assert overflow == 1
    assert seen == sum(int((one.counts > 0).sum()) for one in cpu_passes(inputs)) > 20
    if "seen_room" in room:
        assert 30 < pairs < wanted  # of those that fit
    else:
        assert pairs == wanted > 30


def test_what_just_fits_is_whole(program, tmp_path):
    inputs = scene_inputs(0, count=80)
    passes = cpu_passes(inputs)
    room = {
        "seen_room": sum(int((one.counts > 0).sum()) for one in passes),
        "pair_room": sum(one.pairs for one in passes),
    }
    found = run_program(program, tmp_path, inputs, **room)
    assert found["totals"].tolist() == [room["seen_room"], room["pair_room"], 0, room["pair_room"]]
    check_pictures(found, passes)


def test_splats_over_many_tiles_are_listed_by_whole_warps_in_the_same_order(program, tmp_path):
    inputs = scene_inputs(0, count=40)
    inputs.values["log_scales"] += 1.5
    inputs.values["opacity_logits"] -= 2.0  # the order of many shows
    inputs.size = (16 * 9 + 3, 16 * 4 + 7)
    inputs.tables, inputs.rows = inputs.tables[1:2], inputs.rows[1:2]
    width, height = inputs.size
    inputs.gradients = torch.ones(1, height, width, 3), torch.ones(1, height, width), torch.ones(1, height, width)
    passes = cpu_passes(inputs)
    assert (passes[0].counts > 32).sum() > 1
    assert ((passes[0].counts > 0) & (passes[0].counts <= 32)).sum() > 3
    check_pictures(run_program(program, tmp_path, inputs), passes)
