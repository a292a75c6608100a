"""The table says what was found, in any width, in plain text."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from assay import Comparison, compare
from assay.comparison import Row
from assay.estimate import Estimate
from assay.report.numbers import decimals, shown, value_and_interval
from assay.report.progress import duration, lines
from assay.report.table import as_text, multiple, print_comparison


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, 0.5 * (low + high), 0.0, 0.1, low, high, 0.95, "m", 10, 10)


@pytest.fixture(scope="module")
def found() -> Comparison:
    g = torch.Generator().manual_seed(0)
    real, a, b = (torch.randn(40, 4, generator=g) + shift for shift in (0.0, 2.0, 0.2))
    return compare(real, {"early [red]x[/red]": a, "late": b}, measures=["fd", "prdc", "vendi"], floor=True)


@pytest.mark.parametrize(
    ("low", "high", "value", "text"),
    [
        (78.7012, 85.6423, 92.6123, ("82.2", "[78.7, 85.6]", "92.6")),
        (0.05076, 0.05981, 0.05529, ("0.0553", "[0.0508, 0.0598]", "0.0553")),
        (12000.0, 14000.0, 14567.0, ("13,000", "[12,000, 14,000]", "14,600")),
        (-0.00076, 0.00020, -0.00028, ("-0.00028", "[-0.00076, 0.00020]", "-0.00028")),
        (1.1e-8, 1.3e-8, 1.2e-8, ("1.20e-08", "[1.10e-08, 1.30e-08]", "1.20e-08")),
        (0.0, 0.0, 0.25, ("0", "[0, 0]", "0.25")),
    ],
)
def test_digits_are_those_the_interval_supports(
    low: float, high: float, value: float, text: tuple[str, ...]
) -> None:
    assert value_and_interval(estimate(value, low, high)) == text


def test_odd_numbers() -> None:
    assert shown(float("nan"), 2) == "n/a"
    assert shown(float("-inf"), 2) == "-inf"
    assert shown(-0.001, 2) == "0.00"
    assert decimals(1.0, float("inf")) is None


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_line_fits_the_width(found: Comparison, width: int) -> None:
    text = as_text(found, width)
    assert max(map(len, text.splitlines())) <= width
    for row in found.rows:
        assert row.name in text
    assert "early [red]x[/red], 40 samples" in text  # a name is a name and never markup
    assert "\x1b" not in text and not set("│─╭┃━|") & set(text)


def test_the_table_says_everything(found: Comparison) -> None:
    text = str(found)
    for part in ("real: real, 40 samples; features: features", "95% interval", "raw", "x floor", "lower is better",
                 "higher is better", "floor: two halves of the real set, 20 each", "real: the value to aim at",
                 "late is better by"):  # fmt: skip
        assert part in text, part
    decided = {d.name: d.better for d in found.differences}
    assert decided["fd[features]"] == "late"
    assert sum("undecided" in line for line in text.splitlines()) == sum(b is None for b in decided.values())


def test_a_terminal_without_unicode_gets_ascii(found: Comparison) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    print_comparison(found, Console(file=stream, width=80, markup=False, highlight=False))
    stream.flush()
    assert b"v lower is better" in raw.getvalue()


def test_html_escapes_what_users_named() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(8, 2, generator=g)
    html = compare(x, {"<script>alert(1)</script>": x + 1}, measures="kd")._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_multiples() -> None:
    def row(times: float | None, how: str | None = "values") -> str:
        return multiple(Row("n", "m", "c", "lower is better", estimate(1, 0, 2), times, how))

    assert [row(3.481), row(12.34), row(504.7), row(0.923), row(None)] == [
        "3.5x",
        "12x",
        "500x",
        "0.92x",
        "-",
    ]
    assert row(477.0, "at least: lower end") == ">480x"


def test_progress_lines_are_few_and_tell_rate_and_time_left() -> None:
    now = [0.0]
    stream = io.StringIO()
    report = lines(stream, lambda: now[0])
    for k in range(200):
        now[0] = 0.1 * k
        report("features of real", 10 * k, 10_000)
    told = stream.getvalue().splitlines()
    assert told == [
        "features of real: 200 of 10,000, 100/s, 1 min 38 s left",
        "features of real: 1,200 of 10,000, 100/s, 1 min 28 s left",
    ]


def test_quick_work_is_silent_and_many_short_passes_are_not() -> None:
    now = [0.0]
    stream = io.StringIO()
    report = lines(stream, lambda: now[0])
    for k in range(19):
        now[0] = 0.1 * k
        report("fd", k, 19)
    assert stream.getvalue() == ""
    for k in range(300):
        now[0] = 2 + 0.1 * k
        report("2 of 3: precision and 3 more of b: nearest neighbours", k % 3, 3)
    assert len(stream.getvalue().splitlines()) == 3


def test_durations() -> None:
    assert [duration(s) for s in (5.2, 200, 7500)] == ["5 s", "3 min 20 s", "2 h 5 min"]
