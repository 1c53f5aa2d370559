"""Who may look: whoever has the address that was printed, with its token, which is another one each time."""

from __future__ import annotations

import contextlib
import hmac
import http
import ipaddress
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import websockets.asyncio.server
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

Answer = Callable[[ServerConnection, Request], Response | None]
REFUSAL = b"Open the address that `splatworld view` printed, with its token.\n"


class Access:
    """Lets those in who bring the token in the address, and afterwards by the cookie that they were given for it.

    The cookie is good until the browser is closed, for later viewers of the same user at the same port too, so that a
    page that lost its viewer finds the next one. Other programs' pages in the same browser do not get in: the cookie is
    not sent along with what they ask for.

    Attributes:
        token: to be put behind the address as `?token=`.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(16)
        self._cookie = f"splatworld-{port}"  # cookies are shared by all ports of a machine
        self._pass = hmac.digest(_key(), self._cookie.encode(), "sha256").hex()

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Servers of viser that are started within ask for the token, of which viser itself knows nothing."""
        serve = websockets.asyncio.server.serve

        def guarded(*args: Any, process_request: Answer, **options: Any) -> Any:
            return serve(*args, process_request=self.answer(process_request), **options)

        websockets.asyncio.server.serve = guarded  # type: ignore[assignment,misc]
        try:
            yield
        finally:
            websockets.asyncio.server.serve = serve  # type: ignore[misc]

    def answer(self, inner: Answer) -> Answer:
        """What answers requests as `inner` does, but only those that may."""

        def checked(connection: ServerConnection, request: Request) -> Response | None:
            given = parse_qs(urlsplit(request.path).query).get("token", [""])[0]
            if not _same(given, self.token) and not _same(self._kept(request), self._pass):
                return Response(
                    http.HTTPStatus.FORBIDDEN,
                    "Forbidden",
                    Headers({"Content-Type": "text/plain", "Content-Length": str(len(REFUSAL))}),
                    REFUSAL,
                )
            response = inner(connection, request)
            if response is not None and given:
                response.headers["Set-Cookie"] = f"{self._cookie}={self._pass}; HttpOnly; SameSite=Strict; Path=/"
            return response

        return checked

    def _kept(self, request: Request) -> str:
        """The cookie of a request; empty if it has none."""
        try:
            cookies = SimpleCookie(request.headers.get("Cookie", ""))
        except CookieError:
            return ""
        return cookies[self._cookie].value if self._cookie in cookies else ""


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _key() -> bytes:
    """What this user's cookies are made of, kept where only the user can read it; of this run alone where it cannot."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    file = home / "splatworld" / "viewer.key"
    made = secrets.token_bytes(32)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            contextlib.suppress(FileExistsError),
            open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as new,
        ):
            new.write(made)
        return file.read_bytes() or made
    return made


def warning(host: str) -> str | None:
    """What it means to serve on a host; None of this machine alone."""
    try:
        alone = ipaddress.ip_address(host).is_loopback
    except ValueError:
        alone = host == "localhost"
    if alone:
        return None
    return (
        f"serving on {host}, not on this machine alone: whoever reaches it over the network and has the address "
        "with its token can look, act and save; what is sent is not encrypted"
    )
