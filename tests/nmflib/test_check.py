"""What is refused, and in which words: every check once. Each public function has a test that it asks them."""

import numpy as np
import pytest

from nmflib._check import (
    as_beta,
    as_channels,
    as_count,
    as_factor,
    as_finite_number,
    as_mixture,
    as_nonnegative,
    as_stft,
    check_choice,
    in_range,
)

ONES = np.ones((2, 3, 4))
REFUSED = {
    as_nonnegative: [
        (([[-1.0, -2.0, 3.0]], "V"), r"^V has 2 negative entries; NMF needs V >= 0$"),
        (([[np.nan, np.inf, 1.0]], "V"), r"^V has 2 NaN or infinite entries; it must be finite$"),
        (([1j], "V"), r"^V is complex; NMF needs real numbers >= 0: take np.abs\(...\) or its square$"),
        ((["a"], "V"), r"^V is of type <U1; it must be real numbers$"),
        (([1.0], "V", 2), r"^V has shape \(1,\); it must have 2 dimensions$"),
        ((np.ones((0, 3)), "V"), r"^V is empty, its shape is \(0, 3\)$"),
    ],
    as_factor: [
        ((ONES, "init.W", (2, 3)), r"^init.W has shape \(2, 3, 4\); it must be \(2, 3\)$"),
        ((-ONES, "init.W", (2, 3, 4)), r"^init.W has 24 negative entries"),
    ],
    as_beta: [((np.inf,), r"^beta is inf; it must be finite$"), (("KL",), r"^beta is 'KL'; it must be a number$")],
    as_finite_number: [
        ((np.nan, "tol"), r"^tol is nan; it must be finite$"),
        ((None, "tol"), r"^tol is None; it must be a number$"),
    ],
    as_count: [
        ((0, "n", 1), r"^n is 0; it must be an integer >= 1$"),
        ((2.0, "n", 1), r"^n is 2.0; it must be an integer >= 1$"),
        ((True, "n", 1), r"^n is True; it must be an integer >= 1$"),
        ((np.True_, "n", 1), r"^n is np.True_; it must be an integer >= 1$"),
        ((None, "n", 0), r"^n is None; it must be an integer >= 0$"),
    ],
    check_choice: [(("c", "letter", ("a", "b")), r"^letter is 'c'; it must be one of \('a', 'b'\)$")],
    as_stft: [
        ((np.array([["a"]]),), r"^X is of type <U1; it must be complex numbers$"),
        ((ONES[0],), r"^X has shape \(3, 4\); it must have 3 dimensions$"),
        ((ONES[:, :0],), r"^X is empty, its shape is \(2, 0, 4\)$"),
        ((np.where(ONES.cumsum(2) == 1, np.nan, 1),), r"^X has 6 NaN or infinite entries; it must be finite$"),
        ((np.full((2, 3, 4), complex(0, np.inf)), "init"), r"^init has 24 NaN or infinite entries"),
    ],
    as_channels: [
        ((np.ones((100, 257, 2)),), r"^X has shape \(100, 257, 2\); 100 channels and 2 frames look like another order"),
        ((np.ones((100, 2, 257)),), r"^X has shape \(100, 2, 257\); 100 channels and 2 bins look like another order"),
    ],
    as_mixture: [
        ((1e141 * ONES,), r"^X reaches 1.0e\+141; its powers overflow above 1e\+140$"),
        ((1e-141 * ONES,), r"^X reaches 1.0e-141; its powers underflow below 1e-140 in complex128$"),
    ],
    in_range: [
        ((ONES.astype(np.complex64) * 1e16, "init"), r"^init reaches 1.0e\+16; its powers overflow above 1e\+15$"),
        ((ONES.astype(np.complex64) * 1e-16, "init"), r"^init reaches 1.0e-16; .* below 1e-15 in complex64$"),
    ],
}


@pytest.mark.parametrize(
    ("check", "arguments", "message"),
    [
        pytest.param(check, arguments, message, id=f"{check.__name__}-{k}")
        for check, cases in REFUSED.items()
        for k, (arguments, message) in enumerate(cases)
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_needed(check, arguments, message):
    with pytest.raises(ValueError, match=message):
        check(*arguments)


def test_what_can_be_used_keeps_its_precision_and_its_values():
    for kind, found in ((np.float32, np.float32), (int, float), (bool, float), (float, float)):
        assert as_nonnegative(ONES.astype(kind), "V").dtype == found
    for kind, found in ((np.complex64, np.complex64), (np.float32, np.complex64), (int, complex), (complex, complex)):
        assert as_stft(ONES.astype(kind)).dtype == found
    assert as_factor(ONES.astype(np.float32), "W", ONES.shape).dtype == float
    assert as_count(np.int64(3), "n", 1) == 3 and as_finite_number("2", "x") == 2
    assert not as_mixture(0 * ONES).any()
    assert as_channels(np.ones((9, 10, 12))).shape == (9, 10, 12)
    check_choice("a", "letter", ("a", "b"))


def test_a_beta_within_a_hundred_millionth_of_0_or_1_is_0_or_1():
    assert [as_beta(b) for b in (1e-9, -1e-9, 1 + 1e-9, 1 + 1e-7, 2 + 1e-9)] == [0, 0, 1, 1 + 1e-7, 2 + 1e-9]
