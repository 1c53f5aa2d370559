"""A rollout on disk is exact, grows while it happens, and is named when damaged."""

import json
from dataclasses import fields, replace

import pytest
import torch

from splatworld.core.checks import FormatError, InputError, ShapeError
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import rest_state
from splatworld.recordings import Recorder, load_rollout, save_rollout, state_hash
from tests.worlds import make_world

STEPS = 7


def states(batch: tuple[int, ...] = (), steps: int = STEPS) -> State:
    """A state of the test world, another one at each time."""
    rest = rest_state(make_world())
    torch.manual_seed(0)
    shape = (*batch, steps + 1)
    values = {}
    for f in fields(State):
        value = getattr(rest, f.name)
        value = value.expand(*shape, *value.shape).clone()
        values[f.name] = value + torch.rand_like(value) if value.is_floating_point() else value
    return State(**values)


def rollout(batch: tuple[int, ...] = ()) -> Rollout:
    found, bodies = states(batch), len(make_world().bodies)
    return Rollout(
        actions=torch.rand(*batch, STEPS, 3).double(),
        states=found,
        world_id="abc",
        std=torch.cat([torch.zeros(*batch, 1, bodies, 6), torch.rand(*batch, STEPS, bodies, 6)], dim=-3),
        blocked=torch.rand(*batch, STEPS),
        stopped=torch.full(batch, 5),
    )


def assert_same(one: Rollout, other: Rollout) -> None:
    for name in ("actions", "std", "blocked", "stopped"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for f in fields(State):
        assert torch.equal(getattr(one.states, f.name), getattr(other.states, f.name)), f.name
    assert one.world_id == other.world_id


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_round_trip_is_exact(batch, tmp_path):
    given = rollout(batch)
    save_rollout(given, tmp_path / "r")
    assert_same(load_rollout(tmp_path / "r"), given)


def test_a_recording_goes_on_and_ends_with_the_same_hash(tmp_path):
    given = rollout()

    def record(recorder: Recorder, begin: int, end: int) -> str:
        with recorder:
            for t in range(begin, end):
                recorder.append(given.actions[t], given.states[t + 1])
        return recorder.hash

    whole = record(Recorder.begin(tmp_path / "whole", given.states[0], world_id="abc", every=2), 0, 6)
    record(Recorder.begin(tmp_path / "half", given.states[0], world_id="abc", every=2), 0, 4)
    assert record(Recorder(tmp_path / "half", every=2), 4, 6) == whole
    assert torch.equal(load_rollout(tmp_path / "half").actions, given.actions[:6])


def test_what_was_written_before_a_crash_is_kept(tmp_path):
    given = rollout()
    recorder = Recorder.begin(tmp_path / "r", given.states[0], world_id="abc", every=3)
    for t in range(5):
        recorder.append(given.actions[t], given.states[t + 1])
    assert torch.equal(load_rollout(tmp_path / "r").actions, given.actions[:3])


def test_a_changed_or_missing_chunk_is_named(tmp_path):
    given = rollout()
    recorder = Recorder.begin(tmp_path / "r", given.states[0], world_id="abc", every=2)
    for t in range(6):
        recorder.append(given.actions[t], given.states[t + 1])
    chunk = tmp_path / "r" / "chunks" / "000002.safetensors"
    content = chunk.read_bytes()
    chunk.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(FormatError, match=r"000003.*hashes do not fit"):
        load_rollout(tmp_path / "r")
    chunk.write_bytes(content[:40])
    with pytest.raises(FormatError, match=r"000002.*damaged"):
        load_rollout(tmp_path / "r")
    chunk.unlink()
    with pytest.raises(FormatError, match=r"000002.*missing"):
        load_rollout(tmp_path / "r")


def test_bad_input_changes_nothing(tmp_path):
    given = rollout()
    save_rollout(given, tmp_path / "r")
    with pytest.raises(InputError, match="a rollout is there"):
        save_rollout(given, tmp_path / "r")
    with pytest.raises(InputError, match=r"no rollout\.json"):
        load_rollout(tmp_path / "nowhere")
    recorder = Recorder(tmp_path / "r")
    with pytest.raises(InputError, match="action"):
        recorder.append(torch.tensor([float("nan"), 0, 0]).double(), given.states[0])
    with pytest.raises(ShapeError, match="world_from_body"):
        recorder.append(given.actions[0], states((2,))[0])
    broken = replace(given.states[0], time=torch.tensor(float("inf")).double())
    with pytest.raises(InputError, match="time"):
        recorder.append(given.actions[0], broken)
    recorder.flush()
    assert_same(load_rollout(tmp_path / "r"), given)
    document = json.loads((tmp_path / "r" / "rollout.json").read_text())
    (tmp_path / "r" / "rollout.json").write_text(json.dumps({**document, "schema": 99}))
    with pytest.raises(FormatError, match="schema 99"):
        load_rollout(tmp_path / "r")


def test_the_hash_of_a_state_is_of_all_of_it():
    state = states()[0]
    assert state_hash(state) == state_hash(states()[0])
    for f in fields(State):
        value = getattr(state, f.name)
        if value.numel():
            other = ~value if value.dtype == torch.bool else value + 1e-12
            assert state_hash(replace(state, **{f.name: other})) != state_hash(state), f.name
    assert state_hash(state, "a") != state_hash(state, "b")
