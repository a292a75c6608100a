"""What is drawn, listed and exported, and that names from outside stay text."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree

import pytest

from assay.errors import DataError, UsageError
from assay.estimate import Estimate
from assay.history.axis import shown, ticks
from assay.history.export import COLUMNS, export, refuse_format
from assay.history.listing import Wanted, listed_rows, since
from assay.history.series import curves, family_and_number
from assay.history.stored import Run, StoredInput, StoredValue
from assay.history.svg_drawing import svg_drawing
from assay.history.text_drawing import ASCII, text_drawing


def a_run(number: int, values: dict[str, float], real: str = "real", features: str = "pixels:4") -> Run:
    def value(key: int, name: str, measure: str, candidate: str, size: float) -> StoredValue:
        e = Estimate(size + 1, size, 1, 0.5, size - 1, size + 1, 0.95, "influences", 40.0, 30.0)
        return StoredValue(key, f"{name}[{features}]", measure, candidate, "lower is better", None, e)

    return Run(
        id=number,
        time=f"2026-11-{number:02}T05:45:40Z",
        command=("assay", "compare", real, *values),
        features=features,
        fingerprint=None,
        protocol=None,
        seed=0,
        level=0.95,
        paired=False,
        versions={"assay": "0.1.0"},
        inputs=(
            StoredInput("real", real, "", f"content of {real}", 40),
            *(StoredInput("candidate", name, "", name, 30) for name in values),
        ),
        values=tuple(
            value(10 * number + k, short, full, name, size / scale)
            for k, (name, size) in enumerate(values.items())
            for short, full, scale in (("fd", "frechet_distance", 1), ("kd", "kernel_distance", 10))
        ),
    )


def test_checkpoints_stand_at_the_number_in_their_names() -> None:
    assert family_and_number("step-10k") == ("step-#", 10_000)
    assert family_and_number("run2/epoch=3.5.ema") == ("run2/epoch=#.ema", 3.5)
    assert family_and_number("late") == ("late", None)
    assert family_and_number("64px-2M") == ("64px-#", 2e6)


def test_curves_take_the_newest_value_of_each_checkpoint_and_one_axis_only() -> None:
    runs = [
        a_run(4, {"step-20k": 5.0, "ema-20k": 4.0}),
        a_run(3, {"step-30k": 1.0}, real="another"),
        a_run(2, {"step-20k": 99.0, "step-3k": 9.0}),
        a_run(1, {"step-9k": 7.0}, features="pixels:8"),
    ]
    found = curves(runs, "fd")
    assert (found.name, found.real, found.left_out) == ("fd[pixels:4]", "real", 2)
    assert [(s.name, [(p.x, p.value, p.run) for p in s.points]) for s in found.series] == [
        ("ema-#", [(20_000, 4.0, 4)]),
        ("step-#", [(3_000, 9.0, 2), (20_000, 5.0, 4)]),
    ]
    (only,) = curves(runs, "frechet_distance", candidate="ema").series
    assert [p.candidate for p in only.points] == ["ema-20k"]
    with pytest.raises(DataError, match="no run here has the measure 'fid'; there are fd, kd"):
        curves(runs, "fid")


def test_one_name_night_after_night_goes_in_the_order_of_runs() -> None:
    found = curves([a_run(9, {"samples-v2": 1.0}), a_run(5, {"samples-v2": 3.0})], "kd")
    assert [(p.x, p.value, p.run) for p in found.series[0].points] == [(1, 0.3, 5), (2, 0.1, 9)]
    assert found.x == "runs, in their order"


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.13, 0.42, [0.2, 0.3, 0.4]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round_and_within(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_numbers_on_an_axis_are_short() -> None:
    assert [shown(x) for x in (0, 10_000, 2.5e6, 0.04, 12)] == ["0", "10k", "2.5M", "0.04", "12"]


def test_the_drawing_has_higher_values_higher_and_later_ones_further_right() -> None:
    found = curves([a_run(1, {"step-1k": 9.0, "step-2k": 5.0, "step-4k": 2.0})], "fd")
    lines = text_drawing(found, 60, ASCII)
    assert lines[0] == "fd[pixels:4], lower is better; against real" and max(map(len, lines)) <= 60
    marks = [(row, line.index("o")) for row, line in enumerate(lines[1:17]) if "o" in line[3:]]
    assert len(marks) == 3 and sorted(marks) == sorted(marks, key=lambda m: m[1])
    for row, column in marks:  # each stands on a bar that ends above and below it
        assert lines[row][column] in "|-" and lines[row + 2][column] in "|-"
    axis = lines[18]
    at = {tick: axis.index(tick) for tick in ("1k", "2k", "4k")}
    assert at["4k"] - at["2k"] == pytest.approx(2 * (at["2k"] - at["1k"]), abs=2)


def test_a_single_value_is_drawn_too() -> None:
    found = curves([a_run(1, {"late": 0.0})], "fd")
    assert any("o" in line[5:] for line in text_drawing(found, 40, ASCII)[1:17])
    ElementTree.fromstring(svg_drawing(found))


def test_the_svg_is_xml_that_says_what_it_shows_and_runs_nothing() -> None:
    name = "<script>alert(1)</script>&\"'\x01-"
    found = curves([a_run(1, {f"{name}{k}": float(k) for k in (1, 2, 3)}, real="<img src=x>")], "fd")
    text = svg_drawing(found)
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert not root.findall(f".//{space}script") and not root.findall(f".//{space}img")
    circles = root.findall(f".//{space}circle")
    assert len(circles) == 3
    heights = [float(circle.get("cy") or 0) for circle in circles]
    assert heights == sorted(heights, reverse=True)  # larger values stand higher
    assert "<script>alert(1)</script>&\"'\ufffd-1, run 1: 1 [0, 2]" in (circles[0][0].text or "")


def test_runs_are_chosen_by_what_they_hold() -> None:
    runs = [
        a_run(3, {"late": 1.0}),
        a_run(2, {"early": 2.0}, real="other"),
        a_run(1, {"late": 3.0, "early": 4.0}),
    ]
    assert [r.id for r in Wanted(real="oth").of(runs)] == [2]
    assert [(r.id, {v.candidate for v in r.values}) for r in Wanted(candidate="lat").of(runs)] == [
        (3, {"late"}), (1, {"late"}),
    ]  # fmt: skip
    assert [r.id for r in Wanted(last=2).of(runs)] == [3, 2]
    assert [r.id for r in Wanted(since="2026-11-02T00:00:00Z").of(runs)] == [3, 2]
    assert [r.id for r in Wanted(features="pixels:8").of(runs)] == []
    assert [v.name for r in Wanted(measure="kernel_distance").of(runs) for v in r.values] == [
        "kd[pixels:4]"
    ] * 4
    assert listed_rows(Wanted(measure="fd").of(runs))[2:] == [
        ("1", "2026-11-01 05:45", "real", "late", "pixels:4", "fd 3.0"),
        ("", "", "", "early", "", "fd 4.0"),
    ]


def test_since_takes_dates_times_and_ages() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
    assert since("2026-11-20") == "2026-11-20T00:00:00Z"
    assert since("2026-11-20T05:45+02:00") == "2026-11-20T03:45:00Z"
    assert since("2026-11-20T05:45Z") == "2026-11-20T05:45:00Z"
    assert since("36h", now) == "2026-11-21T00:00:00Z"
    assert since("1w", now) == "2026-11-15T12:00:00Z"
    assert since("0999-01-02") == "0999-01-02T00:00:00Z"
    for wrong in ("yesterday", "9999999999d", "2026-13-01", "0001-01-01T00:00+05:00"):
        with pytest.raises(UsageError, match="--since: expected a date such as"):
            since(wrong)


def test_values_without_a_finite_interval_are_not_drawn() -> None:
    runs = [a_run(2, {"step-2": float("inf"), "step-3": 2.0}), a_run(1, {"step-1": 1.0})]
    found = curves(runs, "fd")
    assert [p.candidate for one in found.series for p in one.points] == ["step-1", "step-3"]
    assert found.left_out == 1 and svg_drawing(found) and text_drawing(found, 80)


def test_exports_hold_the_same_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    runs = [a_run(2, {"late": float("nan"), "early": 2.0}), a_run(1, {"late": 3.0})]
    files = {suffix: str(tmp_path / f"values.{suffix}") for suffix in ("csv", "json", "parquet")}
    assert [export(runs, file) for file in files.values()] == [6] * 3
    in_json = json.loads(Path(files["json"]).read_text())
    assert parquet.read_table(files["parquet"]).to_pylist() == in_json
    with open(files["csv"], newline="") as file:
        in_csv = list(csv.DictReader(file))
    assert list(in_csv[0]) == list(in_json[0]) == list(COLUMNS)
    assert [row["corrected"] for row in in_csv] == ["", "", "2.0", "0.2", "3.0", "0.3"]
    assert in_json[0]["value"] is None and in_json[5]["name"] == "kd[pixels:4]"


def test_a_name_that_a_spreadsheet_would_run_is_quoted(tmp_path: Path) -> None:
    bad = ["=cmd|' /C calc'!A0", "+1", "-2", "@sum(a)", "\t=1", "fine"]
    file = tmp_path / "values.csv"
    export([a_run(1, dict.fromkeys(bad, -5.0), real="=real")], str(file))
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["candidate"] for row in rows[::2]] == [f"'{name}" for name in bad[:-1]] + ["fine"]
    assert rows[0]["real"] == "'=real" and rows[0]["corrected"] == "-5.0"  # numbers stay numbers


def test_other_formats_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"--export values.xlsx: expected a name that ends in .csv, .json, .parquet"
    ):
        refuse_format("values.xlsx")
