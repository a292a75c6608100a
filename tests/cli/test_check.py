"""`assay check`: a sound measure passes, a broken one is caught by the law it breaks."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from assay import UsageError
from assay.check import check_measure, load_measure, verdict_line
from assay.cli import run
from assay.laws import LawBroken, draw_inputs, symmetric

OWN = '''
import torch
from assay import batch_objective, joint, measure, pair_measure
from assay.laws import symmetric
from assay.pair_laws import symmetric_pairs
from assay.statistics import Moments, Samples

NO_COMPILER = {"compiled_agrees": "left out to be quick, as it takes seconds"}


@measure(statistic=Moments, best="min", reference="here", laws=[symmetric], exceptions=NO_COMPILER)
def shift(x: Moments, y: Moments):
    """How far the means are apart."""
    return (x.mean - y.mean).square().sum()


@measure(statistic=Moments, best="min", reference="here", laws=[symmetric], exceptions=NO_COMPILER)
def lopsided(x: Moments, y: Moments):
    """Declared symmetric, and it is not."""
    return (x.mean - 2 * y.mean).square().sum()


@measure(statistic=Samples, best="min", reference="here", exceptions=NO_COMPILER)
def crashing(y: Samples):
    """Fails from 13 samples on."""
    if len(y.features) > 12:
        raise RuntimeError("boom")
    return (y.counts @ y.features.double()).square().sum() / y.weight**2


both = joint(shift, lopsided)


@pair_measure(domain="embeddings", best="min", reference="here", laws=[symmetric_pairs], exceptions=NO_COMPILER)
def squared(x, y):
    """Keeps its laws."""
    return (x - y).square().sum(1)


@pair_measure(domain="embeddings", best="min", reference="here", exceptions=NO_COMPILER)
def neighbourly(x, y):
    """A pair's value depends on the batch."""
    return (x - y.mean(0)).square().sum(1)


@pair_measure(domain="any", best="min", reference="here")
def anything(x, y):
    """Members that only its author can draw."""
    return (x - y).flatten(1).sum(1)


@batch_objective(best="min", samples=("a", "b"), reference="here")
def apart(a, b):
    """Keeps its laws."""
    return (a - b).square().sum(1).mean() + (a @ b.T).square().mean()


@batch_objective(best="min", samples=("a",), reference="here")
def ordered(a):
    """Depends on the order of the rows."""
    return a[0].sum() * 1.0


def plain(x, y):
    return 0
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the current folder, another in each test."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


# where all inputs are to be tried and shrunk, on a busy machine too, which a default of 30 seconds would not allow
AMPLE = 1e6


def test_a_sound_measure_keeps_its_laws(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", f"{own}:shift", "--seconds", str(AMPLE)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "exempt  compiled_agrees: left out to be quick, as it takes seconds"
    assert "kept    counts_are_copies (25 inputs)" in lines
    assert lines[-1] == "shift: keeps its laws"
    assert all(line.startswith(("kept", "exempt")) for line in lines[:-1])


def test_a_broken_one_is_caught_with_inputs_that_show_it(
    own: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", f"{own}.py:lopsided", "--seconds", str(AMPLE)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("broken")]
    assert len(lines) == 1, lines
    line = lines[0]
    assert (
        "symmetric: lopsided gives" in line
        and "smallest inputs found: draw_inputs(measure, n=8, m=8, d=2" in line
    )
    measure = load_measure(f"{own}:lopsided")
    (broken,) = [v for v in check_measure(measure, seconds=AMPLE) if v.state == "broken"]
    assert broken.inputs is not None
    with pytest.raises(LawBroken):
        symmetric(measure, draw_inputs(measure, **broken.inputs))  # type: ignore[arg-type]


def test_a_crash_is_a_broken_law_and_its_inputs_are_shrunk(own: str) -> None:
    verdicts = {v.law: v for v in check_measure(load_measure(f"{own}:crashing"), seconds=AMPLE)}
    broken = verdicts["is_a_scalar"]
    assert broken.state == "broken" and "raises RuntimeError: boom" in broken.message
    assert broken.inputs is not None and broken.inputs["n"] == 13
    assert "\n" not in verdict_line(broken)


def test_time_is_kept(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by a second at each look: one look to share out, one a law, one an input."""
    now = itertools.count()
    monkeypatch.setattr("assay.check.time", SimpleNamespace(monotonic=lambda: float(next(now))))
    measure = load_measure(f"{own}:shift")
    tried = [v.examples for v in check_measure(measure, seconds=80) if v.state != "exempt"]
    assert all(tried)
    # a law that costs more than there is leaves each later one its first input, and no more
    assert len(tried) < sum(tried) < 80
    now = itertools.count()
    assert {v.examples for v in check_measure(measure, seconds=0.5) if v.state != "exempt"} == {1}


def test_a_path_is_imported_from_anywhere(own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert load_measure(f"{tmp_path / own}.py:shift").name == "shift"


def test_what_is_no_measure(own: str, tmp_path: Path) -> None:
    (tmp_path / "raises.py").write_text("raise SystemExit(7)")
    for target, words in [
        ("shift", "expected module:name or path/to/file.py:name"),
        (":shift", "expected module:name"),
        (f"{own}:plain", "is no measure but a function; decorate it with @assay.measure"),
        (f"{own}:both", "is a joint: check its measures one by one: shift, lopsided"),
        (f"{own}:shfit", "did you mean 'shift'"),
        ("no_such_module:shift", "no_such_module: cannot be imported"),
        ("no_such_file.py:shift", "no_such_file.py: no such file"),
        ("raises.py:shift", "cannot be imported: SystemExit: 7"),
    ]:
        with pytest.raises(UsageError) as caught:
            load_measure(target)
        assert words in str(caught.value)


def test_the_command_says_so_in_one_line(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", f"{own}:plain"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert run(["check", f"{own}:shift", "--seconds", "0"]) == 2


@pytest.mark.parametrize("name", ["squared", "apart"])
def test_pairs_and_batches_are_checked_too(own: str, name: str) -> None:
    verdicts = list(check_measure(load_measure(f"{own}:{name}"), seconds=AMPLE))
    assert len(verdicts) >= 8
    assert {v.state for v in verdicts} <= {"kept", "exempt"}, [verdict_line(v) for v in verdicts]


@pytest.mark.parametrize(
    ("name", "law", "drawn_by"),
    [
        ("neighbourly", "a_pair_stands_alone", "draw_pair_inputs(measure, n="),
        ("ordered", "order_is_irrelevant", "draw_batch_inputs(measure, n="),
    ],
)
def test_their_broken_laws_are_named(own: str, name: str, law: str, drawn_by: str) -> None:
    broken = {
        v.law: v for v in check_measure(load_measure(f"{own}:{name}"), seconds=AMPLE) if v.state == "broken"
    }
    assert drawn_by in verdict_line(broken[law])


def test_members_that_cannot_be_drawn_are_said(own: str) -> None:
    with pytest.raises(
        UsageError, match="anything: members of the domain 'any' are not drawn; give @pair_measure"
    ):
        list(check_measure(load_measure(f"{own}:anything")))
