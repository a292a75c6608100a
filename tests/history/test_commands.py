"""`assay history`, `assay diff` and what `assay compare` adds to them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from assay.cli import run


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("ASSAY_TRACEBACK", raising=False)
    monkeypatch.setattr("assay.report.progress.QUIET_FOR", 1e9)
    draws = np.random.default_rng(0)
    for name, shift, n in (
        ("real", 0.0, 90), ("step-10k", 1.0, 80), ("step-20k", 0.5, 80), ("step-40k", 0.4, 80), ("fewer", 0.4, 60),
    ):  # fmt: skip
        np.save(f"{name}.npy", draws.normal(shift, 1, (n, 4)).astype(np.float32))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """What the command prints, with the status that is expected; its one line on stderr where it fails."""
    capsys.readouterr()
    found = run(arguments)
    out, err = capsys.readouterr()
    assert found == status, err
    if status:
        assert len(err.splitlines()) == 1
        return err
    assert err == ""
    return out


def compare(capsys: pytest.CaptureFixture[str], *candidates: str, measures: str = "fd,kd") -> str:
    return said(capsys, "compare", "real.npy", *candidates, "--measures", measures)


def test_a_run_is_listed_and_its_table_printed_again(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing yet" in said(capsys, "history")
    first = compare(capsys, "step-10k.npy", "step-20k.npy")
    said(capsys, "compare", "real.npy", "step-40k.npy", "--measures", "fd", "--no-history")
    second = compare(capsys, "step-40k.npy", measures="fd")
    listed = said(capsys, "history").splitlines()
    assert listed[0].split() == ["run", "when", "(UTC)", "real", "candidate", "features", "values"]
    assert [line.split()[0] for line in listed[1:]] == ["2", "1", "step-20k"]
    assert "step-40k" in listed[1] and "fd " in listed[1] and "kd " in listed[2]
    assert all(line == line.rstrip() for line in listed)
    for number, table in (("1", first), ("2", second), ("last", second)):
        head, again = said(capsys, "history", number).split("\n", 1)
        assert again == table and ": assay compare real.npy step-" in head
    assert len(said(capsys, "history", "--last", "1").splitlines()) == 2
    assert len(said(capsys, "history", "--candidate", "20k", "--since", "1h").splitlines()) == 2
    assert "no run is like that" in said(capsys, "history", "--real", "nobody")


def test_what_is_said_of_samples_is_printed_again(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = said(capsys, "compare", "real.npy", "step-10k.npy", "--measures", "fd", "--explain")
    assert "what makes step-10k" in table
    assert said(capsys, "history", "1").split("\n", 1)[1] == table


def test_values_are_exported_and_drawn(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("step-20k.npy", "step-10k.npy"):
        compare(capsys, name)
    assert (
        said(capsys, "history", "--export", "all.json", "--measure", "kd") == "all.json: 2 values of 2 runs\n"
    )
    assert [row["candidate"] for row in json.loads(Path("all.json").read_text())] == ["step-10k", "step-20k"]
    drawn = said(capsys, "history", "--plot", "fd").splitlines()
    assert drawn[0] == "fd[features], lower is better; against real"
    assert sum(line.count("\u25cf") for line in drawn) == 2 and "10k" in drawn[-2] and "20k" in drawn[-2]
    assert (
        said(capsys, "history", "--plot", "fd", "--plot-file", "x.svg") == "x.svg: 2 values of fd[features]\n"
    )
    ElementTree.parse("x.svg")


def test_runs_are_forgotten_after_saying_which(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(capsys, "step-10k.npy")
    compare(capsys, "step-20k.npy")
    would = said(capsys, "history", "--forget", "1", "--dry-run")
    assert "run 1, " in would and "real against step-10k: would be forgotten, 2 values" in would
    assert len(said(capsys, "history").splitlines()) == 3
    assert "real against step-10k: forgotten, 2 values" in said(capsys, "history", "--forget", "1")
    assert len(said(capsys, "history").splitlines()) == 2
    assert "no run 1: the newest is 2" in said(capsys, "history", "1", status=2)


def test_diff_says_which_is_better(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(capsys, "step-10k.npy", "step-20k.npy")
    compare(capsys, "step-40k.npy", measures="fd,kd,coverage")
    both = compare(capsys, "step-10k.npy", "step-40k.npy", measures="fd,kd")
    lines = said(capsys, "diff", "1:step-10k", "2").splitlines()
    assert lines[0].startswith("fd[features]: step-40k is better by ") and lines[0] in both
    assert lines[1].startswith("kd[features]: step-40k is better by ") and lines[1] in both
    assert lines[2] == "coverage[features]: not compared: run 1 has no such value"
    assert lines[3] == "95% intervals of step-40k minus step-10k, against real"
    same = said(
        capsys, "diff", "1", "2", "--candidate", "step-20k", "--candidate", "step-40k", "--level", "0.9"
    )
    assert "undecided; step-40k minus step-20k is " in same and "90% intervals" in same
    assert "run 1 has 2 candidates" in said(capsys, "diff", "1", "2", status=2)
    compare(capsys, "fewer.npy", measures="coverage")
    assert "80 and 60 samples" in said(capsys, "diff", "2", "last", status=1)
    said(capsys, "compare", "step-10k.npy", "fewer.npy", "--measures", "fd")
    assert "the real set (real, content " in said(capsys, "diff", "2", "last", status=1)


def test_a_condition_that_holds_is_status_3_after_the_table(
    where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = ["compare", "real.npy", "step-10k.npy", "step-20k.npy", "--measures", "fd"]
    assert run([*usual, "--fail-if", "fd > 2.5", "--fail-if", "step-20k: fd > 1e6"]) == 3
    out, err = capsys.readouterr()
    assert "step-20k is better by" in out
    assert err.startswith("failed: step-10k: fd[features] is ") and err.endswith("(fd > 2.5)\n")
    assert err.count("\n") == 1 and "step-20k" not in err
    assert "fd" in said(capsys, "history")  # it is in the history all the same
    assert said(capsys, *usual, "--fail-if", "fd > 1e6")
    value = json.loads(said_json(capsys, usual))["measures"][0]
    between = (value["low"] + value["corrected"]) / 2
    assert run([*usual, "--fail-if", f"step-10k: fd > {between}"]) == 3
    assert said(capsys, *usual, "--fail-if", f"step-10k: fd > {between}", "--fail-on", "interval")


def said_json(capsys: pytest.CaptureFixture[str], usual: list[str]) -> str:
    said(capsys, *usual, "--json", "out.json")
    return Path("out.json").read_text()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ["compare", "missing.npy", "x.npy", "--fail-if", "fdd > 1"],
            "fdd is not measured (did you mean 'fd'?)",
        ),
        (["compare", "missing.npy", "x.npy", "--fail-if", "vendi > 1"], "vendi is not measured"),
        (["compare", "missing.npy", "x.npy", "--fail-if", "y: fd > 1"], "no candidate is called 'y'"),
        (["compare", "missing.npy", "x.npy", "--fail-if", "fd = 1"], "expected a measure"),
        (["compare", "missing.npy", "x.npy", "--fail-on", "value"], "say what is to fail"),
        (
            ["compare", "missing.npy", "x.npy", "--fail-if", "fd > 1", "--fail-on", "mean"],
            "expected value or interval",
        ),
        (
            ["compare", "missing.npy", "x.npy", "--protocol", "fid", "--fail-if", "KID > 1"],
            "measured are fd, FID",
        ),
        (["history", "twelve"], "expected the number of a run"),
        (["history", "--dry-run"], "only with --forget"),
        (["history", "--forget", "1", "--real", "x"], "no other option but --dry-run"),
        (["history", "--plot-file", "x.svg"], "say which measure"),
        (["history", "--plot", "fd", "--plot-file", "x.png"], "expected a name that ends in .svg"),
        (["history", "--export", "x.xlsx"], "expected a name that ends in .csv"),
        (["history", "--export", "nowhere/x.csv"], "the folder nowhere does not exist"),
        (["history", "--since", "then"], "expected a date"),
        (["history", "5"], "the history has no run 5: it is empty"),
        (["diff", "1", "2"], "the history has no run 1: it is empty"),
        (["diff", "1", "2", "--level", "2"], "between 0 and 1"),
    ],
)
def test_wrong_use_is_refused_before_any_work(
    where: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert words in said(capsys, *arguments, status=2)


@pytest.mark.filterwarnings("default")
def test_a_comparison_outlives_its_history(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(capsys, "step-10k.npy")
    connection = sqlite3.connect(where / "home" / "history.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert run(["compare", "real.npy", "step-20k.npy", "--measures", "fd"]) == 0
    out, err = capsys.readouterr()
    assert "fd[features]" in out
    (line,) = err.splitlines()
    assert line.startswith("warning: this comparison is not in the history: ") and "version 99" in line
    assert "is of version 99" in said(capsys, "history", status=1)
