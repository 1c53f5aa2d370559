import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch

from splatworld import store
from splatworld.core.checks import InputError
from splatworld.core.world import Scale

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")


def listening(port: int) -> set[str]:
    """Addresses on which something listens at a port, from the kernel's own table."""
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            place, state = row.split()[1], row.split()[3]
            number, _, hexadecimal = place.partition(":")
            if state == "0A" and int(hexadecimal, 16) == port:
                words = [bytes.fromhex(number[i : i + 8])[::-1] for i in range(0, len(number), 8)]
                found.add(socket.inet_ntop(family, b"".join(words)))
    return found


def port_of(shown):
    return urlsplit(shown.address).port


def test_what_viewing_does_not_need_is_not_waited_for():
    script = (
        "import sys, splatworld.viewer; assert not {'trimesh', 'networkx', 'matplotlib', 'mujoco'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's table of sockets")
def test_only_this_machine_is_served_and_close_frees_the_port(desk, capsys):
    with viewer.Viewer([desk], port=0) as shown:
        assert shown.address.startswith("http://127.0.0.1:")
        assert listening(port_of(shown)) == {"127.0.0.1"}
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port_of(shown)))
    shown.close()
    assert capsys.readouterr().out == ""


def test_a_taken_port_gives_way_to_the_next(desk):
    said = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with viewer.Viewer([desk], port=taken, say=said.append) as shown:
            assert port_of(shown) > taken
            assert said == [f"port {taken} is taken; serving on {port_of(shown)}"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"host": "no.such.host.invalid"}, "no address is called 'no.such.host.invalid'"),
        ({"host": "203.0.113.7"}, "cannot serve on 203.0.113.7"),
        ({"port": 70000}, "expected 0 to 65535"),
    ],
)
def test_addresses_that_cannot_be_served_on(desk, options, sentence):
    with pytest.raises(InputError, match=sentence):
        viewer.Viewer([desk], **{"port": 0, **options})


def test_worlds_that_are_missing(tmp_path):
    with pytest.raises(InputError, match="no such world"):
        viewer.Viewer([tmp_path / "nothing"], port=0)
    with pytest.raises(InputError, match="not a world"):
        viewer.Viewer([tmp_path], port=0)
    with pytest.raises(InputError, match="no path given"):
        viewer.Viewer([], port=0)


def test_several_worlds_take_turns(desk, tmp_path):
    from splatworld.viewer.page import summary

    world = store.load_world(desk)
    bare = replace(
        world, cameras={}, metrics={}, scale=Scale(1.0, "known_length", 0.01), gravity=torch.tensor([0, 0, -9.8])
    )
    store.save_world(bare, tmp_path / "bare")
    shutil.copytree(desk, tmp_path / "again" / "desk")
    with viewer.Viewer([desk, tmp_path / "bare", tmp_path / "again" / "desk"], port=0) as shown:
        assert shown.page.source.name == "desk"
        shown.show("bare")
        told = summary(shown.page.source, shown.page.source.world, shown.page.nodes.drawn)
        assert told["Scale"] == "metres to +- 1 %, from known length"
        assert told["Size"].endswith(" m")
        assert told["Cameras"] == "0, 0 held out"
        shown.show(str(tmp_path / "again" / "desk"))
        assert len(shown.page.cameras.frustums) == 9
        assert "capture units" in summary(shown.page.source, shown.page.source.world, 1)["Scale"]


def test_a_hundred_thousand_splats_are_up_in_three_seconds(tmp_path):
    from tests.viewer.desk import make_desk

    world, _ = make_desk(110_000)
    store.save_world(world, tmp_path / "w")
    assert len(world.splats) > 100_000
    times = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # torch's idle threads spin, and the process's time would count that
    try:
        for _ in range(2):  # the first also pays for imports
            begin = time.process_time()  # other work on this machine does not count
            viewer.Viewer([tmp_path / "w"], port=0).close()
            times.append(time.process_time() - begin)
    finally:
        torch.set_num_threads(threads)
    assert min(times) < 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_command(desk, number):
    command = [sys.executable, "-m", "splatworld.cli.main", "view", str(desk), "--port", "0", "--no-browser", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = process.stdout.readline() + process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (first + out).replace("\n", "").startswith('{ "address": "http://127.0.0.1:')
    assert err == ""


def test_an_interrupt_that_comes_inside_a_callback_is_not_lost(desk):
    """Python drops what is raised while it finalises an object."""

    class Dropped:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def ready(_):
        Dropped()

    begin, before = time.monotonic(), signal.getsignal(signal.SIGINT)  # ignored by what a shell starts beside itself
    viewer.serve([desk], port=0, ready=ready)
    assert time.monotonic() - begin < 30
    assert signal.getsignal(signal.SIGINT) is before
