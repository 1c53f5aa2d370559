"""Is a model one thing, and does it agree with the frames' order?

A mapper may place two halves of a capture that share almost no points: each is right, their relation is a guess, and
the reprojection error looks fine. Repeated patterns make it worse: wallpaper seen from two sides matches itself, and
the false ties win over those between a frame and the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pycolmap
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

MIN_SHARED = 15
"""Points two frames must share to hold each other in place; as many inliers as COLMAP asks of a matched pair."""
STRONG_PAIR = 50
"""Verified matches between a frame and the next from which a model must keep at least `MIN_SHARED` points."""


def keep_connected(model: pycolmap.Reconstruction, database: pycolmap.Database) -> None:
    """Take every frame out of `model` that shared points do not tie to the largest group.

    Args:
        model: changed in place.
        database: with the verified matches the model was made from; images are named in the capture's order.
    """
    names = {image_id: model.image(image_id).name for image_id in model.reg_image_ids()}
    frames = sorted(names, key=lambda image_id: names[image_id])
    matched = [len(database.read_two_view_geometry(a, b).inlier_matches) for a, b in pairwise(frames)]
    tracks = ({element.image_id for element in point.track.elements} for point in model.points3D.values())
    keep = largest_group(frames, tracks, matched)
    for image_id in frames:
        if image_id not in keep:
            model.deregister_frame(model.image(image_id).frame_id)


def largest_group(frames: list[int], tracks: Iterable[set[int]], matched: list[int]) -> set[int]:
    """The largest set of frames that are tied, directly or through others.

    Two frames are tied by `MIN_SHARED` common points, unless the model is broken somewhere between them: a frame and
    the next one matched strongly, and the model kept less than that.

    Args:
        frames: ids in the capture's order.
        tracks: for each point the ids of the frames that see it; others than `frames` are ignored.
        matched: verified matches of each frame with the next, one fewer than frames.
    """
    if not frames:
        return set()
    shared = _shared_points(frames, tracks)
    order = np.arange(len(frames))
    broken = (np.array(matched, dtype=int) >= STRONG_PAIR) & (shared[order[:-1], order[1:]].A1 < MIN_SHARED)
    segment = np.concatenate([[0], np.cumsum(broken)])
    ties = coo_matrix(shared >= MIN_SHARED)
    inside = segment[ties.row] == segment[ties.col]
    graph = coo_matrix((ties.data[inside], (ties.row[inside], ties.col[inside])), shape=ties.shape)
    _, group = connected_components(graph, directed=False)
    best = np.bincount(group).argmax()
    return {frame for frame, g in zip(frames, group, strict=True) if g == best}


def _shared_points(frames: list[int], tracks: Iterable[set[int]]) -> csr_matrix:
    """[F, F] how many points each two frames share."""
    place = {frame: i for i, frame in enumerate(frames)}
    rows: list[int] = []
    columns: list[int] = []
    count = 0
    for count, track in enumerate(tracks, start=1):
        seen = [place[frame] for frame in track if frame in place]
        rows += [count - 1] * len(seen)
        columns += seen
    sees = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(max(count, 1), len(frames))).tocsr()
    return csr_matrix(sees.T @ sees)
