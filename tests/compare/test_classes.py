"""Class by class: a class's row is that measure of that class's samples alone, and gaps are said."""

from __future__ import annotations

import pytest
import torch

import assay
from assay import DataError, UsageError, compare
from assay.contrast import Sampled
from assay.estimate import estimate_all


def draw(n: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed)) + shift


REAL, GOOD = draw(120, 1), draw(90, 2)
REAL_LABELS, GOOD_LABELS = torch.arange(120) % 3, torch.arange(90) % 3
LABELS = {"real": REAL_LABELS, "good": GOOD_LABELS}


def test_each_class_is_measured_on_its_own() -> None:
    found = compare(REAL, {"good": GOOD}, measures=["fd", "precision", "vendi"], classes=LABELS)
    assert [row.group for row in found.classes] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3
    for label in range(3):
        x, y = REAL[label == REAL_LABELS], GOOD[label == GOOD_LABELS]
        rows = {row.measure: row.estimate for row in found.classes if row.group == str(label)}
        assert rows["frechet_distance"].value == pytest.approx(float(assay.frechet_distance(x, y)), rel=1e-6)
        assert rows["precision"].value == pytest.approx(float(assay.sets.precision(x, y)), rel=1e-6)
        assert rows["vendi_score"].value == pytest.approx(float(assay.vendi_score(y)), rel=1e-6)
        assert (rows["frechet_distance"].n_x, rows["frechet_distance"].n_y) == (40, 30)
        alone = estimate_all(
            [assay.frechet_distance],
            {"real": Sampled(x), "good": Sampled(y)},
            generator=torch.Generator().manual_seed(0),
        )[0][0]
        assert rows["frechet_distance"].low == pytest.approx(alone.low, rel=1e-9)


def test_a_bad_class_shows_in_its_row_and_in_the_table() -> None:
    bad = GOOD.clone()
    bad[GOOD_LABELS == 1] += 5
    found = compare(REAL, {"good": bad}, measures="fd", classes=LABELS)
    value = {row.group: row.estimate.corrected for row in found.classes}
    assert value["1"] > 50 > 5 > max(value["0"], value["2"])
    text = str(found)
    assert "good by class" in text and "fd" in text
    line = next(line for line in text.splitlines() if line.strip().startswith("1 "))
    assert line.split()[1] == "30"


def test_of_many_classes_the_worst_are_shown_and_all_are_kept() -> None:
    labels = torch.arange(300) % 30
    real, made = draw(300, 3), draw(300, 4)
    made[labels == 17] += 9
    found = compare(real, {"made": made}, measures="kd", classes={"real": labels, "made": labels})
    assert len(found.classes) == 30
    lines = str(found).splitlines()
    start = next(k for k, line in enumerate(lines) if "the 20 worst of 30 by kd" in line)
    assert lines[start + 1].split()[0] == "17"


def test_a_class_that_one_side_lacks_has_no_row_but_a_note() -> None:
    labels = GOOD_LABELS.clone()
    labels[labels == 2] = 7
    found = compare(REAL, {"good": GOOD}, measures=["fd"], classes={"real": REAL_LABELS, "good": labels})
    assert {row.group for row in found.classes} == {"0", "1"}
    (note,) = [n for n in found.notes if n.kind == "few samples a class"]
    assert note.sets == ("good",) and note.numbers["classes"] == 2 and "2, 7" in note.sentence


@pytest.mark.parametrize(
    ("classes", "error", "match"),
    [
        ({"real": REAL_LABELS}, UsageError, "no labels for good"),
        ({"real": REAL_LABELS, "good": GOOD_LABELS[:-1]}, DataError, "good has 90 samples and 89 labels"),
        ({"real": REAL_LABELS, "good": GOOD_LABELS[None]}, DataError, r"shape \(n,\), not \(1, 90\)"),
        (
            {"real": REAL_LABELS, "good": GOOD_LABELS + 10},
            DataError,
            "no class in common: 0, 1, 2 .* 10, 11, 12",
        ),
        (5, UsageError, "expected auto, folders, the path of a CSV, or labels by set, got int"),
        ("folders", UsageError, "real is features, which have no folders"),
    ],
)
def test_labels_that_do_not_fit_are_refused(classes: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        compare(REAL, {"good": GOOD}, measures="fd", classes=classes)  # type: ignore[arg-type]


def test_classes_that_are_no_plain_numbers_are_sorted_as_texts() -> None:
    names = ["--1", "\u00b2", "3"]
    labels = {"real": [names[k] for k in REAL_LABELS], "good": [names[k] for k in GOOD_LABELS]}
    assert len(compare(REAL, {"good": GOOD}, measures="fd", classes=labels).classes) == 3
