import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'sim': pip install splatworld[sim]")

from splatworld.simulate.phone import (
    TO_LINEAR,
    Phone,
    Shutter,
    develop,
    encode,
    exposure_values,
    hand_held,
    row_weights,
    to_display,
)

PHONE = Phone()


@pytest.mark.parametrize("slices", [1, 4, 7])
@pytest.mark.parametrize("time", [0.0, 1 / 30, 4.1, 16.9667])
def test_rows_see_their_own_exposure(slices, time):
    phone = Phone(slices=slices)
    index, shares = row_weights(phone, time)
    assert np.allclose(shares.sum(0), 1, atol=1e-5)
    step = phone.exposure / slices
    height = phone.size[1]
    wanted = time + ((np.arange(height) + 0.5) / height - 0.5) * phone.readout
    assert np.abs((index * step) @ shares - wanted).max() < step / 2
    width = np.sqrt((((index * step)[:, None] - wanted) ** 2 * shares).sum(0))
    assert np.allclose(width, phone.exposure / np.sqrt(12), atol=0.6 * step)


def test_every_row_sees_every_phase_equally():
    index, shares = row_weights(PHONE, 3.3)
    for phase in range(PHONE.slices):
        assert np.allclose(shares[index % PHONE.slices == phase].sum(0), 1 / PHONE.slices, atol=1e-5)


def test_middle_row_is_centred_on_the_time_stamp():
    index, shares = row_weights(PHONE, 2.0)
    middle = shares[:, PHONE.size[1] // 2 - 1 : PHONE.size[1] // 2 + 1].mean(1)
    assert (index * PHONE.exposure / PHONE.slices) @ middle == pytest.approx(2.0, abs=1e-4)


def test_a_still_scene_is_exposed_without_seams():
    phone = Phone(size=(32, 18), noise=0.0, drift=0.0)
    picture = np.full((18, 32, 3), 117, np.uint8)
    assert (Shutter(phone, lambda pose, phase: picture).expose(5) == 117).all()


def test_a_flash_lights_only_the_rows_that_are_open():
    phone = Phone(size=(4, 100), noise=0.0, drift=0.0, slices=8)
    dark, white = np.zeros((100, 4, 3), np.uint8), np.full((100, 4, 3), 255, np.uint8)
    pictures = iter([white, *[dark] * 30])
    frame = Shutter(phone, lambda pose, phase: next(pictures)).expose(0)
    assert frame[0].min() > 60
    assert frame[20:].max() == 0


def test_path_is_one_a_hand_could_take():
    times = np.arange(0, PHONE.duration, 1 / 240)
    poses = hand_held(PHONE, times)
    assert np.allclose(np.linalg.norm(poses[:, 3:], axis=1), 1)
    distance = np.linalg.norm(poses[:, :3], axis=1)
    assert distance.min() > 0.6
    assert distance.max() < 1.12
    assert np.linalg.norm(np.diff(poses[:, :3], axis=0), axis=1).max() * 240 < 0.8
    angle = np.unwrap(np.arctan2(poses[:, 1], poses[:, 0]))
    assert np.degrees(angle[-1] - angle[0]) > 300
    assert np.abs(exposure_values(PHONE, times)).max() <= PHONE.drift


def test_noise_has_the_stated_size_and_is_seeded():
    light = np.full((200, 300, 3), 0.2140, np.float32)  # mid-grey
    frame = develop(PHONE, light, 3)
    assert frame.std() / 255 == pytest.approx(PHONE.noise, rel=0.08)
    assert (frame == develop(PHONE, light, 3)).all()
    assert (frame != develop(PHONE, light, 4)).any()


def test_display_encoding_round_trip():
    assert np.abs(to_display(TO_LINEAR) * 255 - np.arange(256)).max() < 0.02


def test_video_is_small_enough_and_reads_back(tmp_path):
    av = pytest.importorskip("av")
    ramp = np.linspace(0, 255, 96, dtype=np.uint8)
    frames = np.stack([np.broadcast_to(np.roll(ramp, 3 * k)[None, :, None], (64, 96, 3)) for k in range(12)])
    path = tmp_path / "v.mp4"
    encode(frames, path, fps=30, limit=30_000)
    assert path.stat().st_size <= 30_000
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        read = [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(stream)]
    assert [round(t * 30) for t, _ in read] == list(range(12))
    assert np.abs(read[5][1].astype(int) - frames[5]).mean() < 6
    with pytest.raises(ValueError, match="shorten"):
        encode(frames, path, fps=30, limit=10)
