"""The examples of callbacks, loops and loggers run and print what they found."""

from __future__ import annotations

import importlib.util
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

# the packages' own warnings are not what is tested here
pytestmark = pytest.mark.filterwarnings("ignore")

EXAMPLES = Path(__file__).parents[2] / "examples"
TRAINING = {
    "lightning_callback": ("lightning",),
    "trainer_callback": ("transformers", "accelerate"),
    "accelerate_loop": ("accelerate",),
}


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """An example, run here in an empty folder: what it prints. Starting Python anew would take most of the time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # tenfold faster here than a new database
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs" / "mlflow").as_uri())

    def printed(name: str, *arguments: str) -> str:
        monkeypatch.setattr("sys.argv", [name, "--features", "pixels:8", *arguments])
        with torch.random.fork_rng():
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return printed


@pytest.mark.parametrize("name", TRAINING)
def test_training_prints_a_value_at_each_comparison(name: str, run: Callable[..., str]) -> None:
    # looked for and not imported: what an import warns of is not what is tested here
    missing = [package for package in TRAINING[name] if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    printed = run(name, "--steps", "4", "--every", "2", "--images", "60")
    values = re.findall(r"^step (\d+): fd ([\d.]+) \[([\d.]+), ([\d.]+)\]$", printed, re.MULTILINE)
    assert [int(step) for step, *_ in values] == [2, 4], printed
    assert values[0][1] != values[1][1]


def test_loggers_write_where_they_say(tmp_path: Path, run: Callable[..., str]) -> None:
    printed = run("loggers", "--out", "runs")
    for name in ("tensorboard", "wandb", "mlflow"):
        if importlib.util.find_spec(name) is None:
            assert f"{name}: not installed" in printed
        else:
            assert f"{name}: in runs/{name}" in printed
            assert [path for path in (tmp_path / "runs" / name).rglob("*") if path.is_file()]
