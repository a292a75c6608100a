from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
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


@pytest.fixture(scope="session")
def run_ranks(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Processes that run one worker file, ``python worker RANK WORLD STORE [arguments]`` each; all must end well.

    STORE is a file for ``init_process_group("gloo", init_method="file://" + STORE)``: a port that was free when it was
    looked for may be taken by then. A rank that hangs is ended, and fails, after ten minutes; on a busy machine imports
    alone take more than one.
    """

    def run(worker: Path, world: int, *arguments: str) -> None:
        store = tmp_path_factory.mktemp("ranks") / "store"
        files = [store.with_name(f"said-{rank}") for rank in range(world)]
        ranks = []
        try:
            for rank, file in enumerate(files):
                with file.open("w") as said:
                    command = [sys.executable, str(worker), str(rank), str(world), str(store), *arguments]
                    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
                    ranks.append(
                        subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
                    )
            until = time.monotonic() + 600
            # where one fails the others may wait for it for ever
            while not any(rank.poll() for rank in ranks) and any(rank.poll() is None for rank in ranks):
                assert time.monotonic() < until, "the ranks hang"
                time.sleep(0.02)
        finally:
            for one in ranks:
                one.kill()
                one.wait()
        ends = [
            f"rank {rank} ended with {one.returncode}:\n{file.read_text()}"
            for rank, (one, file) in enumerate(zip(ranks, files, strict=True))
        ]
        assert not any(one.returncode for one in ranks), "\n".join(ends)

    return run
