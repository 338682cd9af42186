"""Tiles cover the picture and overlap, whatever its shape."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.cutting import cut, spans

LENGTHS, OVERLAPS = st.integers(1, 12_000), st.floats(0, 0.6)


@settings(max_examples=60)
@given(LENGTHS, st.integers(1, 16), OVERLAPS)
def test_spans_cover_and_overlap(length: int, count: int, overlap: float) -> None:
    found = spans(length, count, overlap)
    starts, ends = zip(*found, strict=True)
    assert (starts[0], ends[-1]) == (0, length)
    assert len(found) <= count
    side = ends[0]
    assert {end - start for start, end in found} == {side}
    for left, right in itertools.pairwise(found):
        assert left[0] < right[0]
        assert left[1] - right[0] >= int(overlap * side) - 1e-6


@settings(max_examples=60)
@given(LENGTHS, LENGTHS, st.integers(1, 16), st.floats(1, 700), OVERLAPS)
def test_tiles_cover_the_frame(
    height: int, width: int, along: int, smallest: float, overlap: float
) -> None:
    tiles = cut((height, width), along, smallest, overlap)
    assert 1 <= len(tiles) <= along**2
    columns = {(tile.left, tile.right) for tile in tiles}
    rows = {(tile.top, tile.bottom) for tile in tiles}
    assert len(tiles) == len(set(tiles)) == len(columns) * len(rows)  # a whole grid
    for stretches, length in ((columns, width), (rows, height)):
        ordered = sorted(stretches)
        assert (ordered[0][0], ordered[-1][1]) == (0, length)
        for left, right in itertools.pairwise(ordered):
            assert 0 <= left[0] < right[0] <= left[1] < right[1]
    if len(tiles) > 1:
        assert max(tiles[0].size_wh) >= min(smallest, max(height, width)) - 1e-6


@pytest.mark.parametrize(
    ("size_wh", "along", "grid"),
    [
        ((640, 480), 1, (1, 1)),
        ((640, 480), 2, (2, 2)),
        ((640, 427), 2, (2, 2)),
        ((480, 640), 3, (2, 3)),
        ((1920, 1080), 2, (2, 1)),
        ((6000, 4000), 4, (4, 3)),
        ((6000, 4000), 16, (16, 10)),
        ((300, 200), 4, (2, 2)),  # closer there is nothing to see
        ((149, 100), 4, (1, 1)),
        ((1, 1), 16, (1, 1)),
        ((10_000, 20), 4, (4, 1)),
        ((20, 10_000), 4, (1, 4)),
    ],
)
def test_how_many(size_wh: tuple[int, int], along: int, grid: tuple[int, int]) -> None:
    tiles = cut(size_wh[::-1], along, 150, 0.2)
    assert (len({tile.left for tile in tiles}), len({tile.top for tile in tiles})) == grid
