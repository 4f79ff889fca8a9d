"""The measures of the talk."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmflib.course import talk

rng = np.random.default_rng(0)
s = rng.standard_normal((2, 4000))


def test_talk_error_is_the_formula_of_the_slide_and_blind_to_how_the_sum_is_shared():
    y, estimates = s.sum(axis=0), s + 0.2 * s[::-1]
    assert talk.talk_error(y, estimates) == pytest.approx(
        sum(abs(y[i] - estimates[0, i] - estimates[1, i]) for i in range(4000)) / 4000
    )
    assert talk.talk_error(y, np.stack([y, 0 * y])) == 0 == talk.talk_error(y, [0.5 * y, 0.5 * y])


def test_talk_correlation_grows_with_the_scale_of_both():
    a, b = s
    assert talk.talk_correlation(1000 * a, 1000 * b) == pytest.approx(1e6 * talk.talk_correlation(a, b))


@given(width=st.floats(0, 3), seed=st.integers(0, 99))
@settings(deadline=None)
def test_near_is_the_distance_to_the_closest_time(width, seed):
    times = np.sort(np.random.default_rng(seed).uniform(0, 10, 5))
    t = np.arange(100) / 10
    np.testing.assert_array_equal(talk.near(100, times, 10, width), np.abs(t[:, None] - times).min(axis=1) <= width)
