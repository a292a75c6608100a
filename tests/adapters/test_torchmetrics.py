"""A measure in torchmetrics is a real Metric: it collects, resets, saves, and synchronises exactly."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import assay
from assay.adapters import torchmetrics as adapt
from assay.errors import DataError, UsageError

tm = pytest.importorskip("torchmetrics")


def draw(n: int, shift: float, seed: int, d: int = 6) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


X, Y = draw(60, 0.0, 0), draw(80, 0.5, 1)


def feed(metric: object) -> None:
    for batch in X.split(17):
        metric.update(batch, real=True)  # type: ignore[attr-defined]
    for batch in Y.split(9):
        metric.update(batch, real=False)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "measure", [assay.frechet_distance, assay.kernel_distance, assay.sets.precision], ids=lambda m: m.name
)
def test_batches_equal_one_shot(measure: assay.Measure) -> None:
    metric = adapt(measure)
    assert isinstance(metric, tm.Metric)
    feed(metric)
    assert float(metric.compute()) == pytest.approx(float(measure(X, Y)), rel=1e-5)
    assert metric.higher_is_better == (measure.best == "max")


def test_half_precision_leaves_what_is_packed_as_it_is() -> None:
    """Of 257 rows in bfloat16, whose next number after 256 is 258, the number of rows itself would be another."""
    x, y = draw(257, 0.0, 2), draw(259, 0.5, 3)
    metric = adapt(assay.kernel_distance)
    metric.update(x, real=True)
    metric.update(y)
    assert metric.set_dtype(torch.bfloat16) is metric
    assert float(metric.compute()) == pytest.approx(float(assay.kernel_distance(x, y)), rel=1e-6)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_in_a_collection_beside_its_own_kind_and_a_joint() -> None:
    collection = tm.MetricCollection(
        {
            "fd": adapt(assay.frechet_distance),
            "kd": adapt(assay.kernel_distance),
            "nn": adapt(assay.prdc, nearest_k=3),
        }
    )
    feed(collection)
    values = collection.compute()
    assert float(values["fd"]) == pytest.approx(float(assay.frechet_distance(X, Y)), rel=1e-5)
    assert float(values["kd"]) == pytest.approx(float(assay.kernel_distance(X, Y)), rel=1e-4)
    assert float(values["nn_recall" if "nn_recall" in values else "recall"]) == pytest.approx(
        float(assay.sets.recall(X, Y, nearest_k=3))
    )
    collection.reset()
    with pytest.raises(DataError, match="nothing seen yet"):
        collection["fd"].compute()


def test_forward_gives_the_batch_value_and_keeps_the_whole() -> None:
    metric = adapt(assay.frechet_distance, reference=X)
    first = metric(Y[:40])
    for batch in Y[40:].split(10):
        metric(batch)
    assert len(metric.seen_y) == 1  # moments stay one entry, however often the batch's own value is asked for
    assert float(first) == pytest.approx(float(assay.frechet_distance(X, Y[:40])), rel=1e-5)
    assert float(metric.compute()) == pytest.approx(float(assay.frechet_distance(X, Y)), rel=1e-5)


def test_copies_pickles_and_state_dict() -> None:
    metric = adapt(assay.kernel_distance, kernel=assay.rbf(2.0))
    metric.persistent(True)
    feed(metric)
    for again in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert float(again.compute()) == pytest.approx(float(metric.compute()))


def test_extractor_is_applied_and_moves_with_the_metric() -> None:
    network = torch.nn.Linear(6, 3)
    metric = adapt(assay.frechet_distance, features=network)
    feed(metric)
    with torch.no_grad():
        expected = assay.frechet_distance(network(X), network(Y))
    assert float(metric.compute()) == pytest.approx(float(expected), rel=1e-5)
    assert any(module is network for module in metric.modules())


def test_wrong_use_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="one set"):
        adapt(assay.vendi_score, reference=X)
    with pytest.raises(UsageError, match="nearest_q"):
        adapt(assay.prdc, nearest_q=3)
    metric = adapt(assay.frechet_distance, reference=X)
    with pytest.raises(UsageError, match="fixed reference"):
        metric.update(X, real=True)
    metric.update(Y)
    with pytest.raises(UsageError, match="features"):
        metric.update(Y[:, :3])
    with pytest.raises(DataError, match="NaN"):
        metric.update(torch.full((3, 6), torch.nan))


def test_two_processes_equal_one(tmp_path: Path, run_ranks: Callable[..., None]) -> None:
    sets, out = tmp_path / "sets.pt", tmp_path / "values.json"
    torch.save({"x": X, "y": Y}, sets)
    run_ranks(Path(__file__).with_name("rank_worker.py"), 2, str(sets), str(out))
    values = json.loads(out.read_text())
    assert values["frechet_distance"] == pytest.approx(float(assay.frechet_distance(X, Y)), rel=1e-5)
    assert values["kernel_distance"] == pytest.approx(float(assay.kernel_distance(X, Y)), rel=1e-4)
