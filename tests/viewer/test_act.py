"""Acting in a world: the tool is led, the world answers, nothing that was done is lost."""

import numpy as np
import pytest
import torch

from splatworld import store
from splatworld.core.camera import project
from splatworld.core.checks import InputError
from splatworld.core.world import rest_state
from splatworld.dynamics.predict import predict
from splatworld.recordings import load_rollout_of
from tests.viewer.browser import KNOWN, SMALL, opened_page, wait

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
acting = pytest.importorskip("splatworld.viewer.acting")
act_tab = pytest.importorskip("splatworld.viewer.act_tab")

RED, TOOL = 2, 5


@pytest.fixture
def page(pusher):
    """The page on which the pusher's world is acted in, a hundred actions a second."""
    with viewer.Viewer([pusher], port=0) as shown:
        shown.act(pusher.name)
        shown.page.act.hand.pace = 0.01
        yield shown.page


def push(tab, way=act_tab.RIGHT, times=1):
    for _ in range(times):
        tab.nudge(way, None)
    assert tab.hand.join(30)


def ahead(steps, dx=0.02):
    return torch.tensor([dx, 0, 0, 0, 0, 0], dtype=torch.float64).expand(steps, 6)


def test_what_is_acted_is_what_the_dynamics_predict(pusher):
    world = store.load_world(pusher)
    by_hand = acting.Acting(world, "id", rest_state(world))
    actions = ahead(7)
    blocked = [by_hand.step(action) for action in actions]
    wanted = predict(world, rest_state(world), actions)
    made = by_hand.tape.rollout
    assert torch.equal(made.states.world_from_body, wanted.states.world_from_body)
    assert torch.equal(made.actions, actions)
    torch.testing.assert_close(made.std.float(), wanted.std.float())
    assert blocked == wanted.blocked.tolist()


def test_what_was_done_before_stays_as_it_was(pusher):
    world = store.load_world(pusher)
    by_hand = acting.Acting(world, "id", rest_state(world))
    for action in ahead(acting.FEWEST + 6, 0.003):  # more than there was room for
        by_hand.step(action)
    first = by_hand.tape
    kept = first.rollout.states.world_from_body.clone()
    by_hand.go_on(first.rollout.states[10])
    by_hand.step(ahead(1, -0.02)[0])
    assert by_hand.tape.count == 11
    assert not torch.equal(by_hand.tape.rollout.states.world_from_body[11], kept[11])
    assert torch.equal(first.rollout.states.world_from_body, kept)
    by_hand.undo()
    assert by_hand.tape is first
    unsure = first.rollout.std[-1]
    by_hand.step(ahead(1, -0.02)[0])
    assert bool((by_hand.tape.rollout.std[-1] >= unsure).all())
    with pytest.raises(InputError, match="expected"):
        by_hand.step(ahead(1, 5.0)[0])
    assert by_hand.tape.count == acting.FEWEST + 7


def test_the_tool_goes_where_it_is_led_and_bodies_answer(page):
    tab = page.act
    push(tab, times=6)
    states = tab.acting.tape.rollout.states
    np.testing.assert_allclose(states.world_from_body[-1, TOOL, 0], -0.12 + 0.12, atol=1e-3)
    assert states.world_from_body[-1, RED, 0] > 0.03
    assert (states.world_from_body[1:, TOOL, 0] - states.world_from_body[:-1, TOOL, 0]).max() <= 0.05 + 1e-6
    assert page.timeline.time == pytest.approx(0.1 * tab.acting.tape.count)
    node = page.stage.layers[page.stage.lead].nodes._nodes[RED]
    np.testing.assert_allclose(node.position, states.world_from_body[-1, RED, :3])
    push(tab, act_tab.UP)
    assert tab.acting.state.world_from_body[TOOL, 2] == pytest.approx(0.07 + 0.02, abs=1e-3)


def test_drags_are_taken_back(page):
    tab = page.act
    push(tab, times=3)
    one = tab.acting.tape.count
    push(tab, act_tab.LEFT)
    two = tab.acting.tape.count
    tab.back()
    assert tab.acting.tape.count == two - 1
    tab.undo()
    assert tab.acting.tape.count == one
    tab.reset()
    assert tab.acting.tape.count == 0
    assert page.timeline.time == 0
    tab.undo()
    assert tab.acting.tape.count == one
    tab.undo()
    with pytest.raises(InputError, match="nothing was done"):
        tab.undo()


def test_it_goes_on_from_the_instant_that_is_shown(page):
    tab = page.act
    push(tab, times=3)
    before = tab.acting.tape
    page.timeline.clock.seek(2)
    push(tab, act_tab.AWAY)
    now = tab.acting.tape.rollout.states.world_from_body
    assert torch.equal(now[:3], before.rollout.states.world_from_body[:3])
    assert now[-1, TOOL, 1] > 0.015
    tab.undo()
    assert tab.acting.tape is before


def test_what_is_blocked_or_wrong_is_told(page):
    tab = page.act
    push(tab, act_tab.DOWN, times=3)  # into the table
    assert "blocked" in tab._status.content
    assert tab.hand.target is None
    tab.carry_out(tab.acting.state, ahead(2, 9.0))
    assert tab.hand.join(30)
    assert "expected" in tab._status.content
    tab.reset()
    with pytest.raises(InputError, match="nothing was done yet"):
        tab.save("empty")


def test_what_was_done_is_saved_and_plays(page, pusher):
    tab = page.act
    push(tab, times=2)
    tab.save("saved")
    made = load_rollout_of(tab.acting._world_id, pusher.parent / "saved")
    assert torch.equal(made.states.world_from_body, tab.acting.tape.rollout.states.world_from_body)
    tab.save(tab._name.value)
    assert tab._name.value == f"{pusher.name}_acted_2"
    with pytest.raises(InputError, match="choose another path"):
        tab.save("saved")
    with pytest.raises(InputError, match="no name of a folder"):
        tab.save("../elsewhere")
    with viewer.Viewer([pusher, pusher.parent / "saved"], port=0) as other:
        page = other.page
        page.act.hand.pace = 0.01
        page.timeline.clock.seek(1)
        push(page.act, act_tab.AWAY)
        assert [track.label for track in page.stage.tracks] == ["saved", act_tab.ACTED]
        branch = page.stage.tracks[1]
        assert branch.times[0] == pytest.approx(0.1)
        assert torch.equal(branch.rollout.states.world_from_body[0], made.states.world_from_body[1])
        assert page.stage.lead == 1


def test_worlds_without_a_tool_say_how_to_get_one(desk, pusher):
    world = store.load_world(desk)
    assert "metres" in acting.why_not(world, "desk")
    assert acting.why_not(store.load_world(pusher), "pusher") is None
    with viewer.Viewer([desk], port=0) as shown, pytest.raises(InputError, match="metres"):
        shown.act("desk")


def test_the_tool_is_dragged_in_a_browser(pusher, chromium):
    with (
        viewer.Viewer([pusher], port=0) as shown,
        opened_page(chromium, shown.address, SMALL) as (page, complaints),
    ):
        page.get_by_role("tab", name="Act", exact=True).click()
        page.get_by_role("button", name="Act in this world").click()
        page.get_by_text("Take back").wait_for()
        tab = shown.page.act
        page.wait_for_timeout(1500)
        page.mouse.move(100, 450)
        page.keyboard.press("6")
        wait(page, lambda: tab.acting.tape.count > 0 and not tab.hand.busy)
        first = tab.acting.tape.count
        x, y = pixel(shown, tab)
        page.mouse.move(x, y)
        page.wait_for_timeout(300)
        page.mouse.down()
        for step in range(1, 7):
            page.mouse.move(x + 15 * step, y)
            page.wait_for_timeout(100)
        page.mouse.up()
        wait(page, lambda: tab.acting.tape.count > first and not tab.hand.busy)
        assert tab.acting.state.world_from_body[TOOL, 0] > -0.07
        page.get_by_role("button", name="Undo drag").click()
        wait(page, lambda: tab.acting.tape.count == first)
        page.get_by_role("button", name="Back to the world alone").click()
        page.get_by_role("tab", name="Held-out", exact=True).wait_for()
        assert [said for said in complaints if not said.startswith(KNOWN)] == []


def pixel(shown, tab):
    """Where in the window the middle of the arrow along x is."""
    from splatworld.viewer.flight import camera_of

    (client,) = shown.clients.values()
    place = tab._tool()[:3] + torch.tensor([0.08, 0.0, 0.0])
    return project(camera_of(client.camera), place[None].double())[0][0].tolist()
