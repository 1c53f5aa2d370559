"""HDR video (PQ, HLG; BT.2020) to sRGB by one fixed curve, so that no frame flickers against another."""

from __future__ import annotations

from functools import cache

import numpy as np

PQ, HLG = 16, 18  # ffmpeg's AVCOL_TRC_SMPTE2084 and AVCOL_TRC_ARIB_STD_B67

_WHITE_NITS = 203.0  # diffuse white of HDR video (ITU-R BT.2408)
_PEAK_NITS = 1000.0
_KNEE = 0.75  # linear below, so that everything but highlights keeps its contrast

# Primaries BT.2020 -> BT.709 (ITU-R BT.2087).
_709_FROM_2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)


def is_hdr(transfer: int) -> bool:
    """Whether a video's transfer characteristic is PQ or HLG."""
    return transfer in (PQ, HLG)


def to_srgb(picture: np.ndarray, transfer: int) -> np.ndarray:
    """Tone-map a frame.

    Args:
        picture: [H, W, 3] uint16 R'G'B' as coded, full range.
        transfer: PQ or HLG.

    Returns:
        [H, W, 3] uint8 sRGB. Diffuse white (203 nits) lands just under the knee's shoulder; 1,000 nits become 255.
    """
    light = _linear_table(transfer)[picture]
    if transfer == HLG:
        # Opto-optical transfer of a 1,000 nit display: system gamma 1.2 on luminance (ITU-R BT.2100).
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
        light = light * (_PEAK_NITS / _WHITE_NITS) * np.maximum(luminance, 1e-6)[..., None] ** 0.2
    light = np.maximum(light @ _709_FROM_2020.T, 0)
    brightest = light.max(axis=-1, keepdims=True)
    light = light * (_shoulder(brightest) / np.maximum(brightest, 1e-6))
    return _srgb_table()[np.round(np.clip(light, 0, 1) * 65535).astype(np.uint16)]


def _shoulder(light: np.ndarray) -> np.ndarray:
    """Identity up to the knee, then a rational roll-off that meets 1 at the peak, C1 at the knee."""
    span = 1 - _KNEE
    over = np.maximum(light - _KNEE, 0) / span
    top = (_PEAK_NITS / _WHITE_NITS - _KNEE) / span
    # over / (1 + over * c) reaches 1 at `top` with slope 1 at 0.
    c = 1 - 1 / top
    return np.minimum(np.where(light > _KNEE, _KNEE + span * over / (1 + over * c), light), 1)


@cache
def _linear_table(transfer: int) -> np.ndarray:
    """[65536] float32: PQ in units of diffuse white, HLG scene light 0..1."""
    code = np.linspace(0, 1, 65536)
    if transfer == PQ:
        # SMPTE ST 2084.
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        root = code ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * 10000 / _WHITE_NITS
    else:
        # ARIB STD-B67.
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return light.astype(np.float32)


@cache
def _srgb_table() -> np.ndarray:
    """[65536] uint8: the sRGB transfer of linear light 0..1."""
    light = np.linspace(0, 1, 65536)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(coded * 255).astype(np.uint8)
