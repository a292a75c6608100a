from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from torch import Tensor

# the same examples on every run and machine; what is found is then found by everybody
settings.register_profile(
    "assay",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # shrinking a failure through a compiled graph takes minutes
)
settings.load_profile("assay")


@pytest.fixture(autouse=True)
def files_just_written_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests read what they wrote a moment ago; see `assay.data.stored_file.identity_of`."""
    monkeypatch.setattr("assay.data.stored_file.RACY", -1.0)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def normal(generator: torch.Generator) -> Callable[..., Tensor]:
    """Standard normal float64 samples, another draw at each call."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    return draw


def pytest_configure(config: pytest.Config) -> None:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:  # as many threads as there are cores, over all workers
        threads = max(1, (os.cpu_count() or 1) // workers)
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # of the processes that tests start
    if "ASSAY_HOME" not in os.environ:  # tests leave the user's own cache alone, and share one
        home = tempfile.TemporaryDirectory(prefix="assay-tests-")
        config.add_cleanup(home.cleanup)
        os.environ["ASSAY_HOME"] = home.name
    # torch.compile itself instantiates autograd functions while it traces them, and warns of doing so
    config.addinivalue_line("filterwarnings", "ignore:.*should not be instantiated:DeprecationWarning")


@pytest.fixture
def run_ranks(tmp_path: Path) -> Callable[..., None]:
    """Processes that run one worker file, ``python worker RANK WORLD STORE [arguments]`` each; all must end well.

    STORE is a file for ``init_process_group("gloo", init_method="file://" + STORE)``. A rank that hangs is ended, and
    fails, after two minutes.
    """

    def run(worker: Path, world: int, *arguments: str) -> None:
        store = tmp_path / "-".join(["store", worker.stem, str(world), *arguments])
        ranks = [
            subprocess.Popen(
                [sys.executable, str(worker), str(rank), str(world), str(store), *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            for rank in range(world)
        ]
        try:
            said = [rank.communicate(timeout=120)[0] for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()
        for rank, text in zip(ranks, said, strict=True):
            assert rank.returncode == 0, text

    return run
