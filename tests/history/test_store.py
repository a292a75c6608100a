"""What was compared comes back whole from the file, and what is forgotten is gone."""

from __future__ import annotations

import math
import sqlite3
import sys
from datetime import datetime, timezone, tzinfo

import pytest
import torch

import assay
from assay.errors import UsageError
from assay.history import History
from assay.history.record import as_text, from_text

from .remembered import REAL, compared


class LeapDay(datetime):
    """The clock of a machine, whatever the real one says."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime(2024, 2, 29, 23, 59, 59, 900_000, timezone.utc).astimezone(tz)


def test_a_run_says_what_was_compared_how_and_when(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["assay.history.remember"], "datetime", LeapDay)
        found = compared(0.5)
    run = history.run("last")
    assert (run.id, run.features, run.protocol, run.seed, run.level, run.paired) == (
        1, "features", None, 0, 0.95, False,
    )  # fmt: skip
    assert run.time == "2024-02-29T23:59:59Z"
    assert run.versions["torch"] == torch.__version__
    assert [(i.role, i.name, i.n) for i in run.inputs] == [("real", "real", 60), ("candidate", "late", 60)]
    assert run.real.content != run.candidates[0].content
    (value,) = run.values
    for part in ("value", "corrected", "std_error", "low", "high", "n_x", "n_y", "method"):
        assert getattr(value.estimate, part) == getattr(found.rows[0].estimate, part)
    compared(0.5)
    assert history.run(2).candidates[0].content == run.candidates[0].content


def test_the_whole_comparison_comes_back(history: History) -> None:
    labels = {"real": [0, 1] * 30, "a": [0, 1] * 30, "b": [1, 0] * 30}
    found = assay.compare(
        REAL, {"a": REAL + 0.1, "b": REAL.flip(0)}, measures=["fd", "vendi"], floor=True, classes=labels
    )  # fmt: skip
    back = from_text(as_text(found))
    assert back == found
    assert str(back) == str(found)


def test_what_is_no_number_comes_back_as_none(history: History) -> None:
    from dataclasses import replace

    from assay.history import remember

    found = compared()
    row = found.rows[0]
    broken = replace(row, estimate=replace(row.estimate, value=math.nan, low=-math.inf))
    assert remember(replace(found, rows=(broken,)), {}, {}) == 2
    estimate = history.run(2).values[0].estimate
    assert math.isnan(estimate.value) and estimate.low == -math.inf
    assert math.isnan(history.comparison(2)[0].rows[0].estimate.value)


def test_python_adds_nothing_unless_it_is_asked_to(history: History) -> None:
    assay.compare(REAL, REAL + 1, measures="fd")
    assert history.runs() == [] and not history.path.exists()


def test_forgetting_a_run_leaves_nothing_of_it_and_its_number_does_not_come_back(history: History) -> None:
    compared()
    compared(1)
    history.forget(2)
    with pytest.raises(UsageError, match="no run 2: the newest is 1"):
        history.run(2)
    connection = sqlite3.connect(history.path)
    counts = [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("run", "input", "value", "kept", "influence")
    ]
    connection.close()
    assert counts == [1, 2, 1, 1, 1]
    compared(2)
    assert history.run("last").id == 3


def test_an_empty_file_and_no_file_are_an_empty_history(history: History) -> None:
    with pytest.raises(UsageError, match="no run last: it is empty"):
        history.run("last")
    history.path.parent.mkdir()
    history.path.touch()
    assert history.runs() == []
    compared()
    assert len(history.runs()) == 1
