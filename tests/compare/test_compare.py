"""`compare`: the numbers are the contract's own, the names are honest, and what cannot be compared is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import assay
from assay import Comparison, DataError, UsageError, compare
from assay.comparing.set_names import candidates_of
from assay.comparison import Difference
from assay.contrast import Sampled
from assay.data import Unreadable
from assay.estimate import Estimate, estimate_all
from assay.features import Features
from assay.measure_by_name import measures_by_name


def draw(n: int, d: int = 6, shift: float = 0.0, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


REAL, NEAR, FAR = draw(120, seed=1), draw(100, shift=0.3, seed=2), draw(90, shift=1.5, seed=3)


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(REAL, {"far": FAR, "near": NEAR}, floor=True, measures=["fd", "kd", "prdc", "vendi"])


def made(x: Tensor, extractor: str = "net", fingerprint: str = "f", classes: int | None = 4) -> Features:
    logits = None if classes is None else x[:, :classes]
    return Features(x, logits, tuple(map(str, range(len(x)))), (), extractor, fingerprint, "made")


def direct(measure: assay.Measure, *sets: tuple[str, Tensor]) -> Estimate:
    """The estimate of sets of the same names, which draw the same halves."""
    return estimate_all([measure], {name: Sampled(x) for name, x in sets})[0][0]


def same(got: Estimate, expected: Estimate) -> None:
    assert (got.n_x, got.n_y) == (expected.n_x, expected.n_y)
    for name in ("value", "corrected", "std_error", "low", "high"):
        assert getattr(got, name) == pytest.approx(getattr(expected, name), rel=1e-6, abs=1e-12)


def test_numbers_are_those_of_estimate_and_difference(found: Comparison) -> None:
    real = ("real", REAL)
    for name, set_ in (("far", FAR), ("near", NEAR)):
        for measure in (assay.frechet_distance, *assay.prdc.measures):
            same(found[name, measure.name], direct(measure, real, (name, set_)))
        same(found[name, "vendi"], direct(assay.vendi_score, (name, set_)))
    for measure in (assay.frechet_distance, assay.kernel_distance, assay.sets.coverage):
        (d,) = [d for d in found.differences if d.measure == measure.name]
        assert (d.a, d.b) == ("far", "near")
        again = assay.difference(measure, REAL, FAR, NEAR)  # its halves are those of other names
        assert d.estimate.value == pytest.approx(again.value, rel=1e-9)


def test_a_difference_is_the_difference_of_the_two_rows(found: Comparison) -> None:
    for d in found.differences:
        a, b = found[d.a, d.measure], found[d.b, d.measure]
        assert d.estimate.corrected == pytest.approx(b.corrected - a.corrected, rel=1e-9, abs=1e-12)
        if d.measure in (
            "frechet_distance",
            "kernel_distance",
        ):  # what both share of the real set's luck cancels
            assert d.estimate.std_error < (a.std_error**2 + b.std_error**2) ** 0.5


def test_a_candidates_numbers_do_not_depend_on_its_company(found: Comparison) -> None:
    alone = compare(REAL, {"near": NEAR}, measures="fd")
    assert alone["near", "fd"] == found["near", "fd"]
    other_seed = compare(REAL, {"near": NEAR}, measures="fd", seed=1)
    assert other_seed["near", "fd"].corrected != alone["near", "fd"].corrected
    assert other_seed["near", "fd"].value == pytest.approx(alone["near", "fd"].value, rel=1e-12)


def test_rows_keep_the_order_that_was_asked_for() -> None:
    wanted = ["coverage", "vendi", "fd", "precision"]
    rows = compare(REAL, {"b": FAR, "a": NEAR}, measures=wanted).rows
    assert [(r.candidate, r.name) for r in rows] == [(c, f"{m}[features]") for c in "ba" for m in wanted]


def test_a_measure_of_one_set_is_taken_of_the_real_one_too(found: Comparison) -> None:
    (aim,) = found.aims
    assert (aim.candidate, aim.name) == ("real", "vendi[features]")
    same(aim.estimate, direct(assay.vendi_score, ("real", REAL)))
    assert aim.estimate.n_x is None and aim.estimate.n_y == 120


def test_which_one_is_better_follows_the_measures_direction(found: Comparison) -> None:
    better = {d.name: d.better for d in found.differences}
    assert better["fd[features]"] == better["kd[features]"] == better["coverage[features]"] == "near"
    e = found["near", "fd"]

    def verdict(direction: str, low: float, high: float) -> str | None:
        shifted = type(e)(**{**e.to_dict(), "low": low, "high": high})
        return Difference("m", "m", "a", "b", direction, shifted).better  # type: ignore[arg-type]

    assert verdict("lower is better", -2, -1) == "b"
    assert verdict("lower is better", 1, 2) == "a"
    assert verdict("higher is better", -2, -1) == "a"
    assert verdict("higher is better", 1, 2) == "b"
    assert verdict("higher is better", -1, 2) is None
    assert verdict("lower is better", 0, 2) is None


def test_equal_candidates_are_not_told_apart() -> None:
    draws = [
        compare(REAL, [draw(100, seed=10 + 2 * k), draw(100, seed=11 + 2 * k)], measures="fd")
        for k in range(20)
    ]
    told = sum(c.differences[0].better is not None for c in draws)
    assert told <= 4  # 5% of 20 is 1; 5 or more come up once in 400 such tests


def test_the_floor_compares_equal_sizes(found: Comparison) -> None:
    by_name = {f.name: f for f in found.floor}
    assert set(by_name) == {
        f"{m}[features]" for m in ("fd", "kd", "precision", "recall", "density", "coverage")
    }
    assert {f.samples for f in found.floor} == {60}
    fd = by_name["fd[features]"].estimate
    assert fd.n_x == fd.n_y == 60
    multiples = {(r.candidate, r.name): r.multiple for r in found.rows}
    assert multiples["far", "fd[features]"] > multiples["near", "fd[features]"] > 1
    assert 0 < multiples["far", "coverage[features]"] < multiples["near", "coverage[features]"]
    assert multiples["far", "vendi[features]"] is None
    # a set of the real distribution, of any size, is at the floor: its bias is not counted against it
    many = compare(REAL, {"same": draw(400, seed=5)}, measures="fd", floor=True)
    few = compare(draw(400, seed=6), {"same": draw(60, seed=5)}, measures="fd", floor=True)
    for comparison, size in ((many, 60), (few, 60)):
        assert comparison.floor[0].samples == size
        assert comparison.rows[0].multiple == pytest.approx(1, abs=0.5)


def test_an_unbiased_measure_gets_a_bound_and_never_a_ratio_of_noise() -> None:
    found = compare(draw(400, seed=1), {"far": draw(300, shift=1.5, seed=2), "same": draw(300, seed=3)},
                    measures="kd", floor=True)  # fmt: skip
    far, same = found.rows
    high = found.floor[0].estimate.high
    assert far.multiple_is is not None and far.multiple_is.startswith("at least")
    assert far.multiple == pytest.approx(far.estimate.low / high)
    assert same.multiple is None


def test_pairs_narrow_the_interval_of_reconstructions() -> None:
    near = REAL + 0.1 * draw(120, seed=9)
    two = {"a": near, "b": near + 0.1}
    paired, free = compare(REAL, two, measures="fd", paired=True), compare(REAL, two, measures="fd")
    assert paired["a", "fd"].std_error < 0.7 * free["a", "fd"].std_error
    direct = assay.frechet_distance.estimate(REAL, near, paired=True)
    assert paired["a", "fd"].std_error == pytest.approx(direct.std_error, rel=1e-3)
    with pytest.raises(DataError, match=r"paired: real has 120 samples and generated 100"):
        compare(REAL, NEAR, measures="fd", paired=True)


def test_pairs_of_sets_that_lost_some_are_refused() -> None:
    lost = replace(made(REAL), skipped=(Unreadable("a.png", "truncated"),))
    with pytest.raises(DataError, match="real does not say whether images were left out of it, and which"):
        compare(lost, {"same": lost}, measures="fd", paired=True)


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


def test_the_inception_score_needs_classes() -> None:
    found = compare(made(REAL), made(NEAR), measures="is")
    assert found["generated", "is"].value == pytest.approx(
        float(assay.inception_score(NEAR[:, :4].softmax(1)))
    )
    assert found.aims[0].name == "is[net]"
    with pytest.raises(UsageError, match="is needs class probabilities, and the features of real have none"):
        compare(REAL, NEAR, measures="is")


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


def test_images_in_arrays_go_through_the_extractor() -> None:
    g = torch.Generator().manual_seed(0)
    real, fake = (torch.randint(0, 256, (20, 3, 4, 4), dtype=torch.uint8, generator=g) for _ in range(2))
    told: list[tuple[str, int, int]] = []
    found = compare(real, fake.numpy(), features="pixels", measures="kd", progress=lambda *t: told.append(t))
    assert [r.name for r in found.rows] == ["kd[pixels]"]
    direct = assay.kernel_distance.estimate(real.flatten(1) / 255, fake.flatten(1) / 255)
    assert found["generated", "kd"].corrected == pytest.approx(direct.corrected, rel=1e-4)
    assert found.settings["candidates"][0]["unit"] == "images"
    assert ("features of real", 20, 20) in told
    assert any(what.startswith("1 of 1: kd of all candidates") for what, _, _ in told)
    with pytest.raises(DataError, match="feature space 'pixels' and generated in 'features'"):
        compare(real, NEAR, features="pixels", measures="kd")


def test_json_is_whole_and_has_no_nan(found: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    found.to_json(path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith('{\n  "measures": [\n    {\n      "name"')
    loaded = json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} in the file"))
    assert set(loaded) == {
        "measures",
        "aims",
        "differences",
        "floor",
        "notes",
        "classes",
        "published",
        "explanations",
        "settings",
    }
    first = loaded["measures"][0]
    assert {"name", "candidate", "value", "corrected", "bias", "std_error", "low", "high", "level", "method", "n_x",
            "n_y", "direction", "notes"} <= set(first)  # fmt: skip
    assert (first["name"], first["candidate"], first["n_x"]) == ("fd[features]", "far", 120)
    assert first["corrected"] == found["far", "fd"].corrected
    assert loaded["settings"]["seed"] == 0
    assert set(loaded["settings"]["versions"]) == {"assay", "torch", "numpy", "python"}
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]
    row = found.rows[0]
    odd = replace(row.estimate, value=float("nan"), high=float("inf"))
    bad = Comparison((type(row)("n", "m", "c", row.direction, odd),), (), (), (), (), {"level": 0.95})
    bad.to_json(path)
    assert json.loads(path.read_text())["measures"][0]["value"] is None
    with pytest.raises(DataError, match="cannot be written"):
        found.to_json(tmp_path / "missing" / "out.json")


def test_an_unfinished_file_never_replaces_a_good_one(
    found: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.json"
    path.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DataError, match="no space left on device"):
        found.to_json(path)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_notes_say_when_a_value_is_mostly_bias() -> None:
    found = compare(draw(20, 15), {"a": draw(20, 15, seed=1), "b": draw(20, 15, seed=2)}, measures="fd")
    (note,) = found.notes
    assert str(note).startswith("fd[features] (real, a, b): 20 samples for 15 features")


def test_many_differences_come_with_a_warning() -> None:
    sets = {str(k): draw(12, 2, seed=k) for k in range(5)}
    found = compare(draw(12, 2), sets, measures="kd")
    assert len(found.differences) == 10
    (note,) = found.notes
    assert note.kind == "many differences" and note.numbers["differences"] == 10
    assert "10 differences were looked at" in note.sentence and "0.5" in note.sentence


def test_numpy_float64_and_files(tmp_path: Path) -> None:
    np.save(tmp_path / "g.npy", NEAR.numpy())
    found = compare(REAL.double().numpy(), tmp_path / "g.npy", measures="fd")
    assert found["g", "fd"].value == pytest.approx(
        compare(REAL, NEAR, measures="fd")["generated", "fd"].value, rel=1e-5
    )


def test_sets_of_one_name_keep_their_own_values() -> None:
    found = compare(REAL, {"real": NEAR, "real (real)": FAR}, measures="fd")
    alone = compare(REAL, {"a": NEAR, "b": FAR}, measures="fd")
    assert found["real", "fd"].value == pytest.approx(alone["a", "fd"].value)
    assert found["real (real)", "fd"].value == pytest.approx(alone["b", "fd"].value)
    assert found.settings["real"]["name"] == "real (real) (real)"
