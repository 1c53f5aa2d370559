"""A phone camera: a hand-held path, a rolling shutter, motion blur, drifting exposure, noise, H.264.

The shutter of row r of a frame at time t is open for `exposure` seconds around t + ((r + 0.5) / H - 0.5) * readout. The
clock runs in slices of exposure / `slices`; one sharp picture is rendered for each, and rows average those that they
see, in linear light. The slice also fixes a point of the lamp and a sub-pixel offset, both with period `slices`, so
that every row of every frame sees each of them for the same share of its opening: soft shadows and smooth edges at no
extra cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import mujoco
import numpy as np

Render = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Phone:
    """What the camera does.

    Attributes:
        size: (width, height) px.
        focal: px, both axes; the principal point is the middle of the picture and there is no distortion.
        fps: 1/s.
        duration: s.
        exposure: s a row is exposed.
        readout: s from the first row's opening to the last's.
        slices: sharp pictures per exposure.
        noise: standard deviation of the noise at mid-grey, share of full scale.
        drift: EV, the exposure wanders within plus and minus this.
        seed: of hand and noise.
    """

    size: tuple[int, int] = (1280, 720)
    focal: float = 1004.0
    fps: int = 30
    duration: float = 17.0
    exposure: float = 1 / 60
    readout: float = 0.017
    slices: int = 4
    noise: float = 0.015
    drift: float = 0.3
    seed: int = 0

    @property
    def times(self) -> np.ndarray:
        """[T] s, mid-exposure of the middle row of each frame, which is also its time stamp."""
        return np.arange(round(self.duration * self.fps)) / self.fps


def _tones(
    rng: np.random.Generator, low: float, high: float, count: int, size: float
) -> Callable[[np.ndarray], np.ndarray]:
    """A smooth random signal [...,3]: sines between `low` and `high` Hz, standard deviation `size`."""
    hertz, phase = rng.uniform(low, high, (count, 3)), rng.uniform(0, 2 * np.pi, (count, 3))
    weight = rng.uniform(0.5, 1, (count, 3))
    weight *= size * np.sqrt(2) / np.sqrt((weight**2).sum(0))
    return lambda t: (weight * np.sin(2 * np.pi * hertz * np.asarray(t)[..., None, None] + phase)).sum(-2)


def hand_held(phone: Phone, times: np.ndarray) -> np.ndarray:
    """The path of someone who walks around a table and films it.

    Args:
        times: [...] s.

    Returns:
        [...,7] world_from_camera: metres, wxyz; OpenCV axes (x right, y down, z forward).
    """
    t = np.asarray(times, float)
    rng = np.random.default_rng([phone.seed, 11])
    sway, shake = _tones(rng, 0.25, 0.9, 4, 0.009), _tones(rng, 4.5, 8.5, 6, 0.0009)
    aim, tremor = _tones(rng, 0.2, 0.8, 4, 0.014), _tones(rng, 4.0, 9.0, 7, 0.0012)
    u = t / phone.duration
    angle = np.radians(-112 + 328 * u + 9 * np.sin(2 * np.pi * 2.6 * u + 0.7))
    reach = 0.76 + 0.10 * np.cos(2 * np.pi * 1.4 * u + 0.3) + 0.03 * np.sin(2 * np.pi * 3.7 * u)
    height = 0.485 + 0.215 * np.sin(2 * np.pi * 1.75 * u - 0.4)
    eye = np.stack([reach * np.cos(angle), reach * np.sin(angle), height], -1) + sway(t) + shake(t)
    eye[..., 2] += 0.006 * np.sin(2 * np.pi * 1.85 * t)  # steps
    target = np.stack([0.03 * np.sin(1.1 * t), 0.02 * np.cos(0.9 * t), 0.03 + 0.02 * np.sin(0.7 * t + 1)], -1)
    forward = target - eye
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    axes = np.stack([right, np.cross(forward, right), forward], -1)
    turn = aim(t) + tremor(t)
    poses = np.empty((*t.shape, 7))
    poses[..., :3] = eye
    for index in np.ndindex(t.shape):
        base, small, quat = np.empty(4), np.empty(4), np.empty(4)
        mujoco.mju_mat2Quat(base, axes[index].ravel())
        amount = float(np.linalg.norm(turn[index]))
        mujoco.mju_axisAngle2Quat(small, turn[index] / max(amount, 1e-12), amount)
        mujoco.mju_mulQuat(quat, base, small)
        poses[index][3:] = quat / np.linalg.norm(quat) * (1 if quat[0] >= 0 else -1)
    return poses


def exposure_values(phone: Phone, times: np.ndarray) -> np.ndarray:
    """[...] EV added to the nominal exposure: slow waves within plus and minus `phone.drift`."""
    t = np.asarray(times, float)
    return phone.drift * (0.72 * np.sin(2 * np.pi * t / 9.1 + 0.4) + 0.28 * np.sin(2 * np.pi * t / 3.7 + 2.0))


def row_weights(phone: Phone, time: float) -> tuple[np.ndarray, np.ndarray]:
    """How much each slice of the clock counts for each row of the frame at `time` s.

    Returns:
        [S] indices k of the slices, centred on k * exposure / slices s, and [S,H] shares; every row's sum to 1.
    """
    step = phone.exposure / phone.slices
    height = phone.size[1]
    centre = time + ((np.arange(height) + 0.5) / height - 0.5) * phone.readout
    first = int(np.floor((centre[0] - phone.exposure / 2) / step + 0.5))
    last = int(np.floor((centre[-1] + phone.exposure / 2) / step + 0.5))
    index = np.arange(first, last + 1)
    opens = np.maximum((index[:, None] - 0.5) * step, centre - phone.exposure / 2)
    closes = np.minimum((index[:, None] + 0.5) * step, centre + phone.exposure / 2)
    share = np.maximum(closes - opens, 0) / phone.exposure
    keep = share.max(1) > 1e-9
    return index[keep], (share[keep] / share[keep].sum(0)).astype(np.float32)


_CODES = np.arange(256) / 255.0
TO_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_display(linear: np.ndarray) -> np.ndarray:
    """sRGB encoding in 0..1 of linear light, clipped to 0..1."""
    x = np.clip(linear, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(np.maximum(x, 1e-6), 1 / 2.4) - 0.055).astype(
        np.float32
    )


class Shutter:
    """Exposes frames; keeps the sharp pictures that the next frame needs too."""

    def __init__(self, phone: Phone, render: Render) -> None:
        self.phone, self.render = phone, render
        self._kept: dict[int, np.ndarray] = {}

    def expose(self, number: int) -> np.ndarray:
        """Frame `number` as the phone delivers it before encoding, [H,W,3] u8."""
        phone = self.phone
        time = float(phone.times[number])
        index, shares = row_weights(phone, time)
        poses = hand_held(phone, index * phone.exposure / phone.slices)
        self._kept = {k: v for k, v in self._kept.items() if k >= index[0]}
        width, height = phone.size
        light = np.zeros((height, width, 3), np.float32)
        for k, pose, share in zip(index.tolist(), poses, shares, strict=True):
            if k not in self._kept:
                self._kept[k] = self.render(pose, k % phone.slices)
            rows = np.flatnonzero(share)
            part = slice(rows[0], rows[-1] + 1)
            light[part] += cv2.LUT(self._kept[k][part], TO_LINEAR) * share[part, None, None]
        gain = 2.0 ** float(exposure_values(phone, np.array(time)))
        return develop(phone, light * gain, number)


def develop(phone: Phone, light: np.ndarray, number: int) -> np.ndarray:
    """Linear light [H,W,3] to noisy 8-bit display values; the noise grows with brightness and is slightly smooth."""
    rng = np.random.default_rng([phone.seed, 12, number])
    image = to_display(light)
    grain = rng.standard_normal(image.shape, np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.5) * 1.52  # unit variance again
    sigma = phone.noise * (0.7 + 0.6 * image)
    return np.clip((image + sigma * grain) * 255 + 0.5, 0, 255).astype(np.uint8)


def encode(
    frames: np.ndarray, path: Path, *, fps: int, limit: int, on_frame: Callable[[], None] | None = None
) -> float:
    """Write H.264 (yuv420p, BT.709) of at most `limit` bytes.

    Args:
        frames: [T,H,W,3] u8 RGB.

    Returns:
        The bit rate asked for, 1/s.

    Raises:
        ValueError: it cannot be made small enough.
    """
    rate = max(1000.0, 0.94 * limit * 8 * fps / len(frames))
    for _ in range(5):
        _encode(frames, path, fps, rate, on_frame)
        size = path.stat().st_size
        if size <= limit:
            return rate
        rate = max(1000.0, rate * 0.96 * limit / size)
    raise ValueError(f"encode: {path.name} is {size} bytes, expected at most {limit}; shorten the clip.")


def _encode(frames: np.ndarray, path: Path, fps: int, rate: float, on_frame: Callable[[], None] | None) -> None:
    bt709 = 1
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = int(rate)
        stream.options = {"preset": "medium", "threads": "2"}
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = context.color_range = bt709
        for k, image in enumerate(frames):
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = rgb.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts = k
            for packet in stream.encode(frame):
                out.mux(packet)
            if on_frame:
                on_frame()
        for packet in stream.encode():
            out.mux(packet)
