"""With a held-out set, what tells memorising from generalising; without one, a clear word."""

from __future__ import annotations

import pytest
import torch

from assay import DataError, UsageError, compare
from assay.sets import data_copying, data_copying_test, overfitting_gap


def draw(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))


TRAIN, TEST, FRESH = draw(120, 1), draw(110, 2), draw(100, 3)
COPIED = TRAIN[:100] + 0.01 * draw(100, 4)


def test_a_model_that_copies_is_told_from_one_that_does_not() -> None:
    found = compare(TRAIN, {"fresh": FRESH, "copied": COPIED}, held_out=TEST)
    names = [row.name.partition("[")[0] for row in found.rows if row.candidate == "fresh"]
    assert names == [
        "fd",
        "kd",
        "precision",
        "recall",
        "density",
        "coverage",
        "authenticity",
        "ct",
        "fls",
        "gap",
    ]
    assert found["copied", "ct"].high < -0.3 < found["fresh", "ct"].low
    assert found["copied", "gap"].value != pytest.approx(found["fresh", "gap"].value, abs=1)
    assert found["fresh", "ct"].value == pytest.approx(float(data_copying(TRAIN, FRESH, TEST)), abs=1e-6)
    assert found["copied", "gap"].value == pytest.approx(
        float(overfitting_gap(TRAIN, COPIED, TEST)), rel=1e-4
    )
    assert found.settings["held_out"]["n"] == 110
    notes = {note.sets[0]: note.numbers for note in found.notes if note.kind == "C_T"}
    assert notes["copied"]["C_T"] < -5 < -3 < notes["fresh"]["C_T"]
    assert notes["fresh"]["C_T"] == data_copying_test(TRAIN, FRESH, TEST).statistic
    (difference,) = [d for d in found.differences if d.name.startswith("ct")]
    assert difference.better == "fresh"


def test_a_measure_of_the_held_out_set_needs_one() -> None:
    with pytest.raises(
        UsageError, match="ct needs real images that the generator was not trained on: give them as"
    ):
        compare(TRAIN, FRESH, measures="ct")


@pytest.mark.parametrize(
    ("held_out", "match"),
    [(draw(3, 5), "held-out has 3"), (torch.randn(50, 5), "held-out 5: all sets must come from one")],
)
def test_a_held_out_set_that_does_not_fit_is_refused(held_out: torch.Tensor, match: str) -> None:
    with pytest.raises(DataError, match=match):
        compare(TRAIN, FRESH, measures="fls", held_out=held_out)


def test_a_held_out_set_of_training_samples_is_said_to_be_none() -> None:
    found = compare(TRAIN, FRESH, measures="ct", held_out=torch.cat([TEST[:60], TRAIN[:40]]))
    (note,) = [note for note in found.notes if note.kind == "held out"]
    assert note.numbers == {"same": 40, "of": 100}


def test_pairs_and_a_held_out_set_do_not_go_together() -> None:
    with pytest.raises(UsageError, match="paired: ct takes a held-out set, whose items belong to no pair"):
        compare(TRAIN, TRAIN + 0.1, measures="ct", held_out=TEST, paired=True)
