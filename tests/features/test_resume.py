"""A pass that is killed goes on where it was, and two at once share: with the bits of one that ran through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the worker forks")

WORKER = Path(__file__).parent / "resume_worker.py"


def worker(what: str, home: Path) -> dict:
    command = [sys.executable, str(WORKER), what, str(home)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_fifty_kills_at_random_moments_change_no_bit(tmp_path):
    found = worker("kills", tmp_path / "home")
    assert found["landed"] == 50
    assert found["ended"] >= 10 and found["wrong"] == 0


def test_two_passes_at_once_compute_each_image_once(tmp_path):
    found = worker("together", tmp_path / "home")
    assert found["statuses"] == [0, 0]
    assert found["images"] <= found["computed"] <= found["images"] + 2 * found["shard"]
