"""Goals set by ghosts, plans made and carried out in the viewer."""

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
import torch

from splatworld.core.checks import InputError
from splatworld.core.world import rest_state
from splatworld.dynamics.predict import predict
from splatworld.plan.goals import goal_of_state
from tests.viewer.pusher import make_pusher

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
planning = pytest.importorskip("splatworld.viewer.planning")
plan_tab = pytest.importorskip("splatworld.viewer.plan_tab")

RED, GREEN, TOOL = 2, 3, 5


@pytest.fixture
def page(pusher):
    with viewer.Viewer([pusher], port=0) as shown:
        shown.act(pusher.name)
        shown.page.act.hand.pace = 0.01
        shown.page.plan._think.value = 20.0
        yield shown.page


def moved(ghost, x, y, z=0.0):
    return ghost.pose + torch.tensor([x, y, z, 0, 0, 0, 0], dtype=torch.float64)


def planned(tab, body=RED, way=(0.1, -0.1)):
    """A plan for a body that shall go some way from where its ghost appears."""
    tab.add(body)
    tab.place(body, moved(tab.ghosts[body], *way))
    tab.plan()
    tab.planning.join(60)
    return tab.planning


def test_a_plan_is_shown_with_what_was_tried_and_then_carried_out(page):
    tab = page.plan
    made = planned(tab)
    assert len(made.found) > 5
    assert page.stage.tracks[page.stage.lead].label == plan_tab.PLANNED
    assert page.timeline.clock.last == len(made.found)
    tried = planning.all_tried(made.tried)
    assert len(tried.costs) > 20
    assert tried.ways.shape[2:] == (2, 3)
    assert made.found.candidates == sum(len(batch.costs) for batch in made.tried)
    fan, chosen = tab._fan._lines
    assert len(fan.points) == len(tried.costs) * (tried.ways.shape[1] - 1) * 2
    best = tried.ways[tried.costs.argmin()]
    np.testing.assert_allclose(fan.points[-2 * len(best) + 2 :: 2, 0, :2], best[:-1, 0, :2], atol=1e-6)
    assert chosen.thickness > 2 * fan.thickness
    assert "candidates" in tab._legend.content
    assert "from its ghost" in tab._told.content
    tab._shown.value = False
    tab._draw()
    assert not tab._fan._lines
    assert page.act.acting.tape.count == 0  # nothing ran yet
    tab.carry_out()
    assert page.act.hand.join(30)
    done = page.act.acting.tape.rollout
    assert torch.equal(done.actions[: len(made.found)], made.found.actions)
    assert page.stage.tracks[page.stage.lead].label == "acted by hand"
    gone = done.states.world_from_body[-1, RED, :3] - made.found.prediction.states.world_from_body[-1, RED, :3]
    assert float(gone.norm()) < 0.03


def test_why_there_is_no_plan_is_said(page):
    tab = page.plan
    with pytest.raises(InputError, match="no goal"):
        tab.plan()
    tab.add(GREEN)
    tab.place(GREEN, tab.ghosts[GREEN].pose + torch.tensor([-0.1, 0.0, 0, 0, 0, 0, 0], dtype=torch.float64))
    planned(tab, way=(0.04, 0.1))  # where the green box shall be too
    assert tab.planning.found.infeasible
    assert tab.planning.found.infeasible in tab._told.content.replace("&#x27;", "'")
    with pytest.raises(InputError, match="no plan yet"):
        tab.carry_out()
    tab.clear()
    assert not tab.ghosts
    tab.add(RED)
    tab.place(RED, moved(tab.ghosts[RED], -plan_tab.ASIDE[0], -plan_tab.ASIDE[1]))
    with pytest.raises(InputError, match="stands where it shall"):
        tab.plan()


def test_planning_is_stopped_by_the_same_button(page, monkeypatch):
    tab, began, go_on = page.plan, [], Event()

    def slow(world, states, actions):
        began.append(1)
        go_on.wait(20)
        return predict(world, states, actions)

    monkeypatch.setattr(planning, "predict", slow)
    tab.add(RED)
    tab.plan()
    assert tab._button.label == plan_tab.STOP
    tab.plan()
    assert tab._button.label == plan_tab.PLAN
    go_on.set()
    tab.planning.join(20)
    assert tab.planning.found is None
    assert len(began) <= 1
    assert "Stopped" in tab._told.content


def test_a_ghost_is_dragged_along_the_ground(page):
    tab = page.plan
    tab.add(GREEN)
    start = tab.ghosts[GREEN].pose.clone()
    half = np.sqrt(0.5)
    tab._drag(GREEN, start, torch.tensor([0.3, 0.2, 0.4, half, 0, 0, half], dtype=torch.float64))
    ghost = tab.ghosts[GREEN]
    np.testing.assert_allclose(ghost.pose[:3], [0.3, 0.2, start[2]])
    np.testing.assert_allclose(ghost.nodes._nodes[GREEN].wxyz, [half, 0, 0, half], atol=1e-6)


def test_a_defect_is_told_and_ends_the_plan(monkeypatch):
    world = make_pusher(0.05)
    state = rest_state(world)
    wanted = state.world_from_body.clone()
    wanted[RED, 0] += 0.1
    goal = goal_of_state(world, state, replace(state, world_from_body=wanted))
    monkeypatch.setattr(planning, "plan", lambda *_, **__: 1 / 0)
    ended = []
    made = planning.Planning(world, state, goal, deadline=1.0, went_on=lambda _: None, ended=ended.append)
    made.join(20)
    assert ended == [made]
    assert "ZeroDivisionError" in str(made.error)
    assert not made.busy
