"""Suite `gpu`: the CUDA kernels on this machine's GPU, beside gsplat where that is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core import pose
from splatworld.core.checks import InputError, SplatworldError
from splatworld.core.splats import Splats
from splatworld.evaluate import gpu_peer, rasterizer
from splatworld.evaluate.gpu_clock import medians, peak_bytes
from splatworld.evaluate.gpu_training import training_lines
from splatworld.evaluate.report import Line, Report, line
from splatworld.evaluate.scenes import Scene, moved, room
from splatworld.render.device import DevicePass
from splatworld.render.fixed import FixedPass
from splatworld.render.ops import RasterPass, camera_rows, rasterize
from splatworld.render.passes import Settings
from splatworld.render.rendering import Rendering

ROOMS = tuple((count, size) for count in (100_000, 1_000_000, 3_000_000) for size in ((640, 480), (1920, 1080)))
TRAINING_ROOMS = ((1_000_000, (1920, 1080)),)
QUICK_ROOMS = ((20_000, (320, 240)),)
BATCH, BATCH_SPLATS, BATCH_SIZE = 64, 200_000, (320, 240)
"""States of one world that are drawn in one call."""
QUICK_BATCH, QUICK_BATCH_SPLATS = 4, 5_000
ROUNDS, QUICK_ROUNDS = 15, 3
SCENES, QUICK_SCENES = 30, 6
"""Random scenes that are compared with the oracle."""


def run(
    *,
    quick: bool = False,
    long: bool = False,
    progress: Callable[[str], None] | None = None,
    device: torch.device | None = None,
) -> Report:
    """Measure the CUDA kernels; the figures are medians of calls in turn, for us and the peer alike.

    Args:
        quick: small scenes and few rounds.
        long: like the default; here for the sake of all suites.
        progress: called with one sentence a step.
        device: where to draw; the current GPU by default.

    Raises:
        InputError: no GPU.
        NativeMissing: the kernels are built without CUDA.
    """
    say = progress or (lambda _: None)
    if device is None:
        if not torch.cuda.is_available():
            raise InputError("eval gpu: torch finds no GPU here; run it where nvidia-smi lists one.")
        device = torch.device("cuda", torch.cuda.current_device())
    native.load_cuda()
    peer = gpu_peer.load_peer() if device.type == "cuda" else None
    rounds = QUICK_ROUNDS if quick else ROUNDS
    states, splats = (QUICK_BATCH, QUICK_BATCH_SPLATS) if quick else (BATCH, BATCH_SPLATS)

    def speed(count: int, size: tuple[int, int]) -> list[Line]:
        return speed_lines(moved(room(count, size), device), rounds, peer)

    def training(count: int, size: tuple[int, int]) -> list[Line]:
        return training_lines(moved(room(count, size), device), rounds)

    scenes = QUICK_SCENES if quick else SCENES
    rooms, trained = (QUICK_ROOMS, QUICK_ROOMS) if quick else (ROOMS, TRAINING_ROOMS)
    parts: dict[str, Callable[[], list[Line]]] = {
        "parity with the oracle": lambda: rasterizer.parity_lines(scenes, say, drawn_on(device)),
        **{f"drawing {_named(*each)}": partial(speed, *each) for each in rooms},
        f"{states} states": lambda: batch_lines(moved(room(splats, BATCH_SIZE), device), states, rounds, peer),
        **{f"training {_named(*each)}": partial(training, *each) for each in trained},
        "asking for too much": lambda: refusal_lines(device),
    }
    say(f"{gpu_peer.NAME} is {'here' if peer else 'not here'}")
    lines: list[Line] = []
    for what, make in parts.items():
        say(what)
        try:
            lines += make()
        except (RuntimeError, SplatworldError) as error:  # time on a GPU is dear: the other parts shall not be lost
            lines.append(line(f"{what} failed: {str(error).splitlines()[0]}", None, ""))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "a host that plays a GPU"
    return Report("gpu", lines, device=name)


def _named(count: int, size: tuple[int, int]) -> str:
    return f"{count:,} splats at {size[0]}x{size[1]}"


def drawn_on(device: torch.device) -> Callable[..., Rendering]:
    """`rasterize` on a device for tensors on the host; gradients come back there."""

    def draw(splats: Splats, frames: Tensor, camera: Any, **options: Any) -> Rendering:
        scene = moved(Scene(splats, frames, camera, **options), device)
        return moved(rasterize(scene.splats, scene.frames, scene.camera, **scene.options), torch.device("cpu"))

    return draw


def speed_lines(scene: Scene, rounds: int, peer: Any | None) -> list[Line]:
    """Times and memory of one picture and its gradients, and whether they come out the same twice."""
    device = scene.splats.means.device
    camera = scene.camera
    leaves = {name: getattr(scene.splats, name).clone().requires_grad_() for name in RasterPass.PARAMETERS}
    splats = replace(scene.splats, **leaves)
    by_image = torch.rand(camera.height, camera.width, 3, device=device)

    def draw() -> Tensor:
        return rasterize(splats, scene.frames, camera).image

    calls: dict[str, Callable[[], Any]] = {
        "forward": torch.no_grad()(draw),
        "forward and backward": partial(_drawn_gradients, draw, by_image, leaves),
    }
    same = torch.equal(calls["forward"](), calls["forward"]()) and all(
        torch.equal(a, b) for a, b in zip(calls["forward and backward"](), calls["forward and backward"](), strict=True)
    )
    theirs = {} if peer is None else _peer_calls(peer, scene, by_image)
    replay = _replay(scene)
    times = medians(calls | theirs | replay, rounds, device)
    name = f"{len(splats):,} splats at {camera.width}x{camera.height}"
    rows = [line(f"{name}, same bits twice, pictures and gradients", float(same), "", "== 1")]
    if peer is not None:
        difference = (draw() - theirs["forward, packed=False"]()).abs().mean()
        rows.append(line(f"{name}, mean difference from {gpu_peer.NAME}'s picture", 255 * float(difference), "1/255"))
    rows += [line(f"{name}, {what}", times[what], "ms") for what in replay]
    for what, target in (("forward", ">= 2"), ("forward and backward", ">= 3")):
        own, memory = times[what], peak_bytes(calls[what], device) / 2**20
        rows += [line(f"{name}, {what}", own, "ms"), line(f"{name}, {what}, memory beside the splats", memory, "MiB")]
        if peer is not None:
            best = min((key for key in theirs if key.startswith(f"{what}, ")), key=times.__getitem__)
            taken = peak_bytes(theirs[best], device) / 2**20
            versus = f"{gpu_peer.NAME} {times[best]:.3f} ms ({best.split(', ')[-1]})"
            rows += [
                line(f"{name}, {what}, against {gpu_peer.NAME}", times[best] / own, "x", target, versus),
                line(
                    f"{name}, {what}, memory against {gpu_peer.NAME}", memory / max(taken, 1e-9), "x", "<= 1",
                    f"{taken:.0f} MiB",
                ),
            ]  # fmt: skip
    return rows


def batch_lines(scene: Scene, states: int, rounds: int, peer: Any | None) -> list[Line]:
    """Many states of one world in one call: our splats lie in memory once, theirs once a state."""
    device = scene.splats.means.device
    draw = torch.Generator().manual_seed(0)
    twists = 0.2 * torch.randn(states, scene.frames.shape[-2], 6, generator=draw)
    twists[:, 0] = 0
    frames = pose.exp(twists).to(device)

    def ours() -> Tensor:
        return rasterize(scene.splats, frames, scene.camera).image

    calls: dict[str, Callable[[], Any]] = {"ours": torch.no_grad()(ours)}
    if peer is not None:
        given = gpu_peer.parameters(scene)
        for packed in gpu_peer.PACKED:
            calls[f"packed={packed}"] = torch.no_grad()(
                lambda packed=packed: gpu_peer.draw(
                    peer, gpu_peer.posed(given, scene.splats.body_ids, frames), scene, packed=packed
                )
            )
    alone = torch.cat([rasterize(scene.splats, table[None], scene.camera).image for table in frames])
    times = medians(calls, rounds, device)
    camera = scene.camera
    name = f"{states} states of {len(scene.splats):,} splats at {camera.width}x{camera.height}, one call"
    memory = peak_bytes(calls["ours"], device) / 2**20
    rows = [
        line(f"{name}, same pictures as single calls", float(torch.equal(calls["ours"](), alone)), "", "== 1"),
        line(name, times["ours"], "ms"),
        line(f"{name}, memory beside the splats", memory, "MiB"),
    ]
    if peer is not None:
        best = min((key for key in times if key != "ours"), key=times.__getitem__)
        taken = peak_bytes(calls[best], device) / 2**20
        versus = f"{gpu_peer.NAME} {times[best]:.2f} ms, {taken:.0f} MiB ({best})"
        rows.append(
            line(
                f"{name}, against one batched call of {gpu_peer.NAME}", times[best] / times["ours"], "x", ">= 3", versus
            )
        )
    return rows


def refusal_lines(device: torch.device, *, splats: int = 2_000, views: int = 512) -> list[Line]:
    """What cannot be done is refused by name, and the next picture is as it was.

    Args:
        device: where to draw.
        splats: of a room, and
        views: of it, which are too many when every splat covers a picture of 4096 x 4096.
    """
    scene = moved(room(splats, (64, 48)), device)
    before = rasterize(scene.splats, scene.frames, scene.camera).image

    def refused(word: str, splats: Splats, frames: Tensor, size: tuple[int, int]) -> bool:
        camera = replace(scene.camera, size=size, center=torch.tensor(size, device=device) / 2)
        try:
            rasterize(splats, frames, camera)
        except SplatworldError as error:
            return word in str(error) and torch.equal(rasterize(scene.splats, scene.frames, scene.camera).image, before)
        return False

    large = replace(scene.splats, log_scales=scene.splats.log_scales + 6.0)
    many = scene.frames.expand(views, *scene.frames.shape)
    asked = {
        "more than 2^31 pairs": refused("pairs", large, many, (4096, 4096)),
        "too large a picture": refused("too large", scene.splats, scene.frames, (2**15, 2**15)),
    }
    return [line(f"{what}: refused by name", float(right), "", "== 1") for what, right in asked.items()]


def _replay(scene: Scene) -> dict[str, Callable[[], Any]]:
    """Drawing again what was captured as a CUDA graph, from buffers with a fifth more room than it takes; none where
    there is no GPU."""
    device = scene.splats.means.device
    if device.type != "cuda":
        return {}
    rows = camera_rows(scene.camera).float()[None]
    parameters = {name: getattr(scene.splats, name) for name in RasterPass.PARAMETERS}
    settings = Settings(scene.splats.body_ids, None, scene.camera.size, scene.splats.sh.shape[1], False)
    pairs = DevicePass(parameters, scene.frames[None], rows, torch.zeros(3, device=device), settings).pairs
    fixed = FixedPass(
        scene.splats, views=1, frames=scene.frames.shape[-2], size=scene.camera.size, pairs=pairs + pairs // 5
    )
    fixed.frames.copy_(scene.frames[None])
    fixed.cameras.copy_(rows)
    fixed.draw()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        fixed.draw()

    def replay(_kept: FixedPass = fixed) -> None:
        graph.replay()

    return {"forward as a CUDA graph": replay}


def _peer_calls(peer: Any, scene: Scene, by_image: Tensor) -> dict[str, Callable[[], Any]]:
    given = gpu_peer.parameters(scene)
    calls: dict[str, Callable[[], Any]] = {}
    for packed in gpu_peer.PACKED:
        draw = partial(gpu_peer.draw, peer, given, scene, packed=packed)
        calls[f"forward, packed={packed}"] = torch.no_grad()(draw)
        calls[f"forward and backward, packed={packed}"] = partial(_drawn_gradients, draw, by_image, given)
    return calls


def _drawn_gradients(draw: Callable[[], Tensor], by_image: Tensor, leaves: dict[str, Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(draw(), tuple(leaves.values()), by_image)
