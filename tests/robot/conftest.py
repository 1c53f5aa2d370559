import pytest

from splatworld.robot.load import load_robot
from splatworld.robot.place import add_robot, metric_world
from tests.robot.builders import HOME, write_arm


@pytest.fixture(scope="session")
def arm_file(tmp_path_factory):
    return write_arm(tmp_path_factory.mktemp("arm"))


@pytest.fixture(scope="session")
def arm(arm_file):
    """A world with the arm alone."""
    return add_robot(metric_world(), load_robot(arm_file), home=HOME, splats=100)
