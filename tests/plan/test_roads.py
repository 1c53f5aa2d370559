import itertools
from dataclasses import replace

import numpy as np

from splatworld.plan.roads import find_roads
from splatworld.plan.shadows import Obstacles, _edges
from splatworld.plan.site import _way_out

LOW, HIGH = np.array([-0.3, -0.3]), np.array([0.3, 0.3])


def walls(*boxes):
    edges = [_edges(np.array([(a, b), (c, b), (c, d), (a, d)])) for a, b, c, d in boxes]
    table = np.stack(edges)
    return Obstacles(table[..., :2], table[..., 2], np.arange(len(boxes)), np.array(boxes), np.ones(len(boxes)))


def test_a_way_leads_around_and_is_not_much_longer_than_it_must_be():
    block = walls((-0.05, -0.05, 0.05, 0.05))
    roads = find_roads(block, np.array([-0.2, 0.0]), LOW, HIGH)
    way = np.concatenate([roads.start[None], roads.way(np.array([0.2, 0.0]))])
    fine = np.concatenate([a + np.linspace(0, 1, 50)[:, None] * (b - a) for a, b in itertools.pairwise(way)])
    assert block.gap(fine).min() > 0
    assert np.linalg.norm(np.diff(way, axis=0), axis=1).sum() < 0.45
    assert np.allclose(way[-1], [0.2, 0.0])


def test_a_tool_in_a_pocket_gets_out_of_its_mouth_but_not_through_its_walls():
    pocket = (-0.06, -0.06, -0.02, 0.06), (-0.06, 0.02, 0.06, 0.06), (-0.06, -0.06, 0.06, -0.02)
    inside, behind = np.array([-0.019, 0.0]), np.array([[-0.2, 0.0]])
    open_ = find_roads(walls(*pocket), inside, LOW, HIGH)
    assert 0.3 < open_.lengths(behind)[0] < 2.0
    shut = find_roads(walls(*pocket, (0.02, -0.06, 0.06, 0.06)), inside, LOW, HIGH)
    assert np.isinf(shut.lengths(behind)[0])


def test_a_line_meets_polygons_in_order():
    two = walls((-0.05, -0.05, 0.05, 0.05), (0.1, -0.05, 0.2, 0.05))
    starts, along = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.2]]), np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    assert np.allclose(two.hits(starts, along), [[0.95, 0.8, np.inf], [1.1, 0.95, np.inf]])
    assert np.allclose(two.gap(np.array([[0.0, 0.0], [0.08, 0.0]])), [-0.05, 0.02])
    x = np.linspace(-0.3, 0.3, 61)
    grid = two.gap_on_grid(x, x, 0.03)
    every = two.gap(np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)).reshape(61, 61)
    assert np.allclose(grid, np.minimum(every, 0.03))


def test_straight_lines_past_what_is_near_are_free_only_beyond_the_margin():
    two = walls((-0.05, -0.05, 0.05, 0.05), (0.1, -0.05, 0.2, 0.05))
    start, ends = np.array([-0.2, 0.0]), np.array([[-0.06, 0.0], [-0.045, 0.0], [0.3, 0.0], [-0.2, 0.1], [0.1, 0.155]])
    assert two.is_free(start, ends, 0.0).tolist() == [True, False, False, True, True]
    assert two.is_free(start, ends, 0.02).tolist() == [False, False, False, True, False]
    assert walls((5.0, 5.0, 6.0, 6.0)).is_free(start, ends, 0.02).all()


def test_a_tool_clamped_between_arms_leaves_through_their_mouth_before_it_goes_up():
    arms = (-0.06, -0.06, -0.02, 0.06), (-0.06, 0.002, 0.06, 0.06), (-0.06, -0.06, 0.06, -0.002)
    body = walls(*arms)
    body = replace(body, owners=np.zeros(3, int))
    out = _way_out(body, np.array([0.0, 0.0]))
    assert out[0] > 0.06
    assert abs(out[1]) < 1e-6
    for free in ([0.0, 0.061], [0.065, 0.0]):  # beside it; before its mouth
        assert _way_out(body, np.array(free)).tolist() == free
