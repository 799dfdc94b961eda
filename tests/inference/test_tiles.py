"""Tiles cover everything, overlap enough, and are as few as they can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.inference.tiles import TileGrid, blending_profile, fitting_tile, starts

sizes = st.integers(1, 3000)
tiles = st.integers(64, 512)


@given(sizes, tiles, st.integers(0, 32))
def test_tiles_cover_and_overlap(length: int, tile: int, overlap: int) -> None:
    first = starts(length, tile, overlap)
    ends = [start + min(tile, length) for start in first]
    assert first[0] == 0
    assert 0 <= ends[-1] - length < (1 if len(first) == 1 else 32)
    assert all(end < length for end in ends[:-1])
    if tile - overlap >= 32 and tile % 32 == overlap % 32 == 0:  # else there may be no room for it
        assert not any(start % 32 for start in first)
    assert all(end - start >= overlap for end, start in zip(ends, first[1:], strict=False))
    fewest = 1 if length <= tile else -(-(length - overlap) // (tile - overlap))
    assert len(first) == fewest


@given(st.integers(1, 60_000), st.integers(8, 64).map(lambda count: 32 * count), st.integers(0, 64))
def test_a_fitting_tile_costs_little_more_than_the_overlap(length: int, largest: int, overlap: int) -> None:
    side = fitting_tile(length, largest, overlap)
    assert side <= largest
    assert side % 32 == 0
    count = len(starts(length, side, overlap))
    fewest = len(starts(length, largest, overlap))
    assert fewest <= count <= fewest + 2
    assert count * side < length + (count - 1) * overlap + 32 * count


@given(sizes, sizes, tiles, st.integers(0, 32))
def test_strips_are_the_plane_once(height: int, width: int, tile: int, overlap: int) -> None:
    grid = TileGrid(height, width, tile, overlap)
    done = 0
    for top, end in grid.strips():
        assert top == done
        assert end > top
        assert end <= top + grid.tile_height
        done = end
    assert done == height


def test_the_profile_is_a_gaussian_of_an_eighth() -> None:
    profile = blending_profile(256)
    assert profile[128 + 32] / profile[128] == pytest.approx(np.exp(-0.5), rel=0.02)
    np.testing.assert_allclose(profile, profile[::-1])
    assert profile.min() > 0
