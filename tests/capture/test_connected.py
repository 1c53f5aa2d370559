from splatworld.capture.connected import largest_group


def chain(*links: tuple[int, int, int]) -> list[set[int]]:
    """Tracks such that frames a and b share `count` points."""
    return [{a, b} for a, b, count in links for _ in range(count)]


def test_a_chain_of_frames_is_one_group():
    assert largest_group([3, 5, 7], chain((3, 5, 20), (5, 7, 15)), [90, 90]) == {3, 5, 7}


def test_two_halves_that_share_three_points_are_two():
    links = chain((0, 1, 50), (1, 2, 50), (2, 3, 3), (3, 4, 80))
    assert largest_group([0, 1, 2, 3, 4], links, [90, 90, 9, 90]) == {0, 1, 2}


def test_a_loop_ties_what_a_weak_pair_does_not():
    links = chain((0, 1, 20), (2, 3, 20), (3, 0, 20))
    assert largest_group([0, 1, 2, 3], links, [60, 4, 60]) == {0, 1, 2, 3}


def test_a_loop_does_not_outweigh_a_strong_pair_that_the_model_contradicts():
    """A repeated pattern ties 0 to 3; frame 1 matched frame 2 eight hundred times, and none of it is left."""
    links = chain((0, 1, 20), (2, 3, 20), (3, 4, 20), (3, 0, 200))
    assert largest_group([0, 1, 2, 3, 4], links, [60, 800, 60, 60]) == {2, 3, 4}


def test_frames_that_were_not_placed_tie_nothing():
    assert largest_group([0, 1, 2], chain((0, 9, 30), (9, 1, 30), (1, 2, 30)), [0, 60]) == {1, 2}


def test_no_points():
    assert largest_group([4, 2], [], [0]) == {4}
    assert largest_group([], [], []) == set()
