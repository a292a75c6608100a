"""`explain` and `compare(explain=)` say the same, take what compare takes, and point at what was planted."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import assay
from assay import DataError, UsageError
from assay.cli import run


def draw(n: int, seed: int, d: int = 6) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


REAL, MADE = draw(200, 1), draw(90, 2)
MADE[30:60] += 1.0
MADE[:4] = REAL[50:54]
NAMES = ["fine"] * 30 + ["off"] * 30 + ["good"] * 30


def same(a: assay.Explanation, b: assay.Explanation) -> None:
    assert (a.name, a.measure, a.candidate, a.direction, a.method) == (
        b.name, b.measure, b.candidate, b.direction, b.method
    )  # fmt: skip
    for one, two in ((a.of_generated, b.of_generated), (a.of_real, b.of_real)):
        assert (one is None) == (two is None)
        if one is not None:
            np.testing.assert_array_equal(one, two)
    assert a.to_dict() == b.to_dict()


def test_compare_explains_every_candidate_by_every_measure() -> None:
    measures = ["fd", "kd", "coverage", "vendi"]
    sets = {"a": MADE, "b": MADE + 0.2}
    groups = dict.fromkeys(sets, NAMES)
    found = assay.compare(REAL, sets, measures=measures, groups=groups)
    assert [(e.candidate, e.name) for e in found.explanations] == [(r.candidate, r.name) for r in found.rows]
    assert [s.name for s in found.sets] == ["real", "a", "b"]
    for each in found.explanations:
        alone = assay.explain(REAL, sets[each.candidate], each.measure, groups=NAMES)
        assert alone.name == each.name and alone.method == each.method
        np.testing.assert_array_equal(alone.of_generated, each.of_generated)
        assert {**alone.to_dict(), "candidate": each.candidate} == each.to_dict()
    plain = assay.compare(REAL, sets, measures="fd")
    assert plain.explanations == () and plain.sets == ()
    assert plain.rows == tuple(row for row in found.rows if row.measure == "frechet_distance")
    only = assay.compare(REAL, MADE, measures="fd", explain=True).explanations[0]
    assert only.groups == () and only.floor is None


def test_influences_are_the_measures_own() -> None:
    why = assay.explain(REAL, MADE, "fd")
    np.testing.assert_allclose(
        why.of_generated, assay.frechet_distance.influence(REAL, MADE, of="y"), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        why.of_real, assay.frechet_distance.influence(REAL, MADE, of="x"), rtol=1e-4, atol=1e-5
    )
    assert why.of_generated.dtype == why.of_real.dtype == np.float32
    worst = why.badness().argsort()[::-1][:15]
    assert ((worst >= 30) & (worst < 60)).mean() > 0.8
    dense = assay.explain(REAL, MADE, "density")
    np.testing.assert_array_equal(dense.badness(), -dense.of_generated)


def test_groups_sum_and_the_bad_one_leads() -> None:
    for measure in ("fd", "kd", "density"):
        why = assay.explain(REAL, MADE, measure, groups=NAMES)
        assert [(g.name, len(g.rows)) for g in why.groups] == [("fine", 30), ("good", 30), ("off", 30)]
        assert why.groups[2].rows.tolist() == list(range(30, 60))
        bad = [g.share if why.direction == "lower is better" else -g.share for g in why.groups]
        assert max(bad) == bad[2]
        assert all(g.low == g.share == g.high for g in why.groups)
    # with held-out samples that replace, the total is the value against all of the real set
    held = draw(90, 7)
    why = assay.explain(REAL, MADE, "fd", groups=NAMES, held_out=held)
    total = why.floor + sum(g.share for g in why.groups)
    assert total == pytest.approx(float(assay.frechet_distance(REAL, MADE)), rel=1e-5)
    assert why.floor == pytest.approx(float(assay.frechet_distance(REAL, held)), rel=1e-5)
    again = assay.explain(REAL, MADE, "fd", groups=NAMES, held_out=held)
    same(why, again)
    other = assay.explain(REAL, MADE, "fd", groups=NAMES, held_out=held, seed=1)
    assert other.groups[0].share != why.groups[0].share


def test_many_groups_come_with_intervals() -> None:
    why = assay.explain(REAL, MADE, "kd", groups=[str(k % 10) for k in range(90)])
    assert len(why.groups) == 10 and all(g.low < g.share < g.high for g in why.groups)


def test_clusters() -> None:
    far = MADE.clone()
    far[30:60] += 30
    why = assay.explain(REAL, far, "fd", groups="kmeans:2")
    assert [g.name for g in why.groups] == ["cluster 1", "cluster 2"]
    assert why.groups[1].rows.tolist() == list(range(30, 60))
    assert why.groups[1].share > 10 * abs(why.groups[0].share)


def test_copies_are_told_in_text_and_notes() -> None:
    found = assay.compare(REAL, {"made": MADE}, measures=["fd"], groups={"made": NAMES})
    near = found.explanations[0].nearest
    assert (
        near.copied[:4].all() and near.row[:4].tolist() == [50, 51, 52, 53] and (near.distance[:4] == 0).all()
    )
    (note,) = [n for n in found.notes if n.kind == "suspected copies"]
    assert note.numbers["exact"] == 4 and note.numbers["copied"] == int(near.copied.sum())
    text = " ".join(str(found).split())
    assert "what makes made" in text and "worst of 3 groups off (n 30), share" in text
    assert f"suspected copies: {int(near.copied.sum())} of 90 samples, 4 of them exact" in text
    worst = found.explanations[0].badness().argsort()[::-1]
    assert f"worst samples row {worst[0]}, row {worst[1]}" in text


def test_statistics_for_the_real_side_explain_the_generated_one() -> None:
    found = assay.compare(assay.Moments.of(REAL.double()), {"made": MADE}, measures=["fd"], explain=True)
    (why,) = found.explanations
    assert why.of_real is None and why.nearest is None and "given as statistics" in why.method
    assert len(why.of_generated) == 90
    with pytest.raises(DataError, match="groups: real is statistics"):
        assay.compare(
            assay.Moments.of(REAL.double()), {"made": MADE}, measures=["fd"], groups={"made": NAMES}
        )


def test_held_out_measures_are_explained() -> None:
    found = assay.compare(REAL, {"made": MADE}, held_out=draw(60, 9), measures=["fd", "ct"], explain=True)
    assert [e.name.partition("[")[0] for e in found.explanations] == ["fd", "ct"]
    assert found.explanations[1].of_generated is not None and found.explanations[1].of_real is None


def archive(folder: Path, name: str, seed: int, bad: bool) -> Path:
    from PIL import Image

    draws = np.random.default_rng(seed)
    path = folder / name
    with zipfile.ZipFile(path, "w") as out:
        for k in range(40):
            pixels = draws.integers(0, 256, (12, 12, 3))
            sub = "b" if k % 2 else "a"
            if bad and sub == "b":
                pixels = 128 + pixels // 2
            buffer = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
            out.writestr(f"{sub}/{k:02d}.png", buffer.getvalue())
    return path


def test_images_folders_csv_and_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, made = archive(tmp_path, "real.zip", 0, False), archive(tmp_path, "made.zip", 1, True)
    why = assay.explain(real, made, "kd", groups="folders", features="pixels:4")
    assert [g.name for g in why.groups] == ["a", "b"] and why.name == "kd[pixels:4]"
    assert why.groups[1].share > 5 * abs(why.groups[0].share)
    table = tmp_path / "groups.csv"
    lines = [f"{'b' if k % 2 else 'a'}/{k:02d}.png,{'odd' if k % 2 else 'even'}" for k in range(40)]
    table.write_text("name,group\n" + "\n".join(lines) + "\n")
    named = assay.explain(real, made, "kd", groups=table, features="pixels:4")
    assert [g.name for g in named.groups] == ["even", "odd"]
    assert [g.share for g in named.groups] == [g.share for g in why.groups]
    out = tmp_path / "out.json"
    command = ["compare", str(real), str(made), "--features", "pixels:4", "--measures", "kd", "--explain"]
    assert run([*command, "--groups", str(table), "--json", str(out), "-q", "--no-history"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    (told,) = json.loads(out.read_text())["explanations"]
    assert told["groups"][1]["name"] == "odd" and told["groups"][1]["share"] == named.groups[1].share
    assert "worst of 2 groups odd" in printed and "worst samples b/" in printed


@pytest.mark.parametrize(
    ("keywords", "error", "match"),
    [
        ({"groups": "folders"}, UsageError, "generated is features, which have no folders or names"),
        ({"groups": "kmeans:one"}, UsageError, "expected kmeans:K with K of at least 2"),
        ({"groups": "kmeans:1"}, UsageError, "expected kmeans:K with K of at least 2"),
        ({"groups": "kmeans:91"}, DataError, "91 groups|fewer than 91 different samples"),
        ({"groups": {"other": NAMES}}, UsageError, "groups: none for generated"),
        ({"groups": NAMES[:-1]}, DataError, "generated has 90 samples and 89 groups"),
        ({"groups": torch.zeros(90, 2)}, DataError, r"shape \(n,\), not \(90, 2\)"),
        ({"groups": [str(k) for k in range(90)]}, DataError, "90 groups; shares are told for at most 64"),
        (
            {"measure": "prdc"},
            UsageError,
            "explain takes one measure, and 'prdc' is several: precision, recall",
        ),
        ({"measure": "ct"}, UsageError, "needs real images that the generator was not trained on"),
        ({"generated": [MADE, MADE]}, UsageError, "explain takes one set"),
        ({"generated": MADE[:, :5]}, DataError, "6 features and generated 5"),
        ({"seed": -1}, UsageError, "seed: expected a whole number"),
    ],
)
def test_refusals(keywords, error, match) -> None:
    given = {"generated": MADE, "measure": "fd", **keywords}
    with pytest.raises(error, match=match):
        assay.explain(REAL, given.pop("generated"), given.pop("measure"), **given)


def test_no_influences_have_no_order_of_badness() -> None:
    why = assay.explain(REAL, assay.Moments.of(MADE.double()), "fd")
    with pytest.raises(
        UsageError, match=r"the samples of generated have no influence: .*given as statistics"
    ):
        why.badness()


@pytest.mark.parametrize("measure, held_out", [("kd", 1), ("fd", 1), ("precision", 5)])
def test_too_few_samples_to_replace_groups_are_refused_before_the_measuring(
    measure: str, held_out: int
) -> None:
    told: list[str] = []
    words = rf"groups: shares of these measures need at least \d real samples .* there are {held_out};"
    with pytest.raises(DataError, match=words):
        assay.compare(
            REAL, {"made": MADE}, measures=measure, groups={"made": ["one"] * 90}, held_out=draw(held_out, 3),
            progress=lambda what, done, total: told.append(what),
        )  # fmt: skip
    assert told == []


def test_groups_that_are_sequences_are_one_sentence() -> None:
    with pytest.raises(
        DataError, match="groups: expected one group a sample of generated, and some entries are"
    ):
        assay.explain(REAL, MADE[:3], "fd", groups=[["a"], ["b", "c"], ["d"]])
