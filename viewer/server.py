"""The server: its address, its worlds, its end."""

from __future__ import annotations

import contextlib
import errno
import io
import signal
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import viser

from splatworld import store
from splatworld.core.checks import InputError
from splatworld.core.world import rest_state
from splatworld.files import check_writable, write_file
from splatworld.viewer.access import Access, warning
from splatworld.viewer.acting import Acting, why_not
from splatworld.viewer.callbacks import reported
from splatworld.viewer.edits import Edits
from splatworld.viewer.flight import UP, View, fly
from splatworld.viewer.page import Page
from splatworld.viewer.rollout_page import RolloutPage
from splatworld.viewer.share import page_html
from splatworld.viewer.source import load_source
from splatworld.viewer.theme import Theme
from splatworld.viewer.tracks import by_world, labels_of

PORTS_TRIED = 100
SKETCHED = 2.0
"""s that a browser has to draw the sketch before the other splats follow."""
POLL = 0.1
"""s within which a signal to end is noticed."""
ENDING = (signal.SIGINT, signal.SIGTERM)
LEAN = 0.7
"""A first view whose own up is at least this much along the world's (the cosine) begins upright."""


class Viewer:
    """Worlds and rollouts in the browser, served until `close`.

    Attributes:
        address: for the browser, with the token without which nothing is shown.
        page: what is shown of the chosen world.
    """

    page: Page | RolloutPage

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        say: Callable[[str], None] | None = None,
        sketch: bool = False,
    ) -> None:
        """Load worlds and rollouts and serve them.

        Args:
            paths: folders of worlds, the first is shown first, and of rollouts, which are played in their worlds; the
                world of a rollout may be left out where it lies beside it.
            host: address of this machine to serve on; the default is reached from this machine alone.
            port: to serve on; the next free one if it is taken, any free one if 0.
            say: told what the reader should know, such as another port.
            sketch: send a few of the splats first, and the others once a browser has had time to draw these.

        Raises:
            InputError: no paths, no world or rollout at one of them, a rollout whose world is not found, or a host or
                port that cannot be served on.
            FormatError: a damaged world.
        """
        if not paths:
            raise InputError("view: no path given; name one or more worlds or rollouts.")
        sources = [load_source(world, rollouts) for world, rollouts in by_world(paths).items()]
        labels = labels_of([source.folder for source in sources])
        self._edits = {label: Edits(source) for label, source in zip(labels, sources, strict=True)}
        chosen = free_port(host, port)
        if say is not None and port not in (0, chosen):
            say(f"port {port} is taken; serving on {chosen}")
        access = Access(chosen)
        if say is not None and (told := warning(host)) is not None:
            say(told)
        with _silence(), access.guarding():
            self._server = _Server(host=host, port=chosen, verbose=False)
        name = f"[{host}]" if ":" in host else host
        self.address = f"http://{name}:{self._server.get_port()}/?token={access.token}"
        self._lock, self._acted = threading.RLock(), dict[str, Acting]()
        self._closed, self._sketch = False, sketch
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise

    def show(self, label: str) -> None:
        """Show another of the worlds, by its name in the list."""
        self._change(lambda: self._page(label))
        for client in self._server.get_clients().values():
            fly(client, self.page.start, seconds=0)

    def act(self, label: str) -> None:
        """Begin, or go on, to act in one of the worlds that were given without rollouts, by its name in the list.

        Raises:
            InputError: corrections of it are not saved; it has no tool, or no metres.
        """
        edits = self._edits[label]
        reason = why_not(edits.source.world, edits.source.name)
        if reason is not None:
            raise InputError(f"act: {reason}")
        if edits.unsaved:
            raise InputError("act: corrections of bodies are not saved; save or undo them first.")
        world, acting = edits.world, self._acted.get(label)
        if acting is None or acting.world is not world:
            acting = self._acted[label] = Acting(world, store.world_id(world), rest_state(world))
        theme, back = self._theme, lambda: self.show(label)
        self._change(lambda: RolloutPage(self._server, edits.source, theme, acting=acting, back=back))

    def export(self, path: str | Path) -> int:
        """Write what is in the scene, and how it moves, to one HTML file that needs no server; returns its bytes.

        Raises:
            InputError: the file cannot be written.
        """
        path = Path(path)
        if path.is_dir():
            raise InputError(f"{path}: a folder is there; give the name of a file, such as {path / 'page.html'}.")
        check_writable(path)
        page = self.page
        page.refine()
        if isinstance(page, RolloutPage):
            text = page_html(self._server, page.source.name, self._theme, page.stage, page.timeline)
        else:
            text = page_html(self._server, page.source.name, self._theme)
        content = text.encode()
        write_file(path, content)
        return len(content)

    @property
    def clients(self) -> dict[int, viser.ClientHandle]:
        """The browsers that are looking."""
        return self._server.get_clients()

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._closed:
            return
        self._closed = True
        if hasattr(self, "page"):
            self.page.close()
        with _silence():
            self._server.stop()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_up(self) -> None:
        server = self._server
        server.gui.set_panel_label("splatworld")
        self._theme = Theme(server)
        server.gui.main_panel.dock_right()
        server.gui.main_panel.set_width(420)
        server.scene.set_up_direction("+z")
        labels = tuple(self._edits)
        if len(labels) > 1:
            choice = server.gui.add_dropdown("World", labels)

            @choice.on_update
            @reported
            def _(_: viser.GuiEvent) -> None:
                self.show(choice.value)

        self.page = self._page(labels[0])
        self._begin_with(self.page.start)

        @server.on_client_connect
        def _(client: viser.ClientHandle) -> None:
            self.page.cameras.clear_view()
            if self._sketch:
                self._sketch = False
                later = threading.Timer(SKETCHED, self._refine)
                later.daemon = True
                later.start()

            @client.camera.on_update
            def _(_: viser.CameraHandle) -> None:
                self.page.cameras.clear_view()

        @server.on_client_disconnect
        def _(_: viser.ClientHandle) -> None:
            if not self._closed:
                self.page.cameras.clear_view()

    def _change(self, made: Callable[[], Page | RolloutPage]) -> None:
        """Another page in place of the one that is shown; browsers keep their views."""
        with self._lock, self._server.atomic():
            self.page.remove()
            self.page = made()
            self._begin_with(self.page.start)

    def _page(self, label: str) -> Page | RolloutPage:
        edits = self._edits[label]
        if edits.source.tracks:
            return RolloutPage(self._server, edits.source, self._theme, sketch=self._sketch)
        return Page(
            self._server, edits, self._theme, lambda: self._reload(label), lambda: self.act(label), sketch=self._sketch
        )

    def _refine(self) -> None:
        with self._lock:
            if not self._closed:
                self.page.refine()

    def _reload(self, label: str) -> None:
        """Show a world anew that was changed on disk."""
        self._edits[label] = Edits(load_source(self._edits[label].source.folder))
        self.show(label)

    def _begin_with(self, view: View) -> None:
        camera = self._server.initial_camera
        camera.position, camera.look_at = tuple(view.position), tuple(view.target)
        camera.up = np.array(UP) if view.up[2] > LEAN else view.up
        camera.fov = view.fov
        camera.near, camera.far = view.distance / 200, view.distance * 1000


def serve(
    paths: Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve worlds until Ctrl-C or SIGTERM; a second one while it ends does not wait.

    Args:
        paths, host, port: as for `Viewer`.
        open_browser: open a window on it.
        say: told what the reader should know.
        ready: told the address; `say` by default.

    Raises:
        InputError, FormatError: as for `Viewer`.
    """
    with Viewer(paths, host=host, port=port, say=say, sketch=True) as viewer, _signals() as received:
        (ready or say)(viewer.address)
        if open_browser:
            webbrowser.open(viewer.address)
        while not received:
            time.sleep(POLL)


def free_port(host: str, port: int) -> int:
    """The first port from `port` on that can be served on; any free one for 0.

    Raises:
        InputError: no such address on this machine, or no port free.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"view: port is {port}, expected 0 to 65535.")
    try:
        family, kind, protocol, _, (address, *_) = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"view: no address is called {host!r}; use 127.0.0.1 for this machine alone.") from error
    for candidate in range(port, min(port + PORTS_TRIED, 2**16)):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, candidate))
                return probe.getsockname()[1]
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise InputError(f"view: cannot serve on {host} ({error.strerror}); use 127.0.0.1.") from error
                refused = error.errno
    why = "needs the rights of an administrator" if refused == errno.EACCES else "is taken, and the next ones too"
    raise InputError(f"view: port {port} {why}; choose another with --port.")


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals to end that came so far.

    They raise nothing: an exception that is raised inside of some other callback is lost. And they wait for no lock,
    which the very thread that they interrupt might hold.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # signals go to the main thread
        return
    before = {number: signal.signal(number, lambda got, _: received.append(got)) for number in ENDING}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Server(viser.ViserServer):
    """A server that no browser can ask to be reachable from outside."""

    def request_share_url(self, verbose: bool = True) -> str | None:
        return None


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the server library's own banner off stdout, which belongs to results."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
