import shutil

import pytest

from tests.viewer.desk import save_desk, save_pushes
from tests.viewer.pusher import save_pusher


@pytest.fixture(scope="session", autouse=True)
def _state_home(tmp_path_factory):
    """The user's own key of cookies stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """Folder of a world with a capture."""
    return save_desk(tmp_path_factory.mktemp("worlds") / "desk")


@pytest.fixture(scope="session")
def pushes(desk):
    """Folders of two rollouts beside the desk: "to the right" and "away"."""
    return save_pushes(desk)


@pytest.fixture(scope="session")
def pusher(tmp_path_factory):
    """Folder of a world with a tool, not to be changed."""
    return save_pusher(tmp_path_factory.mktemp("worlds") / "pusher", 0.3)


@pytest.fixture(scope="session")
def chromium():
    """A browser without a window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium, which is not installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        options = ["--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()
