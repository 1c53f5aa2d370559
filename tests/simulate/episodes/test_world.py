from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.world import frames, rest_state
from splatworld.episodes import SUBSTATES, load_episodes
from splatworld.robot.actions import check_action
from splatworld.simulate.episodes.families import FAMILIES
from splatworld.simulate.episodes.generate import generate
from splatworld.simulate.episodes.world import to_world


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "e"
    generate(replace(FAMILIES["push"], bodies=(2, 2), seconds=0.3, shapes=("box", "T")), folder, count=1)
    return folder, load_episodes(folder)


def test_an_episode_is_a_world_with_a_rollout(made):
    folder, episodes = made
    world, rollout = to_world(folder, episodes, 0, splats=60)
    assert [body.kind for body in world.bodies][:2] == ["static", "static"]
    assert world.bodies[world.robot.tool].kind == "robot"
    assert rollout.actions.shape == (3, 6)
    assert len(world.robot.action) == 6
    now = rollout.states.world_from_body
    assert torch.equal(now[:, 2:4], episodes.poses[0, ::SUBSTATES, :2].double())
    assert torch.allclose(now[:, -1, :3], episodes.joints[0, ::SUBSTATES, :3].double())
    assert torch.allclose(now[0], rest_state(world).world_from_body, atol=1e-7)
    assert len(frames(world, rollout.states[0])) == len(world.bodies)
    assert all(body.grid is not None for body in world.bodies[1:])
    assert not any(body.mass for body in world.bodies[1:])


def test_splats_lie_on_the_bodies(made):
    folder, episodes = made
    world, _ = to_world(folder, episodes, 0, splats=60)
    for index in (2, 3):
        body = world.bodies[index]
        mine = world.splats.means[world.splats.body_ids == index].double()
        local = pose.transform(pose.inverse(body.rest_pose), mine)
        low, high = body.mesh.vertices.amin(0), body.mesh.vertices.amax(0)
        assert ((local > low - 1e-4) & (local < high + 1e-4)).all()


def test_no_such_episode(made):
    with pytest.raises(InputError, match="to_world: episode 7"):
        to_world(*made, 7)


def test_actions_send_the_tool_where_its_servos_were_sent(made):
    folder, episodes = made
    world, rollout = to_world(folder, episodes, 0, splats=60)
    check_action(world.robot.action, rollout.actions)
    check_action(world.robot.action, torch.tensor([0.08, 0, 0, 0, 0, -0.3]))  # as fast as the oracle's tools go
    sent = rollout.states.world_from_body[0, -1, :3] + rollout.actions[:, :3].sum(0)
    torch.testing.assert_close(sent, episodes.targets[0, -1, :3].double(), atol=1e-6, rtol=0)
