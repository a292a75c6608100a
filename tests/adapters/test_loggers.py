"""What was logged is read back from the real packages' own files."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import assay
from assay.adapters.logged_values import logged_values
from assay.comparison import Comparison, Published
from assay.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore")


def needs(*names: str) -> pytest.MarkDecorator:
    # looked for and not imported: what an import warns of is not what is tested here
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def draw(seed: int, shift: float) -> torch.Tensor:
    return torch.randn(40, 4, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.fixture(scope="module")
def found() -> Comparison:
    return assay.compare(draw(0, 0.0), {"late": draw(1, 0.5)}, measures=["fd", "kd"])


@pytest.fixture(scope="module")
def two() -> Comparison:
    sets = {"a <b>": draw(1, 0.5), "../b": draw(2, 1.0)}
    return assay.compare(draw(0, 0.0), sets, measures="fd")


def test_names_are_short_where_that_is_clear(found, two):
    values = logged_values(found)
    assert list(values) == [f"assay/{m}{end}" for m in ("fd", "kd") for end in ("", "_low", "_high")]
    assert values["assay/fd"] == found["late", "fd"].corrected
    assert values["assay/kd_low"] == found["late", "kd"].low
    assert set(logged_values(two, "eval_")) == {
        f"eval_{name}/fd{end}" for name in ("a <b>", "../b") for end in ("", "_low", "_high")
    }


def test_two_spaces_classes_and_published_values_have_names_of_their_own(found):
    from dataclasses import replace

    first = found.rows[0]
    more = replace(
        found,
        rows=(first, replace(first, name="fd[spatial]")),
        classes=(replace(first, group="cat"),),
        published=(
            Published("FID", "FID", "late", 3.0, None, (), "lower is better"),
            Published(None, "KID", "late", 4.0, None, ("small",), "lower is better"),
        ),
    )
    assert {name for name in logged_values(more, "") if not name.endswith(("_low", "_high"))} - {
        "fd[features]_low/cat", "fd[features]_high/cat"
    } == {"fd[features]", "fd[spatial]", "fd[features]/cat", "FID", "like KID"}  # fmt: skip
    with pytest.raises(UsageError, match="two numbers"):
        logged_values(replace(found, rows=(first, first)))


@needs("tensorboard")
def test_tensorboard(found, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    from assay.adapters.tensorboard import log_comparison

    with SummaryWriter(tmp_path) as writer:
        log_comparison(found, writer, 10)
        log_comparison(found, writer, 20)
    read = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    read.Reload()
    expected = logged_values(found)
    assert set(read.Tags()["scalars"]) == set(expected)
    for name, value in expected.items():
        events = read.Scalars(name)
        assert [event.step for event in events] == [10, 20]
        assert events[0].value == pytest.approx(value, rel=1e-6)
    (text,) = [name for name in read.Tags()["tensors"] if name.startswith("assay/comparison")]
    assert b"<table>" in read.Tensors(text)[0].tensor_proto.string_val[0]


@needs("wandb")
def test_wandb_offline(found, tmp_path, monkeypatch):
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    import wandb

    from assay.adapters.wandb import log_comparison

    run = wandb.init(project="tests", mode="offline", dir=str(tmp_path))
    try:
        log_comparison(found, run, 10)
        log_comparison(found, run, 20)
        with pytest.raises(UsageError, match="step: 5 comes before 20"):
            log_comparison(found, run, 5)
    finally:
        run.finish()
        wandb.teardown()  # ends the process that writes the file, and waits for it
    (written,) = tmp_path.rglob("*.wandb")
    history = list(_wandb_history(written))
    assert [entry["_step"] for entry in history] == [10, 20]
    for name, value in logged_values(found).items():
        assert history[0][name] == pytest.approx(value)
    assert history[0]["assay/comparison/_type"] == "html-file"


def _wandb_history(path: Path):
    """A run's file is a LevelDB log: 7 bytes, then blocks of 32 KiB with parts of records: checksum, size, kind."""
    from wandb.proto import wandb_internal_pb2

    log, at, data = path.read_bytes(), 7, b""
    while at + 7 <= len(log):
        rest = 32768 - at % 32768
        if rest < 7:
            at += rest
            continue
        size, kind = int.from_bytes(log[at + 4 : at + 6], "little"), log[at + 6]
        data += log[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            data = b""
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                yield {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


@needs("mlflow")
def test_mlflow_files(found, two, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # files are tenfold faster here than the database
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

    from assay.adapters.mlflow import log_comparison

    client = MlflowClient((tmp_path / "runs").as_uri())
    experiment = client.create_experiment("tests", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment)
    log_comparison(found, run, 10, client=client)
    log_comparison(found, run.info.run_id, 20, client=client)
    for name, value in logged_values(found).items():
        history = client.get_metric_history(run.info.run_id, name)
        assert [(m.step, m.value) for m in history] == [
            (10, pytest.approx(value)),
            (20, pytest.approx(value)),
        ]
    (written,) = (tmp_path / "artifacts").rglob("comparison-10.html")
    assert "<table>" in written.read_text()
    other = client.create_run(experiment)
    log_comparison(two, other, 1, client=client)
    names = set(client.get_run(other.info.run_id).data.metrics)
    assert {"assay/a _b_/fd", "assay/_/b/fd"} <= names


def test_importing_an_adapter_imports_no_other_library():
    modules = ("lightning", "hugging_face", "tensorboard", "wandb", "mlflow", "during_training")
    program = "import sys; " + "; ".join(f"import assay.adapters.{name}" for name in modules)
    program += "; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert "assay" in loaded
    heavy = {
        "lightning",
        "pytorch_lightning",
        "transformers",
        "tensorboard",
        "wandb",
        "mlflow",
        "matplotlib",
        "pandas",
    }
    assert not heavy & loaded
