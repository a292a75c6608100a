"""Notes say what makes numbers incomparable, when and only when it does."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from assay.comparing.comparability import comparability
from assay.comparing.set_facts import SetFacts, percent
from assay.data.facts import FACTS, facts_of
from assay.errors import UsageError
from assay.note import Note

Image = pytest.importorskip("PIL.Image")

N = 40


def pictures(n=N, seed=0, size=(48, 40)):
    """Different every one, with structure that falls off towards fine detail, as photographs have."""
    rng = np.random.default_rng(seed)
    fine = np.hypot(*np.meshgrid(np.fft.fftfreq(size[1]), np.fft.fftfreq(size[0]))) + 0.02
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(n, 3, *size))) / fine).real
    noise = noise / noise.std(axis=(2, 3), keepdims=True) * 40 + 128
    return list(noise.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))


def saved(pixels, format="PNG", **how):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **how)
    return file.getvalue()


def of(images, name="made", role="generated", labels=None, format="PNG", **how):
    """Facts as a pass records them."""
    rows = [facts_of(saved(image, format, **how), image) for image in images]
    facts = {
        fact: torch.from_numpy(np.array([row[k] for row in rows], dtype=kind))
        for k, (fact, kind) in enumerate(FACTS.items())
    }
    return SetFacts(name, role, facts, [f"{name}/{i}.x" for i in range(len(images))], labels)


def real(images=None, **how):
    return of(pictures(seed=99) if images is None else images, "real", "real", **how)


def told(*sets, **how):
    return {(note.kind, note.sets): note for note in comparability(sets, **how)}


def test_sets_that_were_made_alike_have_no_note():
    assert told(real(), of(pictures()), of(pictures(seed=1), "other")) == {}


def test_jpeg_against_png_and_within_a_set():
    found = told(real(), of(pictures(), format="JPEG", quality=75))
    note = found.pop(("compression", ("real", "made")))
    assert not found and isinstance(note, Note)
    assert str(note).startswith("real, made: 0% and 100% are JPEG: its blocks")
    assert note.numbers == {"shares": {"real": {"png": 1.0}, "made": {"jpeg": 1.0}}}
    half = of(pictures())
    codes = half.of("format").copy()
    codes[: N // 2] = 2
    half = SetFacts(half.name, half.role, {**half.facts, "format": codes}, half.names)
    assert set(told(half)) == {("compression", ("made",))}
    codes[:] = 1
    codes[:2] = 2  # 5% is not more than 5%
    assert told(SetFacts(half.name, half.role, {**half.facts, "format": codes}, half.names), real()) == {}


def test_jpeg_qualities():
    a = of(pictures(), "a", format="JPEG", quality=75)
    assert told(a, of(pictures(seed=1), "b", format="JPEG", quality=79)) == {}
    note = told(a, of(pictures(seed=1), "b", format="JPEG", quality=95))[("quality", ("a", "b"))]
    assert "about 75 and 95" in note.sentence and note.numbers == {"median": {"a": 75.0, "b": 95.0}}


def test_sizes_within_and_across():
    mixed = of(pictures(30) + pictures(10, size=(40, 48)))
    found = told(real(), mixed)
    note = found[("sizes", ("made",))]
    assert note.numbers == {"sizes": 2, "commonest": "48 x 40", "share": 0.75}
    assert "2 sizes, the commonest 48 x 40 (height x width) with 75%" in note.sentence
    assert ("sizes", ("real", "made")) not in found
    across = told(real(), of(pictures(size=(40, 48))))[("sizes", ("real", "made"))]
    assert across.numbers == {"commonest": {"real": "48 x 40", "made": "40 x 48"}}


def test_enlarged_images():
    small = pictures(size=(64, 64))
    large = [
        np.asarray(Image.fromarray(image).resize((128, 128), Image.Resampling.BICUBIC)) for image in small
    ]
    native = real(pictures(seed=9, size=(128, 128)))
    found = told(native, of(large))
    assert set(found) == {("enlarged", ("made",)), ("enlarged", ("real", "made"))}
    assert found[("enlarged", ("real", "made"))].numbers["share"] == {"real": 0.0, "made": 1.0}
    few = of(large[: N // 5] + pictures(N - N // 5, size=(128, 128), seed=3))
    assert told(native, few) == {}
    tiny = of(pictures(size=(16, 16)))  # nothing can be said of these
    assert not [kind for kind, _ in told(tiny) if kind == "enlarged"]


def test_duplicates_and_copies_are_counted_and_named():
    images = pictures()
    train = real()
    stolen = pictures(seed=99)[3]
    made = of([*images, images[5], images[5], stolen], format="BMP")
    found = told(train, made)
    note = found[("duplicates", ("made",))]
    assert note.numbers == {
        "different": N + 1,
        "of": N + 3,
        "repeated": 2,
        "examples": [["made/40.x", "made/5.x"], ["made/41.x", "made/5.x"]],
    }
    assert (
        "41 different pictures in 43 images (made/40.x is made/5.x, made/41.x is made/5.x)" in note.sentence
    )
    note = found[("copies", ("real", "made"))]
    assert note.numbers == {"copies": 1, "of": N + 3, "examples": [["made/42.x", "real/3.x"]]}
    assert "duplicates" in {kind for kind, _ in told(of([images[0]] * 5))}
    assert "1 picture in 5 images" in told(of([images[0]] * 5))[("duplicates", ("made",))].sentence


def test_grey_and_constant():
    grey = [np.repeat(image[..., :1], 3, axis=2) for image in pictures()]
    note = told(real(), of(grey))[("grey", ("real", "made"))]
    assert note.numbers == {"share": {"real": 0.0, "made": 1.0}}
    flat = [np.full((48, 40, 3), level, np.uint8) for level in range(4)]
    note = told(of(pictures() + flat))[("constant", ("made",))]
    assert note.numbers["constant"] == 4 and note.numbers["examples"] == [
        "made/40.x",
        "made/41.x",
        "made/42.x",
    ]
    assert "made/42.x and 1 more" in note.sentence


def test_classes_by_more_than_chance():
    def labelled(name, labels, role="generated"):
        blank = {fact: np.arange(len(labels)).astype(kind) for fact, kind in FACTS.items()}
        blank["height"] = blank["width"] = np.full(len(labels), 8)
        blank |= {"format": np.ones(len(labels)), "quality": np.full(len(labels), -1)}
        blank |= {"grey": np.zeros(len(labels), bool), "constant": np.zeros(len(labels), bool)}
        blank["detail"] = np.full(len(labels), np.nan)
        blank["digest"] = blank["digest"] + hash(name) % 1000 * 100_000
        return SetFacts(name, role, blank, list(map(str, range(len(labels)))), labels)

    a = labelled("a", ["cat"] * 500 + ["dog"] * 500)
    note = told(a, labelled("b", ["cat"] * 800 + ["emu"] * 200))[("classes", ("a", "b"))]
    assert note.numbers["total variation"] == pytest.approx(0.5)
    assert note.numbers["worst"] == {"class": "dog", "a": 0.5, "b": 0.0}
    assert note.numbers["missing"] == {"a": ["emu"], "b": ["dog"]}
    assert "dog with 50% and 0%" in note.sentence
    assert told(a, labelled("b", ["cat"] * 470 + ["dog"] * 530)) == {}
    rng = np.random.default_rng(0)
    for k in range(30):  # a hundred classes, few samples of each: chance alone is far beyond 5%
        draws = [[str(c) for c in rng.integers(0, 100, 400)] for _ in range(2)]
        assert told(labelled("a", draws[0]), labelled("b", draws[1])) == {}, k


def test_numbers_of_samples():
    note = told(real(), of(pictures(30)), of(pictures(40, seed=1), "other"))[
        ("counts", ("real", "made", "other"))
    ]
    assert note.sentence.startswith("40, 30 and 40 samples:")
    found = told(real(), of(pictures()), samples=50_000, protocol="fid")
    assert set(found) == {("few", ("real",)), ("few", ("made",))}
    assert "40 samples, and the protocol fid asks for 50,000" in found[("few", ("made",))].sentence
    assert "50,000 were asked for" in told(real(), samples=50_000)[("few", ("real",))].sentence
    assert told(real(), of(pictures()), samples=40) == {}


def test_facts_that_do_not_fit_are_refused():
    good = of(pictures(2))
    with pytest.raises(UsageError, match="facts lack 'detail'"):
        SetFacts("a", "real", {k: v for k, v in good.facts.items() if k != "detail"}, good.names)
    with pytest.raises(UsageError, match="3 names and 2 values"):
        SetFacts("a", "real", good.facts, ["x"] * 3)
    with pytest.raises(UsageError, match="2 names and 1 labels"):
        SetFacts("a", "real", good.facts, good.names, ["x"])
    with pytest.raises(UsageError, match="same name"):
        comparability([good, good])


def test_shares_are_never_rounded_to_none_or_all():
    assert [percent(x) for x in (0, 0.001, 0.014, 0.5, 0.999, 1)] == [
        "0%",
        "under 1%",
        "1%",
        "50%",
        "over 99%",
        "100%",
    ]
