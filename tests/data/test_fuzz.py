"""A short run of studies/fuzz.py: damaged files are read or refused, in time, and nothing else happens."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

pytest.importorskip("PIL.Image")

FILE = Path(__file__).parents[2] / "studies" / "fuzz.py"
spec = importlib.util.spec_from_file_location("fuzz", FILE)
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)

QUICK = 12  # files a kind; the study has a thousand


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_a_damaged_file_is_read_or_refused(kind, tmp_path):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"a.{kind}"
    for content in fuzz.seeds(kind):
        path.write_bytes(content)
        assert fuzz.read_whole(kind, path) == "read"  # or the mutations would show nothing
    found = set()
    start = time.process_time()  # of this process alone: not what others on the machine take
    # others than the study's
    for _, content in fuzz.cases(kind, 5000 + QUICK, first=5000):
        path.write_bytes(content)
        found.add(fuzz.read_whole(kind, path))
    assert found & {"refused", "images refused"} and time.process_time() - start < QUICK * fuzz.TIME_LIMIT


def test_the_mutations_are_the_same_on_every_machine():
    first, again = (fuzz.cases("zip", 30) for _ in range(2))
    assert first == again and len({content for _, content in first}) > 20
