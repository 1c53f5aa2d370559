"""Rollouts played, compared and read, without a browser."""

import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld import store
from splatworld.core.checks import InputError
from splatworld.core.world import Skin, frames, rest_state
from splatworld.recordings import save_rollout
from splatworld.render.bake import bake
from tests.viewer.desk import push
from tests.worlds import make_world

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
clocks = pytest.importorskip("splatworld.viewer.clock")
layers = pytest.importorskip("splatworld.viewer.layers")
stages = pytest.importorskip("splatworld.viewer.stage")
tracks = pytest.importorskip("splatworld.viewer.tracks")
splats = pytest.importorskip("splatworld.viewer.splats")


@pytest.fixture
def page(desk, pushes):
    with viewer.Viewer([desk, *pushes], port=0) as shown:
        yield shown.page


def until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def drawn_at(layer, index):
    node = layer.nodes._nodes[index]
    return [*node.position, *node.wxyz]


def test_a_clock_shows_every_step_in_time():
    shown, begin = [], time.monotonic()
    clock = clocks.Clock(4, lambda step: shown.append((step, time.monotonic() - begin)))
    clock.loop, clock.speed = False, 2.0
    clock.play()
    until(lambda: not clock.playing)
    clock.close()
    assert [step for step, _ in shown] == [1, 2, 3, 4]
    assert shown[-1][1] > 3 * 0.05 - 0.01


def test_a_slow_browser_misses_steps_and_no_time():
    shown = []
    clock = clocks.Clock(1000, lambda step: (shown.append(step), time.sleep(0.1)))
    clock.speed = 8.0
    begin = time.monotonic()
    clock.play()
    until(lambda: len(shown) >= 4)
    clock.pause()
    elapsed = time.monotonic() - begin
    clock.close()
    assert shown == sorted(shown)
    assert shown[3] > 10
    assert shown[3] <= 1 + elapsed * 80


def test_a_clock_is_stepped_looped_and_begun_anew():
    shown = []
    clock = clocks.Clock(3, shown.append)
    clock.move(-1)
    clock.move(2)
    clock.move(5)
    assert shown == [0, 2, 3]
    clock.speed = 16.0
    clock.play()  # from the beginning, as it stood at the end
    until(lambda: len(shown) > 9)
    clock.pause()
    assert clock.step == shown[-1]
    clock.close()
    assert set(shown) == {0, 1, 2, 3}
    assert shown.count(3) > 1
    count = len(shown)
    clock.seek(1)  # of a page that is gone
    assert len(shown) == count
    still = clocks.Clock(0, shown.append)
    still.play()
    assert not still.playing
    still.close()


def test_nothing_is_shown_that_was_not_computed(desk, pushes):
    (one,) = tracks.load_tracks(pushes[:1], store.world_id(desk))
    times = [0.0, 0.05, 0.1, 0.1999, 0.2, 1.2, 7.0, -1.0]
    assert [one.index(t) for t in times] == [0, 0, 1, 1, 2, 12, 12, 0]
    assert one.moving == {1}


def test_a_rollout_finds_its_world(desk, pushes, tmp_path):
    right, away = pushes
    assert tracks.by_world([right]) == {desk: [right]}
    assert tracks.by_world([away, desk, right]) == {desk: [away, right]}
    shutil.copytree(right, tmp_path / "alone" / "push")
    assert tracks.by_world([desk, tmp_path / "alone" / "push"]) == {desk: [tmp_path / "alone" / "push"]}
    with pytest.raises(InputError, match="neither given nor beside it; give the folder of that world too"):
        viewer.Viewer([tmp_path / "alone" / "push"], port=0)
    with pytest.raises(InputError, match="no such world"):
        viewer.Viewer([right, tmp_path / "nothing"], port=0)
    world = store.load_world(desk)
    batch = replace(rest_state(world), **{
        name: torch.stack([torch.stack([value] * 2)] * 3) for name, value in vars(rest_state(world)).items()
    })  # fmt: skip
    several = replace(
        push(world, "red box", (0.1, 0, 0), steps=1), states=batch, actions=torch.zeros(3, 1, 0), std=None
    )
    save_rollout(several, tmp_path / "batch")
    with pytest.raises(InputError, match="expected a single one"):
        viewer.Viewer([desk, tmp_path / "batch"], port=0)


def test_a_step_moves_nodes_and_sends_no_splats(page, monkeypatch):
    sent = []
    monkeypatch.setattr(
        page._server._websock_server, "queue_message", lambda message: sent.append(type(message).__name__)
    )
    page.rollouts.arrange(mode=stages.ALONE)
    sent.clear()
    page.timeline.clock.seek(5)
    lead = page.stage.layers[0]
    want = page.source.tracks[0].poses[5, 1]
    assert drawn_at(lead, 1) == pytest.approx(want.tolist())
    assert sorted(set(sent)) == ["GuiUpdateMessage", "SetOrientationMessage", "SetPositionMessage"]
    assert len(sent) == 4  # the place and the turn of the one body that moved, the slider, the cursor of the plots
    state = page.now()[1]
    torch.testing.assert_close(state.world_from_body[1], torch.from_numpy(want))


def test_others_are_ghosts_overlaid_or_beside(page):
    page.timeline.clock.seek(8)
    stage, away = page.stage, page.source.tracks[1]
    ghost = stage.layers[1]
    assert sorted(ghost.nodes._nodes) == [1]  # what rests would only hide itself
    assert drawn_at(ghost, 1) == pytest.approx(away.poses[8, 1].tolist())
    full = splats.body_arrays(page.source.world)[1].opacities
    assert ghost.nodes._nodes[1].opacities.max() < 0.3 * full.max()
    page.rollouts.arrange(mode=stages.OVERLAID)
    np.testing.assert_array_equal(stage.layers[1].nodes._nodes[1].opacities, full)
    page.rollouts.arrange(mode=stages.ROW)
    beside = stage.layers[1]
    assert sorted(beside.nodes._nodes) == [0, 1, 2]  # what stands near it too
    assert np.linalg.norm(beside.offset) == pytest.approx(stage.width)
    np.testing.assert_allclose(beside._frame.position, beside.offset)
    whole = len(splats.body_arrays(page.source.world)[0])
    assert len(beside.nodes._nodes[0].buffer) == len(stage.layers[0].nodes._nodes[0].buffer) < 0.6 * whole
    page.rollouts.arrange(lead="away", mode=stages.ALONE)
    assert list(stage.layers) == [1]
    assert drawn_at(stage.layers[1], 1) == pytest.approx(away.poses[8, 1].tolist())
    assert len(stage.layers[1].nodes._nodes) == 4


def test_what_is_told_of_a_rollout(page):
    told = page.rollouts._told.content
    assert "12 of 0.1 s" in told
    assert "0.18 from its beginning, give or take 0.042" in told
    assert "green box" not in told


def test_deformable_bodies_bend():
    world = make_world(count=60)
    rest = rest_state(world)
    nodes = rest.nodes.clone()
    nodes[:, :3] += 0.1 * torch.arange(4).double()[:, None]
    state = replace(rest, nodes=nodes)
    ids = world.splats.body_ids.clone()
    ids[::4] = 3  # the rope
    skin = Skin(world.skin.indices, world.skin.weights / world.skin.weights.sum(dim=1, keepdim=True))
    world = replace(world, splats=replace(world.splats, body_ids=ids), skin=skin)
    part = splats.body_arrays(world)[3]
    table = frames(world, state)
    posed = layers.Soft(world, 3).posed(part, table)
    own = splats.drawable(world.splats) & (world.splats.body_ids == 3)
    baked = bake(world.splats, table, skin=world.skin).means[own]
    np.testing.assert_allclose(posed.centers * posed.scale, baked.numpy(), rtol=0, atol=1e-4)
    np.testing.assert_array_equal(posed.colors, part.colors)


def test_two_threads_may_seek_at_once(page):
    clock = page.timeline.clock
    workers = [threading.Thread(target=lambda k=k: [clock.seek((7 * k + i) % 13) for i in range(40)]) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert drawn_at(page.stage.layers[0], 1) == pytest.approx(page.source.tracks[0].poses[clock.step, 1].tolist())


def test_worlds_with_and_without_rollouts_take_turns(desk, pushes, tmp_path):
    shutil.copytree(desk, tmp_path / "bare")
    store.save_world(replace(store.load_world(desk), cameras={}), tmp_path / "bare", overwrite=True)
    with viewer.Viewer([desk, tmp_path / "bare", pushes[0]], port=0) as shown:
        first = shown.page
        first.timeline.clock.play()
        shown.show("bare")
        assert not first.timeline.clock._thread.is_alive()
        assert shown.page.bodies.edits.world is not None
        shown.show("desk")
        shown.page.timeline.clock.seek(3)
        assert shown.page.timeline._slider.value == pytest.approx(0.3)
