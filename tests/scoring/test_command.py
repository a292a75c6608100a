"""`assay score`: the table, the files, the history, the exit status, and one line for whatever is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from assay.cli import run
from assay.history import History, difference_of_runs

SIZES = [(40, 48)] * 3 + [(56, 40)] * 2
QUIET = ["--measures", "psnr,ssim", "--quiet"]


@pytest.fixture
def sets(write: Any) -> None:
    write("hr", SIZES)
    write("late", SIZES, noise=5)
    write("early", SIZES, noise=12)


def failure(given: list[str], capsys: pytest.CaptureFixture[str], status: int) -> str:
    assert run(["score", *given]) == status
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.usefixtures("sets")
def test_table_and_files(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--csv", "a.csv", "--json", "a.json", "--worst", "2", "--worst-by", "ssim"]
    assert run(["score", "early", "late", "hr", *QUIET, *files]) == 0
    out = capsys.readouterr().out
    assert "target: hr, 5 pairs, matched by name" in out
    assert "measured: all channels of the whole images; values in [0, 1]" in out
    assert "late is better than early by all 2 measures" in out
    assert "worst of early by ssim" in out and out.count("004.png") == 2
    rows = list(csv.DictReader(io.StringIO((home / "a.csv").read_text())))
    assert list(rows[0]) == ["candidate", "restored", "target", "psnr", "ssim"] and len(rows) == 10
    assert [float(row["ssim"]) for row in rows] == sorted(float(row["ssim"]) for row in rows)
    found = json.loads((home / "a.json").read_text())
    assert [m["name"] for m in found["measures"]] == ["psnr", "ssim"] * 2
    assert len(found["pairs"]) == 10 and found["differences"][0]["better"] == "late"
    assert found["settings"]["measured"].startswith("all channels")


@pytest.mark.usefixtures("sets")
def test_the_history_has_it_and_a_difference_over_runs_is_paired(capsys: pytest.CaptureFixture[str]) -> None:
    both = run(["score", "early", "late", "hr", *QUIET, "--json", "both.json"])
    assert (both, run(["score", "early", "hr", *QUIET]), run(["score", "late", "hr", *QUIET])) == (0, 0, 0)
    assert run(["score", "late", "hr", *QUIET, "--luma"]) == 0
    assert run(["score", "late", "hr", *QUIET, "--no-history"]) == 0
    runs = History.at_home().runs()
    assert [r.features for r in runs] == ["pairs, luma", "pairs", "pairs", "pairs"]
    assert [v.name for v in runs[1].values] == ["psnr", "ssim"] and runs[1].real.name == "hr"
    capsys.readouterr()
    assert run(["history", "3"]) == 0
    assert "real: hr, 5 images; features: pairs" in capsys.readouterr().out
    assert run(["diff", "2", "3"]) == 0
    assert "psnr: late is better by" in capsys.readouterr().out
    history = History.at_home()
    later = difference_of_runs(history, history.run(2), history.run(3)).differences[0].estimate
    whole = json.loads(Path("both.json").read_text())["differences"][0]
    assert later.corrected == pytest.approx(whole["corrected"])
    # influences are squared over n, Student's variance over n - 1
    assert later.std_error * (5 / 4) ** 0.5 == pytest.approx(whole["std_error"], rel=1e-4)
    capsys.readouterr()
    assert run(["diff", "3", "4"]) == 1
    assert "the features (pairs and pairs, luma)" in capsys.readouterr().err


@pytest.mark.usefixtures("sets")
def test_fail_if(capsys: pytest.CaptureFixture[str]) -> None:
    usual = ["early", "late", "hr", *QUIET, "--no-history"]
    assert run(["score", *usual, "--fail-if", "psnr < 1"]) == 0
    capsys.readouterr()
    assert run(["score", *usual, "--fail-if", "early: psnr < 90"]) == 3
    assert capsys.readouterr().err.startswith("failed: early: psnr is ")
    line = failure([*usual, "--fail-if", "lpips > 1"], capsys, 2)
    assert "lpips is not measured" in line and "measured are psnr, ssim" in line


@pytest.mark.usefixtures("sets")
def test_names_that_do_not_match(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "late/001.png").rename(home / "late/one.png")
    line = failure(["late", "hr", *QUIET], capsys, 1)
    assert "only in late: one.png; only in hr: 001.png" in line and "--match common" in line
    assert run(["score", "late", "hr", *QUIET, "--match", "common"]) == 0
    out = " ".join(capsys.readouterr().out.split())  # notes are wrapped
    assert "4 pairs, the names that all sets have" in out
    assert "hr: 1 image has no partner of that name in every other set and did not count: 001.png" in out
    assert run(["score", "late", "hr", *QUIET, "--match", "order"]) == 1  # other sizes, now


@pytest.mark.usefixtures("sets")
def test_files_that_cannot_be_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (home / "late/002.png").read_bytes()
    (home / "late/002.png").write_bytes(whole[: len(whole) // 2])
    (home / "hr/004.png").write_bytes(b"no image")
    line = failure(["early", "late", "hr", *QUIET], capsys, 1)
    assert "2 of 15 images cannot be read: late/002.png (truncated), hr/004.png (not an image" in line
    assert "--skip-bad" in line
    assert run(["score", "early", "late", "hr", *QUIET, "--skip-bad", "--json", "a.json"]) == 0
    assert "2 pairs did not count, for all candidates alike" in capsys.readouterr().out.replace("\n  ", " ")
    found = json.loads((home / "a.json").read_text())
    assert {each["target"] for each in found["pairs"]} == {"000.png", "001.png", "003.png"}
    assert all(m["n_x"] == 3 for m in found["measures"])


def test_other_sizes_and_small_images(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write("hr", [(40, 48), (44, 48)])
    write("sr", [(40, 48), (22, 24)], noise=3)
    line = failure(["sr", "hr", *QUIET], capsys, 1)
    assert "sr/001.png is 22 x 24 and hr/001.png 44 x 48 (height x width)" in line and "resize" in line
    write("tiny", [(40, 48), (6, 40)])
    write("made", [(40, 48), (6, 40)], noise=3)
    line = failure(["made", "tiny", *QUIET], capsys, 1)
    assert line.startswith("error: made/001.png (6 x 40 pixels as measured): ssim cannot be had of it: ")


def test_archives_and_wrong_use(write: Any, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("hr", SIZES)
    write("sr", SIZES, noise=5, suffix=".jpg")
    with zipfile.ZipFile("sr.zip", "w") as archive:
        for path in sorted((home / "sr").iterdir()):
            archive.write(path, path.name)
    assert run(["score", "sr.zip", "hr", *QUIET]) == 0
    assert "sr\n" in capsys.readouterr().out
    assert "Missing argument" in failure(["hr"], capsys, 2)
    assert "does not exist" in failure(["nowhere", "hr", *QUIET], capsys, 1)
    assert "--worst-by: lpips is not measured" in failure(
        ["sr", "hr", *QUIET, "--worst-by", "lpips"], capsys, 2
    )
    line = failure(["sr", "hr", *QUIET, "--report", "no/r.html"], capsys, 2)
    assert line.startswith("error: --report no/r.html: the folder no does not exist")


@pytest.mark.usefixtures("sets")
def test_a_reader_that_stops_early_loses_no_file(home: Path) -> None:
    program = "import sys; from assay.cli import main; main(sys.argv[1:])"
    given = ["score", "late", "hr", *QUIET, "--worst", "100", "--csv", "a.csv", "--json", "a.json"]
    read, write = os.pipe()
    os.close(read)  # as `head` does
    with os.fdopen(write, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-c", program, *given], stdout=pipe, stderr=subprocess.PIPE, text=True
        )
    assert "Traceback" not in done.stderr
    assert (home / "a.csv").stat().st_size and json.loads((home / "a.json").read_text())["pairs"]
