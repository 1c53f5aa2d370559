"""Nothing is shown to who has no token."""

import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from splatworld import viewer
from splatworld.viewer.access import warning


@pytest.fixture(scope="module")
def shown(desk):
    with viewer.Viewer([desk], port=0) as found:
        yield found


def asked(address, **headers):
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20)


def test_the_address_brings_its_token_and_the_page_a_cookie(shown):
    bare = f"http://{urlsplit(shown.address).netloc}/"
    answer = asked(shown.address)
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    assert answer.status == 200
    assert "SameSite=Strict" in answer.headers["Set-Cookie"]
    assert asked(bare, Cookie=cookie).status == 200
    for headers in ({}, {"Cookie": cookie[:-1]}, {"Cookie": "nonsense"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            asked(bare, **headers)
        assert refused.value.code == 403
        assert b"with its token" in refused.value.read()
    with pytest.raises(urllib.error.HTTPError):
        asked(bare + "?token=wrong")


def test_no_socket_opens_without_it(shown):
    place = urlsplit(shown.address)
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://{place.netloc}/", open_timeout=20)
    cookie = asked(shown.address).headers["Set-Cookie"].partition(";")[0]
    connect(f"ws://{place.netloc}/", additional_headers={"Cookie": cookie}, open_timeout=20).close()


def test_two_viewers_have_two_tokens(shown, desk):
    with viewer.Viewer([desk], port=0) as other:
        place = urlsplit(shown.address)
        with pytest.raises(urllib.error.HTTPError):
            asked(f"http://{place.netloc}/?{urlsplit(other.address).query}")


def test_who_was_let_in_is_let_in_after_a_restart_at_the_same_port(desk, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with viewer.Viewer([desk], port=0) as first:
        address = first.address
        cookie = asked(address).headers["Set-Cookie"].partition(";")[0]
    bare = f"http://{urlsplit(address).netloc}/"
    key = tmp_path / "splatworld" / "viewer.key"
    assert key.stat().st_mode & 0o077 == 0
    with viewer.Viewer([desk], port=urlsplit(address).port) as second:
        assert second.address != address
        with pytest.raises(urllib.error.HTTPError):
            asked(address)  # the old token
        assert asked(bare, Cookie=cookie).status == 200
    key.unlink()  # another user's
    with viewer.Viewer([desk], port=urlsplit(address).port), pytest.raises(urllib.error.HTTPError):
        asked(bare, Cookie=cookie)


def test_without_a_place_to_keep_it_a_cookie_is_good_for_one_viewer(desk, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with viewer.Viewer([desk], port=0) as shown:
        cookie = asked(shown.address).headers["Set-Cookie"].partition(";")[0]
        assert asked(f"http://{urlsplit(shown.address).netloc}/", Cookie=cookie).status == 200


def test_another_host_says_what_that_means(desk):
    said = []
    host = socket.gethostbyname(socket.gethostname())
    with viewer.Viewer([desk], host="0.0.0.0", port=0, say=said.append):
        assert any("over the network" in line for line in said)
    assert warning("127.0.0.1") is warning("localhost") is warning("::1") is None
    assert host == "127.0.0.1" or warning(host)
