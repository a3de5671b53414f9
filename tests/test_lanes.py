"""Sixteen numbers at a time: what numpy's float32 gives, bit by bit, also where there are no numbers."""

import numpy as np
import pytest

from cpcert.compiled import njit
from cpcert.oracle.lanes import WIDTH, any_larger, array, load, root, spread, store, where_larger


@njit()
def _all_of_them(rows, number, out):
    a, b = load(rows, 0), load(rows, 1)
    store(out, 0, a + b)
    store(out, 1, a - b)
    store(out, 2, a * b + a)
    store(out, 3, spread(number))
    store(out, 4, root(a))
    store(out, 5, where_larger(a, b, b, a))
    return any_larger(a, b)


@pytest.mark.parametrize("seed", range(4))
def test_lanes_round_as_float32_does(seed):
    rng = np.random.default_rng(seed)
    rows, out = array(2), array(6)
    rows[:] = rng.standard_normal((2, WIDTH)) * 10.0 ** rng.integers(-30, 19, (2, WIDTH))
    rows[:, 0], rows[:, 1] = (np.nan, 1.0), (np.inf, -np.inf)
    rows[1, 2] = rows[0, 2]
    _all_of_them(rows, np.float32(0.1), out)
    a, b = rows
    with np.errstate(all="ignore"):
        expected = [a + b, a - b, a * b + a, np.full(WIDTH, np.float32(0.1)), np.sqrt(a), np.where(a > b, b, a)]
    np.testing.assert_array_equal(out, np.array(expected))


def test_any_is_true_for_each_place_and_false_for_none():
    out = array(6)
    for place in range(WIDTH):
        rows = array(2)
        rows[0, place] = 1.0
        assert _all_of_them(rows, np.float32(0.0), out)
        rows[1] = np.nan
        assert not _all_of_them(rows, np.float32(0.0), out)
