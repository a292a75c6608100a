"""The regression: reading libsvm's text, scores, and the published model where its package is there."""

from __future__ import annotations

import contextlib
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import DataError, MissingExtra, UsageError
from assay.images.one_image import brisque, brisque_features, brisque_model
from assay.images.one_image.feature_ranges import RANGES
from assay.pair_laws import draw_pair_inputs, laws_of_pairs

LEAST, LARGEST = [0.0] * 36, [2.0] * 36


def text_of(coefficients, vectors, *, gamma=0.05, rho=-30.0, kind="epsilon_svr", kernel="rbf"):
    """As libsvm writes it: features that are 0 are left out."""
    rows = [
        f"{c:g} " + " ".join(f"{k}:{v:.17g}" for k, v in enumerate(row, start=1) if v != 0)
        for c, row in zip(coefficients, vectors, strict=True)
    ]
    head = [f"svm_type {kind}", f"kernel_type {kernel}", f"gamma {gamma:g}", "nr_class 2"]
    return "\n".join([*head, f"total_sv {len(rows)}", f"rho {rho:g}", "SV", *rows]) + "\n"


def parts(count=7):
    g = np.random.default_rng(0)
    vectors = g.uniform(-1, 1, (count, 36))
    vectors[1, 5] = 0.0
    return g.choice([-1024.0, 1024.0, 300.5], count), vectors


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.txt"
    path.write_text(text_of(*parts()))
    return path


def test_equals_the_sum_written_out(file):
    model = brisque_model(file, ranges=(LEAST, LARGEST))
    x = torch.rand(3, 3, 24, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = brisque_features(x).numpy()
    coefficients, vectors = parts()
    scaled = -1 + 2 * (features - np.array(LEAST)) / (np.array(LARGEST) - np.array(LEAST))
    expected = [sum(c * np.exp(-0.05 * np.sum((row - v) ** 2)) for c, v in zip(coefficients, vectors, strict=True)) + 30
                for row in scaled]  # fmt: skip
    assert np.allclose(brisque(x, model=model), expected, rtol=1e-10)


@pytest.mark.parametrize("convention", ["matlab", "cpp"])
def test_it_keeps_the_laws_of_pair_measures(file, convention):
    bound = brisque.with_options(model=brisque_model(file, ranges=(LEAST, LARGEST), convention=convention))
    inputs = draw_pair_inputs(bound, n=8, size=24, seed=0)
    for law in laws_of_pairs(bound):
        if law.__name__ != "compiled_agrees":  # which takes seconds
            law(bound, inputs)


def test_a_model_says_which_features_it_wants(file):
    x = torch.rand(1, 1, 24, 20, generator=torch.Generator().manual_seed(0))
    one, other = (brisque_model(file, ranges=(LEAST, LARGEST), convention=c) for c in ("matlab", "cpp"))
    assert float(brisque(x, model=other)) == pytest.approx(
        float(other(brisque_features(x, convention="cpp"))), abs=1e-3
    )
    assert not torch.allclose(brisque(x, model=one), brisque(x, model=other))


def test_ranges_of_the_published_models():
    for (least, largest), _ in RANGES.values():
        assert len(least) == len(largest) == 36
        assert all(a < b for a, b in zip(least, largest, strict=True))


@pytest.mark.skipif(
    find_spec("brisque") is None, reason="the package with the published model is not installed"
)
def test_the_published_model():
    """The 770 vectors of the C++ program. Of OpenCV 5.0.0's features of this image they give 77.253, which its table
    of shapes moves by 0.016 from the solved ones."""
    i, j = np.mgrid[:40, :48].astype(np.int64)
    wave = 60 * np.sin(i / 3.1) + 40 * np.cos(j / 2.3 + i * j / 97.0)
    image = np.clip(np.round(120 + wave + (i * 7919 + j * 104729 + i * j * 31) % 23), 0, 255)
    found = brisque(torch.from_numpy(image)[None, None] / 255, model=brisque_model())
    assert float(found) == pytest.approx(77.2374, abs=1e-3)


def test_without_a_model_or_its_package(monkeypatch):
    with pytest.raises(UsageError, match="model: pass brisque_model"):
        brisque(torch.rand(1, 3, 24, 24))
    with pytest.raises(UsageError, match=r"model: expected what brisque_model\(\) reads, got str"):
        brisque(torch.rand(1, 3, 24, 24), model="svm.txt")
    # the package's attribute of this name is the measure
    monkeypatch.setattr(sys.modules["assay.images.one_image.brisque"], "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"assay\[brisque\]"):
        brisque_model()


def test_unreadable_models(tmp_path):
    path = tmp_path / "model.txt"
    with pytest.raises(UsageError, match="there is no file"):
        brisque_model(path)
    path.write_text(text_of(*parts()))
    with pytest.raises(UsageError, match=r"7 vectors, rho -30\): give the ranges"):
        brisque_model(path)
    with pytest.raises(UsageError, match="ranges: expected 36"):
        brisque_model(path, ranges=(LEAST[:5], LARGEST[:5]))
    with pytest.raises(UsageError, match="ranges: expected 36"):
        brisque_model(path, ranges=(LEAST, LEAST))
    for kind in ({"kind": "c_svc"}, {"kernel": "linear"}):
        path.write_text(text_of(*parts(), **kind))
        with pytest.raises(DataError, match="expected epsilon_svr with rbf"):
            brisque_model(path, ranges=(LEAST, LARGEST))
    path.write_text(text_of(*parts()).rsplit("\n", 2)[0])
    with pytest.raises(DataError, match="says it has 7 support vectors, and has 6"):
        brisque_model(path, ranges=(LEAST, LARGEST))
    whole = text_of(*parts())
    path.write_text(whole[:-5])
    with pytest.raises(DataError, match="is cut off in its last line"):
        brisque_model(path, ranges=(LEAST, LARGEST))
    for old, new in (
        ("gamma 0.05", "gamma nan"),
        ("rho -30", "rho inf"),
        (" 7:", " 7:nan 7:"),
        (" 36:", " 99999999999:"),
    ):
        path.write_text(whole.replace(old, new).replace("7:nan 7:", "7:nan 8:"))
        with pytest.raises(DataError, match="is not the text of a libsvm model"):
            brisque_model(path, ranges=(LEAST, LARGEST))
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(DataError, match="is not the text of a libsvm model"):
        brisque_model(path, ranges=(LEAST, LARGEST))


@given(st.data())
def test_broken_text_is_refused_in_one_way(tmp_path_factory, data):
    text = text_of(*parts(3))
    at = data.draw(st.integers(0, len(text) - 2))
    cut = data.draw(st.integers(0, 60))
    put = data.draw(st.text(alphabet="0123456789.:-e x\n", max_size=4))
    path = tmp_path_factory.mktemp("broken") / "model.txt"
    path.write_text(text[:at] + put + text[at + cut :])
    with contextlib.suppress(DataError, UsageError):
        brisque_model(path, ranges=(LEAST, LARGEST))
