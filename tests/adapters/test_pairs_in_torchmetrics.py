"""A measure of pairs in torchmetrics is a real Metric: the mean over all batches, steps apart, copies and ranks."""

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

GENERATOR = torch.Generator().manual_seed(0)
Y = torch.rand(7, 3, 16, 18, generator=GENERATOR)
X = (Y + 0.1 * torch.randn(Y.shape, generator=GENERATOR)).clamp(0, 1)


def fed(measure=assay.ssim, **options):
    metric = adapt(measure, **options)
    for x, y in zip(X.split(3), Y.split(3), strict=True):
        metric.update(x, y)
    return metric


def test_batches_of_uneven_size_equal_the_mean_over_all():
    metric = fed()
    assert isinstance(metric, tm.Metric)
    assert (metric.higher_is_better, metric.plot_lower_bound, metric.plot_upper_bound) == (True, -1.0, 1.0)
    assert float(metric.compute()) == pytest.approx(float(assay.ssim(X, Y).mean()), abs=1e-7)
    assert adapt(assay.images.mean_squared_error).higher_is_better is False


def test_forward_gives_the_batch_and_keeps_the_sum():
    metric = adapt(assay.psnr)
    for x, y in zip(X.split(3), Y.split(3), strict=True):
        assert float(metric(x, y)) == pytest.approx(float(assay.psnr(x, y).mean()), abs=1e-5)
    assert float(metric.compute()) == pytest.approx(float(assay.psnr(X, Y).mean()), abs=1e-5)
    metric.reset()
    with pytest.raises(DataError, match="nothing seen yet"), pytest.warns(UserWarning, match="compute"):
        metric.compute()


def test_counts_are_copies():
    counts = torch.tensor([0, 1, 2, 0, 3, 1, 1])
    metric = adapt(assay.ssim)
    metric.update(X, Y, weights=counts)
    copies = assay.ssim(X.repeat_interleave(counts, 0), Y.repeat_interleave(counts, 0)).mean()
    assert float(metric.compute()) == pytest.approx(float(copies), abs=1e-7)


def test_options_are_the_measures():
    found = float(fed(convention="torchmetrics").compute())
    assert found == pytest.approx(float(assay.ssim(X, Y, convention="torchmetrics").mean()), abs=1e-7)
    theirs = tm.functional.image.structural_similarity_index_measure(X, Y, data_range=1.0)
    assert found == pytest.approx(float(theirs), abs=1e-5)
    with pytest.raises(UsageError, match="windows"):
        adapt(assay.ssim, windows=3)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_copies_and_collections():
    metric = fed()
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert float(twin.compute()) == float(metric.compute())
    collection = tm.MetricCollection({"ssim": adapt(assay.ssim), "psnr": adapt(assay.psnr)})
    collection.update(X, Y)
    found = {name: float(value) for name, value in collection.compute().items()}
    assert found == {
        "ssim": pytest.approx(float(assay.ssim(X, Y).mean()), abs=1e-7),
        "psnr": pytest.approx(float(assay.psnr(X, Y).mean()), abs=1e-5),
    }


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [
        # of black and white images the absolute error is the squared one
        (
            adapt(assay.images.mean_squared_error),
            adapt(assay.images.mean_absolute_error),
            (X.round(), Y.round()),
        ),
        (adapt(assay.ssim), adapt(assay.ssim, convention="torchmetrics"), (Y, Y)),
    ],
)
def test_a_collection_keeps_apart_what_agrees_on_the_first_batch(one, other, first):
    collection = tm.MetricCollection({"one": one, "other": other})
    collection.update(*first)
    collection.update(X, Y)
    for name, metric in (("one", one), ("other", other)):
        expected = torch.stack([metric._measure(*first), metric._measure(X, Y)]).mean()
        assert float(collection.compute()[name]) == pytest.approx(float(expected), abs=1e-6)


def test_half_precision_does_not_stop_the_count():
    metric = adapt(assay.images.mean_squared_error).set_dtype(torch.bfloat16).half()
    zero, one = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    for x in (zero, one, one, one):
        metric.update(x, zero, weights=torch.tensor([3000]))
    assert metric.seen[:2].tolist() == [12000, 0.75]


def test_a_process_that_saw_nothing_counts_nothing():
    here, there, empty = fed(), adapt(assay.ssim), adapt(assay.ssim)
    there.update(X[:2], Y[:2])
    own = here.seen.clone()
    for order in ((empty, here, there), (here, there, empty)):
        metric = order[0]
        before = metric.seen.clone()
        states = [each.seen.clone() for each in order]
        metric.sync(dist_sync_fn=lambda state, group, found=states: found, distributed_available=lambda: True)
        expected = assay.ssim(torch.cat([X, X[:2]]), torch.cat([Y, Y[:2]])).mean()
        assert metric.seen[:2].tolist() == [9, pytest.approx(float(expected), abs=1e-7)]
        metric.unsync()
        torch.testing.assert_close(metric.seen, before, rtol=0, atol=0, equal_nan=True)
    here.reset()
    here.update(X[:2], Y[:2])
    torch.testing.assert_close(here.seen, there.seen, rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(here.seen[:2], own[:2])


def test_a_saved_state_goes_on():
    first, rest = adapt(assay.ssim), adapt(assay.ssim)
    for metric in (first, rest):
        metric.persistent(True)
    first.update(X[:4], Y[:4])
    rest.load_state_dict(first.state_dict())
    rest.update(X[4:], Y[4:])
    assert float(rest.compute()) == pytest.approx(float(assay.ssim(X, Y).mean()), abs=1e-7)


def test_what_does_not_belong_to_pairs_is_refused():
    with pytest.raises(UsageError, match="its own target"):
        adapt(assay.ssim, reference=Y)
    metric = adapt(assay.ssim)
    with pytest.raises(DataError, match="rows 1"):
        metric.update(X[:2], torch.stack([Y[0], Y[1] * torch.nan]))
    with pytest.raises(DataError, match="nothing seen yet"):
        metric.compute()


def test_two_processes_equal_one(tmp_path: Path, run_ranks: Callable[..., None]) -> None:
    sets, out = tmp_path / "pairs.pt", tmp_path / "values.json"
    torch.save({"x": X, "y": Y}, sets)
    run_ranks(Path(__file__).with_name("pair_rank_worker.py"), 2, str(sets), str(out))
    assert json.loads(out.read_text()) == [pytest.approx(float(assay.ssim(X, Y).mean()), abs=1e-7)] * 2
