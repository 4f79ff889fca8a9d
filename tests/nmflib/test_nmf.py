"""NMF as theorems: it agrees with the references, its cost never increases, and scaling or permuting passes through."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.decomposition import non_negative_factorization

from nmflib import STFT, beta_divergence, nmf
from nmflib._nmf import _descend, exponent_gamma

ROOT = Path(__file__).parents[2]
GOLDEN = np.load(ROOT / "tests" / "goldens" / "beta_nmf.npz")
BETAS = (-1, 0, 0.5, 1, 1.5, 2, 3)


def random_start(seed=0, n_freq=12, n_frames=20, rank=4):
    rng = np.random.default_rng(seed)
    return (
        rng.gamma(0.5, size=(n_freq, n_frames)) + 1e-3,
        rng.random((n_freq, rank)) + 0.1,
        rng.random((rank, n_frames)) + 0.1,
    )


@st.composite
def matrices(draw, zeros=True):
    """Non-negative matrices of all small shapes and scales, with zeros, empty rows and columns."""
    n_freq, n_frames = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    V = rng.gamma(draw(st.sampled_from([0.1, 1.0])), size=(n_freq, n_frames))
    if zeros:
        V[rng.random(V.shape) < draw(st.sampled_from([0.0, 0.3]))] = 0
        V[rng.integers(n_freq)] *= draw(st.sampled_from([0, 1]))
        V[:, rng.integers(n_frames)] *= draw(st.sampled_from([0, 1]))
    return (V * 10.0 ** draw(st.integers(-8, 8))).astype(draw(st.sampled_from([np.float64, np.float32])))


@pytest.mark.parametrize("update, short", [("mm", "mm"), ("heuristic", "heur")])
@pytest.mark.parametrize("beta", ["0", "0.5", "1", "2", "3"])
def test_agrees_with_the_golden_arrays(beta, update, short):
    model = nmf(GOLDEN["V"], 4, beta=float(beta), n_iter=30, update=update, init=(GOLDEN["W0"], GOLDEN["H0"]))
    for name in ("W", "H", "cost"):
        np.testing.assert_allclose(getattr(model, name), GOLDEN[f"beta{beta}_{short}_{name}"], rtol=1e-9)


@pytest.mark.parametrize("beta", BETAS)
def test_agrees_with_scikit_learn_from_the_same_start(beta):
    V, W0, H0 = random_start()
    W, H, _ = non_negative_factorization(
        V, W=W0.copy(), H=H0.copy(), n_components=4, init="custom", solver="mu", beta_loss=beta, tol=0, max_iter=40
    )
    model = nmf(V, 4, beta=beta, n_iter=40, init=(W0, H0))
    np.testing.assert_allclose(model.W, W, rtol=1e-10, atol=1e-15)  # scikit-learn sets entries below 2e-16 to zero
    np.testing.assert_allclose(model.H, H, rtol=1e-10, atol=1e-15)


@settings(max_examples=300, deadline=None)
@given(
    V=matrices(),
    beta=st.one_of(st.sampled_from(BETAS), st.floats(-1, 3)),
    rank=st.integers(1, 15),
    seed=st.integers(0, 99),
)
def test_cost_never_increases(V, beta, rank, seed):
    model = nmf(V, rank, beta=beta, n_iter=20, rng=seed)
    assert len(model.cost) == 21 and np.isfinite(model.cost).all()
    slack = 1e-9 if V.dtype == np.float64 else 1e-6
    assert (
        np.diff(model.cost) <= slack * model.cost[:-1] + np.finfo(V.dtype).eps * V.size * float(V.max()) ** max(beta, 0)
    ).all()
    for factor in (model.W, model.H):
        assert factor.dtype == V.dtype and np.isfinite(factor).all() and (factor >= 0).all()


@settings(max_examples=60, deadline=None)
@given(V=matrices(), beta=st.floats(-1, 3), seed=st.integers(0, 99))
def test_accelerated_cost_never_increases(V, beta, seed):
    cost = nmf(V, 3, beta=beta, n_iter=20, accelerate=True, rng=seed).cost
    slack = 1e-9 if V.dtype == np.float64 else 1e-6
    assert (np.diff(cost) <= slack * cost[:-1] + np.finfo(V.dtype).eps * V.size * float(V.max()) ** max(beta, 0)).all()


@settings(max_examples=200, deadline=None)
@given(V=matrices(), rank=st.integers(1, 15), n_fixed=st.integers(0, 15), zeros=st.booleans(), seed=st.integers(0, 99))
def test_hals_never_increases_the_cost_and_keeps_the_dictionary(V, rank, n_fixed, zeros, seed):
    rng = np.random.default_rng(seed)
    W0, H0 = rng.random((len(V), rank)) + 0.1, rng.random((rank, V.shape[1])) * V.mean()
    if zeros:
        W0[:, n_fixed:][rng.random(W0[:, n_fixed:].shape) < 0.5] = 0
        H0[rng.random(H0.shape) < 0.5] = 0
    dictionary = W0[:, : min(n_fixed, rank)].astype(V.dtype)
    model = nmf(V, rank, beta=2, n_iter=20, accelerate=True, init=(W0, H0), dictionary=dictionary if n_fixed else None)
    exact = beta_divergence(V, model.W.astype(float) @ model.H.astype(float), 2)
    slack = 1e-9 if V.dtype == np.float64 else 1e-6
    rounding = float(np.finfo(V.dtype).eps) * V.size * float(V.max()) ** 2
    assert (np.diff(model.cost) <= slack * model.cost[:-1] + rounding).all()
    assert model.cost[-1] == pytest.approx(exact, rel=1e-2 if V.dtype == np.float32 else 1e-6, abs=rounding)
    np.testing.assert_array_equal(model.W[:, : min(n_fixed, rank)], dictionary)
    for factor in (model.W, model.H):
        assert factor.dtype == V.dtype and np.isfinite(factor).all() and (factor >= 0).all()


def test_a_hals_step_is_the_best_column_after_the_other():
    V, W, H = random_start()
    W_ref, H_ref = W.copy(), H.copy()
    for factor, other, data in ((W_ref, H_ref, V), (H_ref.T, W_ref.T, V.T)):  # views: each is updated in place
        for k in [*range(4), *range(4)]:
            rest = data - factor @ other + np.outer(factor[:, k], other[k])
            factor[:, k] = np.maximum(rest @ other[k], 0) / (other[k] @ other[k])
    model = nmf(V, 4, beta=2, n_iter=1, init=(W, H), accelerate=True)
    np.testing.assert_allclose(model.W, W_ref, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(model.H, H_ref, rtol=1e-10, atol=1e-14)
    assert model.cost[-1] == pytest.approx(beta_divergence(V, W_ref @ H_ref, 2), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rank", [4, 10])
def test_hals_reaches_the_cost_of_200_iterations_on_the_piano_within_40(rank, dtype):
    x, _ = soundfile.read(ROOT / "data" / "clips" / "piano_mary.flac", always_2d=True)
    V = np.abs(STFT(1024, hop=256)(x[:, 0]))[:, :400].astype(dtype)
    for seed in range(3):
        fast = nmf(V, rank, beta=2, n_iter=40, accelerate=True, rng=seed)
        assert fast.cost[-1] < nmf(V, rank, beta=2, n_iter=200, rng=seed).cost[-1]
        assert fast.cost[-1] == pytest.approx(beta_divergence(V, fast.W @ fast.H, 2), rel=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_zeros_of_the_start_do_not_hold_hals(dtype):
    V, W0, H0 = random_start(1, 30, 40, 5)
    V[3], V[:, 7] = 0, 0
    plain = nmf(V.astype(dtype), 5, beta=2, n_iter=50, init=(W0, H0)).cost
    W0[:10], W0[:, 3], H0[2] = 0, 0, 0
    held, free = (nmf(V.astype(dtype), 5, beta=2, n_iter=50, init=(W0, H0), accelerate=a) for a in (False, True))
    assert (held.W[:10] == 0).all() and held.cost[-1] > 1.1 * plain[-1]
    assert free.cost[-1] < plain[-1]
    assert (free.W[:10].any(axis=1) == V[:10].any(axis=1)).all() and free.H.any(axis=1).all()
    nothing = nmf(V.astype(dtype), 5, beta=2, n_iter=5, init=(np.zeros_like(W0), H0), accelerate=True)
    assert nothing.cost[-1] < nothing.cost[0]


@pytest.mark.parametrize("beta", BETAS)
def test_accelerated_cost_ends_no_higher_than_a_tenth_above_the_plain_one(beta):
    V, W0, H0 = random_start(3, 40, 60, 5)
    plain, fast = (nmf(V, 5, beta=beta, n_iter=60, init=(W0, H0), accelerate=a).cost for a in (False, True))
    assert fast[20] <= plain[20] and fast[-1] <= 1.1 * plain[-1]


@settings(max_examples=60, deadline=None)
@given(V=matrices(zeros=False), beta=st.floats(-1, 3))
@example(  # all terms are near 1 / β: their sum cancels
    V=np.array([[1.09934273e-02, 1.33362329e-14, 1.26575252e-01], [6.74963345e-03, 2.25420879e-03, 4.27738444e-02]]),
    beta=1.192092896e-07,
)
def test_the_last_cost_is_the_divergence_of_the_result(V, beta):
    V = V.astype(float) + 1e-12 * V.max()  # above the floor that beta <= 0 needs
    model = nmf(V, 2, beta=beta, n_iter=10)
    terms = float(np.sum(np.maximum(V, model.W @ model.H) ** beta + np.minimum(V, model.W @ model.H) ** beta))
    rounding = 1e-13 * terms / max(abs(beta * (beta - 1)), 1e-3)
    assert model.cost[-1] == pytest.approx(beta_divergence(V, model.W @ model.H, beta), rel=1e-9, abs=rounding)


@pytest.mark.parametrize("beta", [-1, 0])
def test_zeros_of_V_count_as_a_fixed_part_of_its_mean_where_they_would_cost_infinity(beta):
    V, _, _ = random_start()
    V[0, :5] = 0
    model = nmf(V, 4, beta=beta, n_iter=5)
    lifted = np.maximum(V, 1e-15 * V.mean())
    assert model.cost[-1] == pytest.approx(beta_divergence(lifted, model.W @ model.H, beta), rel=1e-9)


@pytest.mark.parametrize("update", ["mm", "heuristic", "gradient"])
@pytest.mark.parametrize("beta", BETAS)
def test_scaling_V_scales_the_result(beta, update):
    V, _, _ = random_start()
    V[0, 0] = 0
    factor = 1024.0 if update == "gradient" else 1000.0  # its halvings turn a rounding difference into another path
    one, big = (nmf(V * c, 3, beta=beta, update=update, n_iter=15) for c in (1.0, factor))
    np.testing.assert_allclose(big.W @ big.H, factor * (one.W @ one.H), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(big.cost, factor**beta * one.cost, rtol=1e-6)


@pytest.mark.parametrize("beta", BETAS)
def test_permuting_components_bins_and_frames_passes_through(beta):
    V, W0, H0 = random_start()
    rng = np.random.default_rng(1)
    k, f, n = rng.permutation(4), rng.permutation(12), rng.permutation(20)
    model = nmf(V, 4, beta=beta, n_iter=20, init=(W0, H0))
    moved = nmf(V[f][:, n], 4, beta=beta, n_iter=20, init=(W0[f][:, k], H0[k][:, n]))
    np.testing.assert_allclose(moved.W, model.W[f][:, k], rtol=1e-9)
    np.testing.assert_allclose(moved.H, model.H[k][:, n], rtol=1e-9)


def test_transposing_V_with_H_updated_first_is_the_mirror_image():
    """One H update from (W0, H0) on V is one W update from (H0ᵀ, W0ᵀ) on Vᵀ."""
    V, W0, H0 = random_start()
    fixed = nmf(V, 4, beta=0.5, n_iter=1, init=(W0, H0), dictionary=W0)
    mirrored = nmf(V.T, 4, beta=0.5, n_iter=1, init=(H0.T, W0.T))
    np.testing.assert_allclose(mirrored.W, fixed.H.T, rtol=1e-12)


@pytest.mark.parametrize("beta", BETAS)
def test_an_exact_factorization_is_a_fixed_point(beta):
    _, W0, H0 = random_start()
    model = nmf(W0 @ H0, 4, beta=beta, n_iter=5, init=(W0, H0))
    np.testing.assert_allclose(model.W, W0, rtol=1e-12)
    assert model.cost.max() <= 1e-12


def test_heuristic_equals_mm_between_one_and_two_and_can_increase_the_cost_beyond():
    V, W0, H0 = random_start()
    for beta in (1, 1.3, 2):
        a, b = (nmf(V, 4, beta=beta, n_iter=10, init=(W0, H0), update=u) for u in ("mm", "heuristic"))
        np.testing.assert_array_equal(a.W, b.W)
    assert (
        exponent_gamma(0) == 0.5 and exponent_gamma(4) == pytest.approx(1 / 3) and exponent_gamma(0, "heuristic") == 1
    )
    costs = [
        nmf(*start, beta=4, n_iter=20, update="heuristic", rng=s).cost
        for s in range(20)
        for start in [(random_start(s)[0], 3)]
    ]
    assert any((np.diff(cost) > 1e-6 * cost[:-1]).any() for cost in costs)


@pytest.mark.parametrize("beta", [0.5, 1, 2, 3])
def test_gradient_descends_and_leaves_the_non_negative_orthant(beta):
    V, _, _ = random_start(2)
    model = nmf(V, 4, beta=beta, n_iter=50, update="gradient")
    assert (np.diff(model.cost) <= 1e-12 * model.cost[:-1]).all() and model.cost[-1] < 0.8 * model.cost[0]
    assert min(model.W.min(), model.H.min()) < 0


def test_a_step_of_the_gradient_that_was_halved_grows_again(monkeypatch):
    V, _, _ = random_start(2)
    steps = []

    def descend(*arguments):
        x, step = _descend(*arguments)
        steps.append(step)
        return x, step

    monkeypatch.setattr("nmflib._nmf._descend", descend)
    nmf(V, 4, beta=0.5, n_iter=50, update="gradient")
    for of_one_factor in (steps[::2], steps[1::2]):
        change = np.diff(of_one_factor)
        assert (change < 0).any() and (change > 0).any()


def test_gradient_with_the_step_of_the_slide_is_the_multiplicative_rule():
    V, W, H = random_start()
    mu = W / (W @ H @ H.T)
    np.testing.assert_allclose(nmf(V, 4, beta=2, n_iter=1, init=(W, H)).W, W - mu * -((V - W @ H) @ H.T), rtol=1e-12)


@pytest.mark.parametrize("update", ["mm", "heuristic", "gradient"])
@pytest.mark.parametrize("beta", BETAS)
def test_dictionary_columns_stay_as_they_are(beta, update):
    V, W0, _ = random_start()
    given_dictionary = W0[:, :2].copy()
    model = nmf(V, 4, beta=beta, n_iter=10, dictionary=given_dictionary, update=update)
    np.testing.assert_array_equal(model.W[:, :2], given_dictionary)
    assert (model.W[:, 2:] != nmf(V, 4, beta=beta, n_iter=0, dictionary=given_dictionary).W[:, 2:]).any()
    everything = nmf(V, 4, beta=beta, n_iter=10, dictionary=W0, accelerate=update == "mm")
    np.testing.assert_array_equal(everything.W, W0)
    assert everything.cost[-1] < everything.cost[0]


def test_same_seed_same_result_and_inputs_are_not_changed():
    V, W0, H0 = random_start()
    copies = V.copy(), W0.copy(), H0.copy()
    a = nmf(V, 3, rng=7, n_iter=5)
    b = nmf(V, 3, rng=np.random.default_rng(7), n_iter=5)
    np.testing.assert_array_equal(a.W, b.W)
    assert (nmf(V, 3, rng=8, n_iter=5).W != a.W).any()
    nmf(
        V,
        4,
        init=(W0, H0),
        dictionary=W0[:, :1],
        n_iter=5,
        callback=lambda t, model: (model.W.fill(0), model.H.fill(0)),
    )
    for array, copy in zip((V, W0, H0), copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    partial = nmf(V, 4, init=(W0, None), n_iter=0)
    np.testing.assert_array_equal(partial.W, W0)


def test_a_drawn_H_gives_WH_the_mean_of_V():
    V, W0, _ = random_start()
    for options in ({}, {"init": (W0, None)}, {"dictionary": W0[:, :2]}):
        model = nmf(7 * V, 4, n_iter=0, **options)
        assert (model.W @ model.H).mean() == pytest.approx(7 * V.mean())


def test_tol_stops_early_and_the_callback_sees_every_iteration():
    V, W0, H0 = random_start()
    seen = []
    model = nmf(V, 4, n_iter=500, tol=1e-3, init=(W0, H0), callback=lambda t, model: seen.append((t, model)))
    assert 2 < len(model.cost) < 200 and [s[0] for s in seen] == list(range(1, len(model.cost)))
    np.testing.assert_array_equal([partial.cost[-1] for _, partial in seen], model.cost[1:])
    np.testing.assert_array_equal(seen[-1][1].H, model.H)
    assert model.cost[-2] - model.cost[-1] < 1e-3 * model.cost[0] <= model.cost[-3] - model.cost[-2]


@pytest.mark.parametrize("update", ["mm", "heuristic", "gradient"])
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silence_zeros_and_extreme_levels_give_finite_results(beta, update, dtype):
    V = random_start()[0].astype(dtype)
    V[3], V[:, 4] = 0, 0
    huge, tiny = (1e30, 1e-30) if dtype == np.float32 else (1e150, 1e-150)
    for case in (np.zeros_like(V), V, V * dtype(huge), V * dtype(tiny), np.ones((1, 1), dtype), np.eye(5, dtype=dtype)):
        model = nmf(case, 3, beta=beta, update=update, n_iter=10)
        assert np.isfinite(model.W).all() and np.isfinite(model.H).all() and not np.isnan(model.cost).any()
    assert (nmf(np.zeros((3, 4)), 2, beta=beta).H == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_numbers_can_be_factorised(dtype):
    """Their sum is beyond what can be represented."""
    V = np.full((20, 20), 0.1 * np.finfo(dtype).max, dtype)
    model = nmf(V, 2, n_iter=3)
    np.testing.assert_allclose(model.W @ model.H, V, rtol=0.5)


def test_float32_follows_float64():
    V, W0, H0 = random_start()
    for beta in BETAS:
        wide = nmf(V, 4, beta=beta, n_iter=20, init=(W0, H0))
        narrow = nmf(V.astype(np.float32), 4, beta=beta, n_iter=20, init=(W0, H0))
        np.testing.assert_allclose(narrow.W @ narrow.H, wide.W @ wide.H, rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(narrow.cost, wide.cost, rtol=1e-3)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"V": -np.ones((2, 3))}, "V has 6 negative"),
        ({"V": np.ones(3)}, r"V has shape \(3,\)"),
        ({"n_components": 0}, "n_components is 0"),
        ({"n_iter": -1}, "n_iter is -1"),
        ({"beta": np.inf}, "beta is inf"),
        ({"tol": np.nan}, "tol is nan"),
        ({"update": "newton"}, "update is 'newton'"),
        ({"update": "heuristic", "accelerate": True}, "accelerate needs"),
        ({"init": (np.ones((2, 2)), None)}, r"init W0 has shape \(2, 2\)"),
        ({"init": (None, np.ones((3, 3)))}, r"init H0 has shape \(3, 3\)"),
        ({"init": (-np.ones((4, 2)), None)}, "init W0 has 8 negative"),
        ({"init": np.ones((4, 2, 3))}, "init is a ndarray"),
        ({"init": (np.zeros((4, 2)), None)}, r"init W0 is at most 0.0e\+00"),
        ({"dictionary": np.ones((3, 1))}, r"dictionary has shape \(3, 1\)"),
        ({"dictionary": np.ones((4, 3))}, "d <= n_components = 2"),
        ({"dictionary": -np.ones((4, 1))}, "dictionary has 4 negative"),
        ({"beta": 4000.0}, "overflow"),
        ({"dictionary": np.zeros((4, 1))}, r"dictionary has only zeros in its columns \[0\]"),
        ({"dictionary": np.array([[1.0, 0.0]] * 4)}, r"dictionary has only zeros in its columns \[1\]"),
        ({"V": np.ones((4, 5), np.float32), "init": (np.full((4, 2), 1e-44, np.float32), None)}, "overflows float32"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"V": np.random.default_rng(0).random((4, 5)) * 9, "n_components": 2, "n_iter": 3} | change
    with pytest.raises(ValueError, match=message):
        nmf(arguments.pop("V"), arguments.pop("n_components"), **arguments)


@settings(max_examples=200, deadline=None)
@given(
    V=matrices(),
    beta=st.sampled_from(BETAS),
    rank=st.integers(1, 4),
    where=st.sampled_from(["rows of W0", "columns of W0", "rows of H0", "columns of H0", "all of H0"]),
    seed=st.integers(0, 99),
)
def test_zeros_of_the_start_stay_and_the_rest_is_fitted(V, beta, rank, where, seed):
    """As a score prescribes them: a rest, a band that no spectrum reaches, a component that is not there."""
    rng = np.random.default_rng(seed)
    W0, H0 = rng.random((V.shape[0], rank)) + 0.1, rng.random((rank, V.shape[1])) + 0.1
    factor, axis = (W0 if "W0" in where else H0), ("columns" in where)
    if "all" in where:
        factor[:] = 0
    else:
        np.moveaxis(factor, axis, 0)[rng.integers(factor.shape[axis])] = 0
    model = nmf(V, rank, beta=beta, init=(W0, H0), n_iter=20)
    assert np.isfinite(model.W).all() and np.isfinite(model.H).all() and not np.isnan(model.cost).any()
    assert not model.W[W0 == 0].any() and not model.H[H0 == 0].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_start_far_too_quiet_grows_and_keeps_its_zeros(dtype):
    """By a factor beyond all numbers, which times zero would not be zero."""
    V, W0, H0 = (x.astype(dtype) for x in random_start())
    H0 = H0 * np.finfo(dtype).tiny / dtype(1e3)
    H0[1, :5] = 0
    model = nmf(V, 4, beta=2, init=(W0, H0), dictionary=W0, n_iter=200)
    plain = nmf(V, 4, beta=2, init=(W0, np.ones_like(H0)), dictionary=W0, n_iter=200)
    assert not model.H[1, :5].any() and (model.H[:, 5:] > 0).any()
    np.testing.assert_allclose(model.W @ model.H[:, 5:], plain.W @ plain.H[:, 5:], rtol=0.2, atol=1e-2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", BETAS)
def test_bins_without_a_spectrum_leave_the_others_as_they_are(beta, dtype):
    V, W0, H0 = (x.astype(dtype) for x in random_start())
    W0[9:] = 0
    model = nmf(V, 4, beta=beta, init=(W0, H0), n_iter=30)
    assert np.isfinite(model.W @ model.H).all() and not model.W[9:].any()
    if beta == 2:  # beyond it, what is divided by V̂ = 0 counts most
        alone = nmf(V[:9], 4, beta=beta, init=(W0[:9], H0), n_iter=30)
        np.testing.assert_allclose(model.W[:9] @ model.H, alone.W @ alone.H, rtol=1e-3)
