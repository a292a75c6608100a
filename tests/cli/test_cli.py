"""The command: exit statuses, one line for every failure, output that survives a pipe."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import assay
from assay.cli import run
from assay.commands.targets import writable_target
from assay.errors import UsageError
from assay.version import __version__
from assay.written_whole import write_whole

pytest.importorskip("PIL")


def images(folder: Path, n: int, shift: int = 0, seed: int = 0, side: int = 6) -> Path:
    from PIL import Image

    folder.mkdir(parents=True)
    draws = np.random.default_rng(seed)
    for k in range(n):
        pixels = np.clip(draws.normal(110 + shift, 30, (side, side, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:03}.png")
    return folder


def table(
    path: Path, n: int, d: int = 5, shift: float = 0.0, seed: int = 0, dtype: type = np.float32
) -> Path:
    np.save(path, (np.random.default_rng(seed).normal(shift, 1, (n, d))).astype(dtype))
    return path


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("ASSAY_TRACEBACK", raising=False)
    monkeypatch.setattr("assay.report.progress.QUIET_FOR", 1e9)  # on a busy machine anything may take its 2 s
    return tmp_path


def failing(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> tuple[int, str]:
    """The status, and the one line that says why; nothing else may be printed."""
    status = run(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return status, line


def test_images_from_folder_and_zip_to_table_and_json(
    where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images(where / "real", 40)
    images(where / "early", 30, shift=60, seed=1)
    with zipfile.ZipFile(where / "late.zip", "w") as archive:
        for file in sorted(images(where / "loose", 30, shift=2, seed=2).iterdir()):
            archive.write(file, file.name)
    status = run(["compare", "real/", "early", "late.zip", "--features", "pixels:4", "--measures", "kd, fd",
                  "--seed", "3", "--floor", "--json", "out.json"])  # fmt: skip
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    assert "kd[pixels:4]" in out and "early, 30 images" in out and "late, 30 images" in out
    assert "late is better by" in out and "FID" not in out and "\x1b" not in out
    found = json.loads((where / "out.json").read_text())
    assert [(m["candidate"], m["name"]) for m in found["measures"]] == [
        ("early", "kd[pixels:4]"), ("early", "fd[pixels:4]"), ("late", "kd[pixels:4]"), ("late", "fd[pixels:4]"),
    ]  # fmt: skip
    assert found["settings"]["seed"] == 3 and found["settings"]["fingerprint"]
    assert (found["measures"][0]["n_x"], found["measures"][0]["n_y"]) == (40, 30)


def test_an_option_reaches_the_comparison(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(where / "a.npy", 40)
    table(where / "b.npy", 40, seed=1)
    assert run(["compare", "a.npy", "b.npy", "--measures", "fd", "--level", "0.8", "--paired", "-q"]) == 0
    assert "80% interval" in capsys.readouterr().out
    assert run(["compare", "a.npy", "b.npy", "--measures", "kd", "--floor"]) == 0
    assert "floor: two halves of the real set, 20 each" in capsys.readouterr().out


def test_skip_bad_leaves_out_and_says_so(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images(where / "real", 20)
    images(where / "fake", 20, seed=1)
    (where / "fake" / "003.png").write_bytes((where / "fake" / "003.png").read_bytes()[:60])
    (where / "fake" / "004.png").write_bytes(b"")
    command = ["compare", "real", "fake", "--features", "pixels", "--measures", "kd"]
    status, line = failing(capsys, command)
    assert status == 1
    assert "2 of 20 images" in line and "003.png" in line and "004.png" in line and "--skip-bad" in line
    assert run([*command, "--skip-bad"]) == 0
    out = capsys.readouterr().out
    assert "fake, 18 images" in out
    assert "fake: 2 of 20 images cannot be read and were left out: '003.png'" in " ".join(out.split())
    # of pairs both sides go
    assert run([*command, "--skip-bad", "--paired"]) == 0
    assert "real: real, 18 images" in capsys.readouterr().out


def test_data_that_cannot_be_measured_is_status_1(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = str(table(where / "good.npy", 40))
    (where / "empty").mkdir()
    (where / "notes").mkdir()
    (where / "notes" / "readme.txt").write_text("no image")
    (where / "not.zip").write_bytes(b"PK but no zip")
    images(where / "real", 20)
    images(where / "liar", 20, seed=1)
    (where / "liar" / "000.png").write_bytes(b"GIF89a" + bytes(40))
    nan = np.load(good)
    nan[3, 1] = np.nan
    np.save(where / "nan.npy", nan)
    np.save(where / "objects.npy", np.array([{"a": 1}] * 5, dtype=object), allow_pickle=True)
    (where / "pickled.npy").write_bytes(pickle.dumps([1.0, 2.0]))
    (where / "cut.npy").write_bytes(Path(good).read_bytes()[:200])
    (where / "cut.safetensors").write_bytes(b"\x10\x00")
    table(where / "wide.npy", 40, d=7)
    table(where / "few.npy", 11)
    np.save(where / "whole.npy", np.ones((4, 5), dtype=np.int64))
    pixels = ["--features", "pixels", "--measures", "kd"]
    for arguments, words in [
        (["missing", "real"], ["missing does not exist"]),
        (["real", "missing.npy", *pixels], ["missing.npy", "not a file that exists"]),
        (["real", "empty", *pixels], ["empty is empty"]),
        (["real", "notes", *pixels], ["no images", ".txt"]),
        (["real", "not.zip", *pixels], ["not.zip is not a zip"]),
        (["real", "liar", *pixels], ["1 of 20 images", "000.png"]),
        ([good, "nan.npy"], ["nan.npy has NaN", "1 of 40 rows", " 3;"]),
        ([good, "objects.npy"], ["objects.npy", "Python objects", "unpickled"]),
        ([good, "pickled.npy"], ["pickled.npy is not a whole .npy file"]),
        ([good, "cut.npy"], ["cut.npy is not a whole .npy file"]),
        ([good, "cut.safetensors"], ["cut.safetensors"]),
        ([good, "whole.npy"], ["must be floating-point features, not int64"]),
        ([good, "wide.npy"], ["good has 5 features and wide 7"]),
        ([good, "few.npy"], ["precision needs at least 12 samples", "few has 11"]),
        ([good, "real", *pixels], ["good is in the feature space 'features' and real in 'pixels'"]),
    ]:
        status, line = failing(capsys, ["compare", *arguments])
        assert status == 1, line
        for word in words:
            assert word in line


def test_wrong_use_is_status_2(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = str(table(where / "good.npy", 40))
    images(where / "real", 4)
    (where / "a.txt").write_text("x")
    for arguments, words in [
        (["compare", good, good, "--measures", "fd,precison"], ["unknown measure 'precison'", "'precision'"]),
        (["compare", good, good, "--measures", ","], ["measures: none given"]),
        (["compare", "real", "real", "--features", "efficientnet-light0"], ["efficientnet-lite0"]),
        (["compare", good, "a.txt"], ["a.txt is a file of a kind that is not read"]),
        (["compare", good, good, "--level", "2"], ["level: expected a number between 0 and 1"]),
        (["compare", good, good, "--measures", "is"], ["is needs class probabilities"]),
        (["compare", good, good, "--device", "gpu"], ["unknown device 'gpu'"]),
        (
            ["compare", "real", "real", "--features", "pixels", "--batch-size", "0"],
            ["batch_size must be at least 1"],
        ),
        (["compare", good, good, "--json", "no/such/out.json"], ["--json", "does not exist"]),
        (["compare", good, good, "--json", "real"], ["--json", "is a folder"]),
        (["compare", good], ["Missing argument"]),
        (["compare", good, good, "--mesures", "fd"], ["--mesures"]),
        (["compare", good, good, "--seed", "x"], ["--seed", "valid integer"]),
        (["comparr"], ["comparr"]),
        ([], ["Missing command"]),
    ]:
        status, line = failing(capsys, arguments)
        assert status == 2, line
        for word in words:
            assert word in line


def test_version_and_help(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"assay {__version__}\n"
    assert run(["compare", "--help"]) == 0
    # FORCE_COLOR and the machines of CI services ask for colours
    out = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    for option in ("--features", "--measures", "--seed", "--json", "--floor", "--paired", "--level", "--skip-bad",
                   "--batch-size", "--workers", "--device", "--quiet"):  # fmt: skip
        assert option in out


def test_a_missing_package_names_its_extra(
    where: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    status, line = failing(capsys, ["--version"])
    assert (status, "assay[cli]" in line) == (2, True)


def test_what_nobody_foresaw_is_one_line_too(
    where: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = str(table(where / "good.npy", 40))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("assay.comparing.study.estimate_all", broken)
    status, line = failing(capsys, ["compare", good, good])
    assert (status, "RuntimeError: two lines" in line) == (1, True)
    monkeypatch.setenv("ASSAY_TRACEBACK", "1")
    assert run(["compare", good, good]) == 1
    assert "Traceback" in capsys.readouterr().err


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own, ended with the block."""
    source = str(Path(assay.__file__).parents[1])
    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ASSAY_TRACEBACK": "", "PYTHONPATH": path}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(
        [sys.executable, "-m", "assay", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def test_the_whole_command_in_a_pipe(where: Path) -> None:
    table(where / "a.npy", 40)
    table(where / "b.npy", 40, shift=1, seed=1)
    with command("compare", "a.npy", "b.npy", "--quiet") as process:
        out, err = process.communicate(timeout=600)
    assert (process.returncode, err) == (0, "")
    assert "fd[features]" in out and "\x1b" not in out
    assert all(line == line.rstrip() and len(line) <= 100 for line in out.splitlines())


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent another way there")
def test_ctrl_c_is_one_line_and_130(where: Path) -> None:
    """A minute of work, of which no more is done than its first line needs."""
    table(where / "a.npy", 60_000, d=64)
    table(where / "b.npy", 60_000, d=64, seed=1)
    with command("compare", "a.npy", "b.npy", "--measures", "prdc", "--json", "out.json") as process:
        assert process.stderr is not None
        # by this line Python is past its imports, and the work is far from done
        first = process.stderr.readline()
        assert first.startswith("1 of 1: precision and 3 more of all candidates")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "error: stopped by Ctrl-C" and "Traceback" not in err
    assert sorted(p.name for p in where.iterdir()) == ["a.npy", "b.npy"]


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
     torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")],
    ids=["python", "cpu", "cuda"],
)  # fmt: skip
def test_out_of_memory_is_no_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("assay.cli._run", fail)
    from assay.cli import run

    assert run([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: out of memory") and "bug" not in said


@pytest.mark.parametrize("path", ["/dev/full", "/dev/stdout"])
def test_devices_are_not_written_over(path: str) -> None:
    """A file is written beside its place and renamed to it: as root that would replace the device."""
    with pytest.raises(UsageError, match=r"--csv .*device or pipe"):
        writable_target(path, "--csv")


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "table.csv")
    write_whole(tmp_path / "link.csv", b"1")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "table.csv").read_bytes() == b"1"
