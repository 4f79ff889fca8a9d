"""SQUAREM: which point it extrapolates to, how far it dares to go, and what it does when that was too far."""

from itertools import islice

import numpy as np
import pytest

from nmflib import STFT, nmf
from nmflib._accelerate import _extrapolate, squarem
from nmflib._objective import Iterate
from nmflib.course.scenes import load


class Towards:
    """A sequence that comes nearer to 1 by `rate` per iteration, and notes how it is used.

    spoilt : the extrapolations, counted from 0, that end far away instead
    """

    def __init__(self, rate, spoilt=()):
        self.rate, self.spoilt, self.steps, self.extrapolated = rate, spoilt, [], []

    def at(self, w):
        W = np.array([[float(w)]])
        return Iterate(W, W.copy(), W, W, abs(float(w) - 1))

    def evaluate(self, W, H):
        np.testing.assert_array_equal(W, H)  # W and H take the same step
        self.extrapolated.append(W.item())
        return self.at(1e3 if len(self.extrapolated) - 1 in self.spoilt else W.item())

    def step(self, name, rate=None):
        def step(x):
            self.steps.append(name)
            return self.at(1 + (self.rate if rate is None else rate) * (x.W.item() - 1))

        return step

    def run(self, n, fast=None):
        mm = self.step("mm")
        return list(islice(squarem(self, self.at(2), mm, fast or mm), n))


def step_lengths(iterates, sequence):
    """α of every extrapolation: from x₀ it leads to 1 + (x₀ − 1)(1 − α(1 − rate))²."""
    starts = np.array([x.W.item() for x in iterates[::3]])[: len(sequence.extrapolated)]
    left = (np.array(sequence.extrapolated) - 1) / (starts - 1)
    return (1 - np.sqrt(left)) / (1 - sequence.rate)


def test_the_limit_of_a_geometric_sequence_is_found_at_once():
    sequence = Towards(0.7)
    *_, last = sequence.run(4)
    assert sequence.extrapolated == pytest.approx([1.0]) and last.cost == pytest.approx(0, abs=1e-15)


def test_steps_may_grow_fourfold_as_long_as_they_succeed():
    sequence = Towards(1 - 1e-3)
    found = step_lengths(sequence.run(13), sequence)
    np.testing.assert_allclose(found, [4, 16, 64, 256], rtol=1e-6)


def test_a_step_too_far_is_taken_back_and_the_next_ones_are_shorter():
    sequence = Towards(1 - 1e-3, spoilt=(0, 1, 2))
    iterates = sequence.run(19)
    np.testing.assert_allclose(step_lengths(iterates, sequence), [4, 2, 1, 1, 4, 16], rtol=1e-6)
    assert (np.diff([x.cost for x in iterates]) < 0).all()


def test_no_extrapolation_takes_more_than_half_of_a_factor_away():
    """2, 1.8, 1.56: the parabola through them reaches −0.24 at α = 4."""
    x0, x1, x2 = (Towards(0).at(w) for w in (2, 1.8, 1.56))
    assert _extrapolate(x0, x1, x2, 1.0) == pytest.approx([1.56, 1.56])
    assert _extrapolate(x0, x1, x2, 4.0) == pytest.approx([0.78, 0.78])


def test_the_fast_iteration_is_taken_until_it_raises_the_cost_once():
    sequence = Towards(0.9)
    sequence.run(7, sequence.step("fast", rate=0.5))
    assert sequence.steps == ["fast"] * 6
    sequence = Towards(0.9)
    iterates = sequence.run(7, sequence.step("fast", rate=1.5))
    assert sequence.steps == ["fast", *["mm"] * 6]
    assert (np.diff([x.cost for x in iterates]) <= 0).all()


@pytest.fixture(scope="module")
def piano():
    """Four seconds of the piano, magnitudes (513, 63)."""
    x, rate = load("piano_mary")
    return np.abs(STFT(1024)(np.atleast_2d(x)[0, : 4 * rate]))[:, ::4]


@pytest.mark.parametrize("beta", [0, 0.5, 1, 3])
def test_on_the_piano_80_accelerated_iterations_do_what_200_plain_ones_do(piano, beta):
    V = piano**2 if beta == 0 else piano
    plain = nmf(V, 6, beta=beta, n_iter=200).cost
    assert nmf(V, 6, beta=beta, n_iter=80, accelerate=True).cost[-1] < plain[-1] < plain[80]


@pytest.mark.parametrize("beta", [0, 0.5, 1, 3])
def test_ten_plain_iterations_come_first_and_then_the_exponent_is_dropped(piano, beta):
    V = piano[::4] ** 2 if beta == 0 else piano[::4]
    tenth, plain = (nmf(V, 6, beta=beta, n_iter=n) for n in (10, 11))
    fast = nmf(V, 6, beta=beta, n_iter=12, accelerate=True)
    np.testing.assert_array_equal(fast.cost[:11], tenth.cost)
    without = nmf(V, 6, beta=beta, n_iter=2, update="heuristic", init=(tenth.W, tenth.H))
    np.testing.assert_allclose(fast.cost[11:], without.cost[1:], rtol=1e-12)
    assert (fast.cost[11] < plain.cost[11]) == (beta != 1)
