"""Measures, features and candidates go by honest names, in the order that was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

import assay
from assay import DataError, UsageError, compare
from assay.comparing.set_names import candidates_of
from assay.measure_by_name import measures_by_name

from .three_sets import FAR, NEAR, REAL, made


def test_rows_keep_the_order_that_was_asked_for() -> None:
    wanted = ["coverage", "vendi", "fd", "precision"]
    rows = compare(REAL, {"b": FAR, "a": NEAR}, measures=wanted).rows
    assert [(r.candidate, r.name) for r in rows] == [(c, f"{m}[features]") for c in "ba" for m in wanted]


def test_names_say_what_made_the_features(tmp_path: Path) -> None:
    assert compare(made(REAL), made(NEAR), measures="fd").rows[0].name == "fd[net]"
    for name, x in (("r", REAL), ("g", NEAR)):
        save_file(
            {"features": x},
            tmp_path / f"{name}.safetensors",
            metadata={"extractor": "dino", "fingerprint": "1"},
        )
    found = compare(tmp_path / "r.safetensors", tmp_path / "g.safetensors", measures="fd")
    assert [r.name for r in found.rows] == ["fd[dino]"]
    assert found.settings["fingerprint"] == "1"
    with pytest.raises(DataError, match=r"feature space 'dino' and g2 in 'features'"):
        compare(tmp_path / "r.safetensors", {"g2": NEAR}, measures="fd")
    with pytest.raises(DataError, match="different versions of net"):
        compare(made(REAL), made(NEAR, fingerprint="other"), measures="fd")


def test_measures_by_name_and_of_your_own() -> None:
    found = compare(
        REAL, NEAR,
        measures=["fd", "frechet_distance", assay.frechet_distance, assay.sets.precision.with_options(nearest_k=3)],
    )  # fmt: skip
    assert [r.name for r in found.rows] == ["fd[features]", "precision(nearest_k=3)[features]"]
    with pytest.raises(
        UsageError, match=r"unknown measure 'frechet_distanse'.*did you mean 'frechet_distance'"
    ):
        compare(REAL, NEAR, measures="frechet_distanse")
    with pytest.raises(UsageError, match=r"'precison'.*did you mean 'precision'"):
        compare(REAL, NEAR, measures=["fd", "precison"])
    assert measures_by_name(["recall", "precision", "recall"]) == [assay.sets.recall, assay.sets.precision]
    impostor = replace(assay.frechet_distance, function=lambda x, y: x.mean.sum(), name="precision")
    with pytest.raises(UsageError, match="two different measures are called 'precision'"):
        measures_by_name(["precision", impostor])
    with pytest.raises(UsageError, match="measures: none given"):
        compare(REAL, NEAR, measures=[])


def test_transport_and_divergences_go_by_short_names() -> None:
    names = ["ed", "sinkhorn", "sw", "cs", "chamfer", "entropy"]
    found = compare(REAL, {"near": NEAR, "far": FAR}, measures=names)
    values = {(row.name, row.candidate): row.estimate.value for row in found.rows}
    assert {name for name, _ in values} == {f"{name}[features]" for name in names}
    for name in names[:-1]:
        assert values[f"{name}[features]", "near"] < values[f"{name}[features]", "far"]
    assert measures_by_name("energy_distance") == measures_by_name("ed")


def test_candidates_are_called_by_their_paths() -> None:
    assert list(candidates_of("out/step-10k/")) == ["step-10k"]
    assert list(candidates_of(["a/x.zip", "a/v1.5"])) == ["x", "v1.5"]
    assert list(candidates_of(["a/samples", "b/samples", "late"])) == ["a/samples", "b/samples", "late"]
    assert list(candidates_of(["a/x.zip", "a/x.npy"])) == ["x.zip", "x.npy"]
    assert list(candidates_of(["x", "x"])) == ["x", "x (2)"]
    assert list(candidates_of([NEAR, FAR])) == ["generated 1", "generated 2"]
    assert list(candidates_of(NEAR)) == ["generated"]
    assert list(candidates_of({"b": NEAR, "a": FAR})) == ["b", "a"]
    assert list(candidates_of(["a\nb", "c\x1b[1m"])) == ["a\\nb", "c\\x1b[1m"]
    for nothing in ([], {}):
        with pytest.raises(UsageError, match="no candidates"):
            candidates_of(nothing)
