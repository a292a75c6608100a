"""The table of protocols: every row can be built, and a name is given only where all it fixes holds."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path

import pytest

from assay.errors import UsageError
from assay.features import get_extractor, inception, protocols, vgg
from assay.features.protocols import (
    PROTOCOLS,
    Printed,
    Protocol,
    expected_name,
    get_protocol,
    unmet,
)
from assay.features.resize import RESIZES
from assay.features.weights import WeightFile

ASKED_FOR = {"fid", "clean-fid", "adm", "kid", "cmmd", "fd-dinov2", "precision-recall-vgg"}
LOCAL = [row for row in PROTOCOLS.values() if row.extractor in ("inception", "vgg16")]


def protocol_extractor(row, *, device, weights=None):
    """The extractor that a row asks for."""
    return get_extractor(row.extractor, device=device, crop=row.crop, resize=row.resize, weights=weights)


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """Published files, as far as a name can tell; the network itself is never built."""

    def find(name, file=None):
        return WeightFile(tmp_path / name, "ab" * 32, published=file is None)

    monkeypatch.setattr(inception, "find_weights", find)
    monkeypatch.setattr(vgg, "find_weights", find)


def test_the_published_names_are_there():
    assert set(PROTOCOLS) >= ASKED_FOR
    printed = {p.name for row in PROTOCOLS.values() for p in row.printed}
    assert printed >= {"FID", "clean-FID", "sFID", "IS", "KID", "CMMD", "FD_DINOv2", "Precision", "Recall"}
    for row in PROTOCOLS.values():
        assert "arXiv:" in row.source and "github.com/" in row.source and row.real > 0 and row.generated > 0


def test_rows_cannot_be_changed():
    row = get_protocol("adm")
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.real = 1
    with pytest.raises(TypeError):
        row.printed[0].options["splits"] = 1
    with pytest.raises(TypeError):
        PROTOCOLS["mine"] = row


def test_options_are_those_of_the_measures():
    """What a row asks for is an argument of the measure or published computation of that name."""
    from assay.measure_by_name import SHORT
    from assay.sets import cmmd
    from assay.sets import protocols as published

    for printed in (p for row in PROTOCOLS.values() for p in row.printed):
        there = getattr(published, printed.measure, None) or {**SHORT, "cmmd": cmmd}[printed.measure]
        taken = inspect.signature(there).parameters if inspect.isfunction(there) else there.options
        assert set(printed.options) <= set(taken), printed


@pytest.mark.parametrize("row", LOCAL, ids=lambda row: row.name)
def test_the_name_of_a_rows_extractor_is_the_expected_one(row, weights):
    built = protocol_extractor(row, device="cpu")
    assert built.name == expected_name(row)
    assert protocol_extractor(row, device="cpu", weights="mine.pth").name != expected_name(row)


def test_a_name_is_given_where_all_holds(weights):
    row = get_protocol("adm")
    name = protocol_extractor(row, device="cpu").name
    assert unmet(row, n_real=10_000, n_generated=50_000, extractor=name) == ()
    assert unmet(row, n_real=1_281_167, n_generated=60_000, extractor=name) == ()


def test_what_does_not_hold_is_said(weights):
    row = get_protocol("fid")
    name = protocol_extractor(row, device="cpu").name
    assert unmet(row, n_real=9_999, n_generated=50_000, extractor=name) == (
        "9,999 real images, the protocol asks for 10,000",
    )
    assert unmet(row, n_real=10_000, n_generated=5_000, extractor=name) == (
        "5,000 generated images, the protocol asks for 50,000",
    )
    others = [
        protocol_extractor(row, device="cpu", weights="mine.pth").name,
        protocol_extractor(get_protocol("clean-fid"), device="cpu").name,
        f"{name}@64",
        "efficientnet-lite0",
    ]
    for other in others:
        (said,) = unmet(row, n_real=10_000, n_generated=50_000, extractor=other)
        assert said == f"features of {other}, the protocol asks for inception[legacy-tensorflow]"
    assert len(unmet(row, n_real=1, n_generated=1, extractor="pixels")) == 3


def test_other_weights_than_the_originals_never_get_the_name(weights):
    row = get_protocol("precision-recall-vgg")
    (said,) = unmet(row, n_real=50_000, n_generated=50_000, extractor=expected_name(row))
    assert "torchvision's weights" in said


def test_the_page_names_every_row_and_resize():
    page = Path(__file__).parents[2] / "docs" / "protocols.md"
    text = page.read_text()
    for row in PROTOCOLS.values():
        line = next(line for line in text.splitlines() if line.startswith(f"| `{row.name}` |"))
        assert all(printed.name in line for printed in row.printed)
        assert f"{row.real:,} and {row.generated:,}" in line
        assert row.extractor not in ("inception", "vgg16") or f"`{row.resize}`" in line
    assert all(f"`{name}`" in text for name in RESIZES)


def test_measured_differences_to_the_originals_are_float32s():
    rows = json.loads((Path(__file__).parents[2] / "docs" / "protocols.json").read_text())
    compared = [row for row in rows if "peer" in row]
    assert {row["peer"] for row in compared} == {"pytorch-fid", "torch-fidelity", "clean-fid"}
    assert all(row["difference"] < 1e-5 and row["features"] < 1e-5 for row in compared)


def test_an_unknown_protocol_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="unknown protocol 'cleanfid': did you mean clean-fid"):
        get_protocol("cleanfid")


def test_a_row_of_ones_own_is_a_row():
    row = Protocol("mine", "pixels:8", (Printed("FD8", "fd"),), 2, 2, "arXiv:0; github.com/me")
    extractor = protocol_extractor(row, device="cpu")
    assert unmet(row, n_real=2, n_generated=2, extractor=extractor.name) == ()
    assert protocols.expected_name(row) == "pixels:8"
