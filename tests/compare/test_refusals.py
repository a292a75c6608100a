"""What cannot be compared is refused, and the least that can be is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay import DataError, UsageError, compare
from assay.data import Unreadable

from .three_sets import NEAR, REAL, made


def test_pairs_of_sets_that_lost_some_are_refused() -> None:
    lost = replace(made(REAL), skipped=(Unreadable("a.png", "truncated"),))
    with pytest.raises(DataError, match="real does not say whether images were left out of it, and which"):
        compare(lost, {"same": lost}, measures="fd", paired=True)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="real has 6 features and generated 5"):
        compare(REAL, NEAR[:, :5])
    broken = NEAR.clone()
    broken[7, 2] = float("nan")
    with pytest.raises(DataError, match=r"generated has NaN or infinity in 1 of 100 rows.*: 7;"):
        compare(REAL, broken)
    with pytest.raises(DataError, match=r"precision needs at least 12 samples in each set.*generated has 11"):
        compare(REAL, NEAR[:11], measures=["fd", "precision"])
    with pytest.raises(DataError, match=r"fd needs at least 4 samples in each set.*real has 3"):
        compare(REAL[:3], NEAR, measures="fd")
    with pytest.raises(DataError, match=r"fd needs at least 8 samples.*real has 7"):
        compare(REAL[:7], NEAR, measures="fd", floor=True)
    with pytest.raises(UsageError, match="level: expected a number between 0 and 1, got 95"):
        compare(REAL, NEAR, level=95)
    with pytest.raises(UsageError, match=r"real: expected a path, features .* got int"):
        compare(3, NEAR)
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        compare(REAL, NEAR, device="gpu")


def test_the_least_number_of_samples_is_enough() -> None:
    assert len(compare(REAL[:12], NEAR[:12], measures="prdc").rows) == 4
    assert len(compare(REAL[:24], NEAR[:12], measures="prdc", floor=True).floor) == 4
    assert compare(REAL[:4], NEAR[:4], measures="fd").rows[0].estimate.value > 0
