"""The training examples run; on two processes they print what they print on one."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def printed(*command: str) -> list[tuple[int, float]]:
    """What `python [command]` prints of its steps."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return [
        (int(step), float(loss)) for step, loss in re.findall(r"^step (\d+): ([\d.]+)$", done.stdout, re.M)
    ]


def test_torchrun_gives_the_losses_of_one_process() -> None:
    example = [str(EXAMPLES / "contrastive_torchrun.py"), "--steps", "4", "--batch", "96"]
    alone = printed(*example)
    assert [step for step, _ in alone] == [0, 1, 2, 3]
    assert alone[-1][1] < alone[0][1]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    # Adam's steps of weights hardly used depend on the last digits of their gradient: equal to the digits shown, nearly
    assert printed(*launch, *example) == [(step, pytest.approx(loss, abs=2e-4)) for step, loss in alone]


def test_accelerate_lowers_the_distance() -> None:
    if importlib.util.find_spec("accelerate") is None:
        pytest.skip("needs accelerate")
    found = printed(str(EXAMPLES / "frechet_accelerate.py"), "--steps", "60", "--every", "20")
    assert [step for step, _ in found] == [20, 40, 60]
    assert found[-1][1] < found[0][1]
