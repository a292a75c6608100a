"""The JSON file holds the whole comparison and is written whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from assay import Comparison, DataError


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
