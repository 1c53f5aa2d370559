import json

from splatworld.cli.main import main
from splatworld.recordings import load_rollout
from splatworld.store import save_world
from tests.dynamics.scenes import at, blocks


def test_a_plan_is_a_rollout_with_figures_beside_it(tmp_path, capsys):
    save_world(blocks(at(0.0, 0.0, 0.025), tool=at(-0.1, 0.0, 0.005)), tmp_path / "world")
    goal, out = tmp_path / "goal.json", tmp_path / "plan"
    goal.write_text(json.dumps({"aims": [{"body": "block 0", "position": [0.05, 0.0]}]}))
    words = ["plan", str(tmp_path / "world"), "--goal", str(goal), "--candidates", "16", "--json", "--quiet"]
    assert main([*words, "-o", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["actions"] == len(load_rollout(out).actions) > 0
    assert json.loads((out / "plan.json").read_text()) == told
    # Its end as a goal: a ghost at the place where the block shall be.
    assert main([*words[:2], "--goal", str(out), "--candidates", "16", "--json", "-o", str(tmp_path / "again")]) == 0
    # Where the goal is reached already, nothing is to be done.
    capsys.readouterr()
    assert main([*words, "--after", str(out), "--goal", str(out), "-o", str(tmp_path / "none")]) == 2
    assert "stands where it shall" in capsys.readouterr().err


def test_what_cannot_be_is_told_and_nothing_is_written(tmp_path, capsys):
    save_world(blocks(at(0.0, 0.0, 0.025), tool=at(-0.1, 0.0, 0.005)), tmp_path / "world")
    goal, out = tmp_path / "goal.json", tmp_path / "plan"
    goal.write_text(json.dumps({"aims": [{"body": "block 0", "position": [0.05, 0.0, 0.3]}]}))
    words = ["plan", str(tmp_path / "world"), "--goal", str(goal), "-o", str(out)]
    assert main(words) == 2
    assert "infeasible, the goal of 'block 0' is +27 cm" in capsys.readouterr().err
    goal.write_text(json.dumps({"aims": [{"body": "cup", "position": [0.05, 0.0]}]}))
    assert main(words) == 2
    assert "no body 'cup'" in capsys.readouterr().err
    assert not out.exists()
