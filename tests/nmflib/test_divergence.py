"""The β-divergence: its definition, its limits, and what the updates take from it."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import kl_div, xlogy
from sklearn.decomposition._nmf import _beta_divergence as sklearn_divergence

from nmflib import beta_divergence
from nmflib._objective import Objective, power, sum_log
from nmflib._unit import scale_exponent

BETAS = (-1, -0.3, 0, 0.5, 0.7, 1, 1.5, 2, 2.6, 3)
positive = st.floats(1e-3, 1e3)


def definition(x, y, beta):
    """The formula of the talk's slide, entry by entry."""
    if beta == 1:
        return xlogy(x, x / y) + y - x
    if beta == 0:
        return x / y - np.log(x / y) - 1
    return (x**beta + (beta - 1) * y**beta - beta * x * y ** (beta - 1)) / (beta * (beta - 1))


@given(x=positive, y=positive, beta=st.floats(-2, 4))
def test_is_the_formula_of_the_slide(x, y, beta):
    assume(beta in (0, 1) or min(abs(beta), abs(beta - 1)) >= 1e-3)  # the formula itself cancels near 0 and 1
    scale = x**beta + y**beta + x * y ** (beta - 1)
    tolerance = 1e-9 * scale / max(abs(beta * (beta - 1)), 1e-3)
    assert beta_divergence(x, y, beta) == pytest.approx(definition(x, y, beta), rel=1e-9, abs=tolerance)


@given(x=positive, y=positive, beta=st.floats(-2, 4))
def test_is_zero_only_for_equal_arguments(x, y, beta):
    assert beta_divergence(x, x, beta) == 0
    assume(abs(x / y - 1) > 1e-3)
    assert beta_divergence(x, y, beta) > 0


def test_is_not_negative_for_neighbouring_numbers():
    """Where rounding is all that d_β(x | y) consists of."""
    y = np.random.default_rng(0).uniform(0.1, 10, 2000)
    for x in (np.nextafter(y, 0), np.nextafter(np.nextafter(y, 20), 20)):
        assert min(beta_divergence(*pair, 0.7) for pair in zip(x, y, strict=True)) >= 0


@given(c=st.integers(-100, 100), beta=st.one_of(st.sampled_from(BETAS), st.floats(-1, -0.01), st.floats(1.01, 3)))
def test_a_common_factor_c_multiplies_it_by_c_to_the_beta(c, beta):
    V, V_hat = np.random.default_rng(0).uniform(0.1, 2, (2, 4, 5))
    factor = 2.0**c
    assert beta_divergence(factor * V, factor * V_hat, beta) == pytest.approx(
        factor**beta * beta_divergence(V, V_hat, beta), rel=1e-12
    )


@pytest.mark.parametrize("limit", [0, 1])
def test_is_continuous_in_beta_at_the_special_cases(limit):
    V, V_hat = np.random.default_rng(1).uniform(0.1, 2, (2, 4, 5))
    at = beta_divergence(V, V_hat, limit)
    for epsilon in (-1e-6, 1e-6):
        assert beta_divergence(V, V_hat, limit + epsilon) == pytest.approx(at, rel=1e-4)


@pytest.mark.parametrize("beta", BETAS)
def test_agrees_with_scikit_learn(beta):
    rng = np.random.default_rng(2)
    V, W, H = rng.random((6, 7)) + 0.01, rng.random((6, 3)), rng.random((3, 7))
    assert beta_divergence(V, W @ H, beta) == pytest.approx(sklearn_divergence(V, W, H, beta), rel=1e-10)


def test_kullback_leibler_agrees_with_scipy_including_zeros():
    V, V_hat = np.array([[0.0, 1.0, 2.0, 0.0]]), np.array([[1.0, 0.0, 3.0, 0.0]])
    assert beta_divergence(V[:, ::2], V_hat[:, ::2], 1) == pytest.approx(kl_div(V[:, ::2], V_hat[:, ::2]).sum())
    assert beta_divergence(V, V_hat, 1) == kl_div(V, V_hat).sum() == np.inf


@pytest.mark.parametrize(
    "x, y, beta, expected",
    [(0, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, np.inf), (0, 1, -1, np.inf), (0, 2, 0.5, np.sqrt(2) / 0.5),
     (0, 2, 1, 2), (0, 2, 3, 8 / 3), (1, 0, 0, np.inf), (1, 0, 0.5, np.inf), (1, 0, 1.5, 1 / 0.75), (2, 0, 2, 2)],
)  # fmt: skip
def test_limits_at_zero(x, y, beta, expected):
    assert beta_divergence(x, y, beta) == pytest.approx(expected)


@pytest.mark.parametrize(
    "beta, expected", [(-1, np.inf), (0, np.inf), (0.5, 8.9978e161), (1, 1074 * np.log(2) - 1), (1.5, 1 / 0.75)]
)
def test_an_approximation_near_the_smallest_number(beta, expected):
    assert beta_divergence(1.0, 2.0**-1074, beta) == pytest.approx(expected, rel=1e-4)


def test_for_beta_2_it_is_half_the_squared_distance_to_the_last_digit():
    x, y = 1.0 + 1e-7 * np.arange(5.0), np.ones(5)
    assert beta_divergence(x, y, 2) == 0.5 * np.sum((x - y)[1:] ** 2)


def test_keeps_its_precision_where_V_and_V_hat_are_close():
    delta = 1e-9
    for beta in BETAS:  # d_β(1 + δ | 1) = δ²/2 + O(δ³)
        assert beta_divergence(1 + delta, 1.0, beta) == pytest.approx(delta**2 / 2, rel=1e-6)


@pytest.mark.parametrize("limit", [0, 1])
def test_a_beta_beside_0_or_1_is_not_lost_in_rounding(limit):
    for x, y in np.random.default_rng(6).exponential(size=(1000, 2)) + 1e-3:
        below, at, above = (beta_divergence(x, y, limit + step) for step in (-1e-7, 0, 1e-7))
        assert (below + above) / 2 == pytest.approx(at, rel=1e-11)  # the second derivative is all that remains


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", [(4, 5), (130, 1030)])  # one block, and four
def test_the_two_parts_are_the_gradient(beta, shape):
    rng = np.random.default_rng(3)
    V, W, H = (rng.random(size) + 0.1 for size in (shape, (shape[0], 2), (2, shape[1])))
    fit = Objective(V, beta, floor=1e-100, n_components=2)
    for x, parts in ((W, fit.gradient_W(W, H, cost=True)), (H, fit.gradient_H(W, H, cost=True))):
        gradient = np.broadcast_to(parts[1] - parts[0], x.shape)
        for at in ((0, 0), (x.shape[0] - 1, x.shape[1] - 1), (x.shape[0] // 2, 1)):
            here, slope = x[at], []
            for sign in (1, -1):
                x[at] = here + sign * 1e-5
                slope.append(beta_divergence(V, W @ H, beta))
            x[at] = here
            assert gradient[at] == pytest.approx((slope[0] - slope[1]) / 2e-5, rel=1e-5, abs=1e-4)
        assert parts[2] == pytest.approx(beta_divergence(V, W @ H, beta), rel=1e-12)
    assert fit.cost(W, H) == pytest.approx(beta_divergence(V, W @ H, beta), rel=1e-12)


@pytest.mark.parametrize("exponent", [-3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 0.3, -1.7, 4])
def test_power_without_pow(exponent):
    x = np.random.default_rng(4).uniform(0.01, 10, 50)
    np.testing.assert_allclose(power(x, exponent, np.empty_like(x)), x**exponent, rtol=1e-14)


@pytest.mark.parametrize(
    "x",
    [
        *(scale * np.random.default_rng(5).random(100) for scale in (1e-300, 1e-8, 1, 1e8, 1e300)),
        np.full(4, 1.7e308),  # the sum overflows
        np.array([2.0**-1074, 0, 0, 0]),  # the mean underflows
    ],
)
def test_scale_exponent_puts_the_mean_between_a_half_and_one(x):
    assert 0.5 <= np.ldexp(x, -scale_exponent(x)).mean() < 1


@pytest.mark.parametrize("level", [1e-200, 1e-30, 1.0, 1e30, 1e200])
@pytest.mark.parametrize("n", [5, 16, 20])
def test_sum_of_logarithms_whether_or_not_products_can_be_represented(level, n):
    x = level * np.random.default_rng(0).uniform(1, 2, n)
    assert sum_log(x) == pytest.approx(np.log(x).sum(), rel=1e-13)


@pytest.mark.parametrize(
    "V, V_hat, beta, message",
    [
        ([[-1.0]], [[1.0]], 1, "^V has 1 negative"),
        ([[1.0]], [[np.nan]], 1, "^V_hat has 1 NaN"),
        ([[1.0]], [[1.0, 2.0]], 1, r"^V has shape \(1, 1\) and V_hat \(1, 2\); they must be the same"),
        ([[1.0]], [[1.0]], "KL", "^beta is 'KL'"),
    ],
)
def test_bad_input_is_named(V, V_hat, beta, message):
    with pytest.raises(ValueError, match=message):
        beta_divergence(V, V_hat, beta)


@pytest.mark.parametrize("beta", BETAS)
def test_is_convex_in_one_factor_only_for_beta_from_1_to_2_and_never_in_both(beta):
    rng = np.random.default_rng(0)

    def bends_up(one, other, V):  # at the middle of two pairs (W, H)
        middle = [(a + b) / 2 for a, b in zip(one, other, strict=True)]
        ends = beta_divergence(V, one[0] @ one[1], beta) + beta_divergence(V, other[0] @ other[1], beta)
        return beta_divergence(V, middle[0] @ middle[1], beta) <= ends / 2 * (1 + 1e-12)

    in_W, in_H, in_both = [], [], []
    for _ in range(1000):
        V, W, H = rng.exponential(size=(3, 4)), rng.exponential(size=(2, 3, 2)), rng.exponential(size=(2, 2, 4))
        in_W.append(bends_up((W[0], H[0]), (W[1], H[0]), V))
        in_H.append(bends_up((W[0], H[0]), (W[0], H[1]), V))
        in_both.append(bends_up((W[0], H[0]), (W[1], H[1]), V))
    assert all(in_W) == all(in_H) == (1 <= beta <= 2)
    assert not all(in_both)


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_is_the_negative_log_likelihood_of_its_noise_model_but_for_a_constant(beta):
    rng = np.random.default_rng(0)
    one, other = 1 + 20 * rng.random((2, 40, 50))  # two approximations of the same data
    v = [rng.exponential(one), rng.poisson(one).astype(float), rng.normal(one, 0.1).clip(0)][beta]
    log_p = [
        lambda mean: stats.expon.logpdf(v, scale=mean),
        lambda mean: stats.poisson.logpmf(v, mean),
        lambda mean: stats.norm.logpdf(v, mean, 0.1),
    ][beta]
    unit = 0.1**2 if beta == 2 else 1
    change = (beta_divergence(v, one, beta) - beta_divergence(v, other, beta)) / unit
    assert np.sum(log_p(other)) - np.sum(log_p(one)) == pytest.approx(change, rel=1e-10)
