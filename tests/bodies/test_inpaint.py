import numpy as np

from splatworld.bodies.inpaint import inpaint


def stuff(shape=(120, 120)):
    """Brown with a fine grain."""
    grain = np.random.default_rng(0).normal(0, 0.03, shape)[..., None]
    return np.clip(np.array([0.7, 0.5, 0.3]) + grain, 0, 1).astype(np.float32)


def test_a_hole_is_filled_with_the_same_stuff():
    colors, holes = stuff(), np.zeros((120, 120), bool)
    holes[50:70, 40:70] = True
    filled = inpaint(np.where(holes[..., None], 0, colors), ~holes, holes)
    inside = filled[holes]
    assert np.abs(inside.mean(axis=0) - colors.mean(axis=(0, 1))).max() < 0.02
    assert inside.std(axis=0).min() > 0.015  # grain, not a smear
    assert np.array_equal(filled[~holes], colors[~holes])


def test_a_print_is_not_copied_where_nothing_else_is_large_enough():
    """A hole so large that only a window over a print, half of it on the rim, lies free of other holes."""
    colors, holes = stuff(), np.zeros((120, 120), bool)
    holes[10:50, 10:110] = True
    colors[80:115, 50:115] = 1.0
    colors[90:105, 60:105] = 0.0
    filled = inpaint(np.where(holes[..., None], 0, colors), ~holes, holes)
    assert filled[holes].min() > 0.1
    assert filled[holes].max() < 0.9


def test_a_large_hole_with_nothing_to_copy_is_filled_smoothly():
    """No piece of it finds a patch, however small; cutting it up comes to an end."""
    colors, known = stuff((90, 110)), np.zeros((90, 110), bool)
    known[:3] = True
    filled = inpaint(np.where(known[..., None], colors, 0), known, ~known)
    assert np.abs(filled[~known] - colors.mean(axis=(0, 1))).max() < 0.15
