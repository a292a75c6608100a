"""What a batch objective takes and refuses, and what its module holds."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import assay
from assay.batch_objective import BatchObjective, batch_objective
from assay.embeddings import LearnableTemperature, info_nce, tolerance

WORKER = Path(__file__).with_name("batch_objective_worker.py")


@batch_objective(
    best="min",
    reference="toy",
    samples=("a", "b"),
    labels=("labels",),
    aligned=(("a", "labels"),),
)
def toy(
    a: Tensor, b: Tensor | None = None, labels: Tensor | None = None, *, power: float | Tensor = 1.0
) -> Tensor:
    """What is left out comes as its default."""
    value = (a.abs() ** power).mean()
    value = value if b is None else value + 10 * b.mean()
    return value if labels is None else value + 100 * labels.sum()


ONES = torch.ones(3, 2)


def rows(n: int, d: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


def test_a_batch_comes_by_position_or_by_name() -> None:
    labels = torch.tensor([1, 2, 3])
    assert float(toy(ONES)) == 1
    assert float(toy(ONES, ONES)) == 11
    assert float(toy(ONES, labels=labels)) == float(toy(ONES, None, labels)) == 601
    assert float(toy(a=ONES, b=ONES, labels=labels, power=2.0)) == 611
    assert float(toy(ONES.numpy(), labels=labels.to(torch.int32).numpy())) == 601


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: toy(), r"toy: expected 3 arguments \(a, \[b\], \[labels\]\); a is missing"),
        (lambda: toy(None), r"a: expected a tensor \(B, d\) of embeddings, got NoneType"),
        (lambda: toy(ONES, ONES, ONES, ONES), "at most 3 arguments .* got 4"),
        (lambda: toy(ONES, a=ONES), "a is given twice"),
        (lambda: toy(ONES, powers=1), r"unknown option 'powers' \(did you mean 'power'\?\)"),
        (lambda: toy(ONES, ONES[:, :1]), "a has 2 features and b 1"),
        (lambda: toy(ONES, labels=torch.tensor([1, 2])), "a has 3 rows and labels 2"),
        (
            lambda: toy(ONES, labels=torch.tensor([True, False, True])),
            r"labels: .*whole numbers, got torch.bool",
        ),
        (lambda: toy(ONES[None]), r"a: expected shape \(B, d\), got \(1, 3, 2\).*a\.flatten\(0, 1\)"),
        (lambda: toy(ONES.to("meta"), ONES), "a is on meta and b on cpu"),
        (lambda: toy(np.array(["x"])), "a: expected a tensor .* got ndarray"),
        (lambda: toy.objective(reduction="none"), "unknown option 'reduction'"),
        (lambda: info_nce.objective(reduction="none"), "a loss is one number"),
        (lambda: info_nce.with_options(reduction="none").objective(), "a loss is one number"),
        (lambda: toy.with_options(nothing=1), "unknown option 'nothing'"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(assay.UsageError, match=words):
        call()


def test_rows_that_are_not_aligned_may_differ_in_number() -> None:
    assert float(toy(ONES, torch.ones(7, 2))) == 11


@pytest.mark.parametrize(
    ("function", "promised", "words"),
    [
        (lambda a, b: a, {"samples": ("a",)}, "positional parameters"),
        (lambda y: y, {"samples": (), "labels": ("y",)}, "samples first"),
        (lambda a, *, group=None: a, {"samples": ("a",)}, "'group' means something else"),
        (lambda a: a, {"samples": ("a",), "aligned": (("a", "c"),)}, "'c' is no positional parameter"),
    ],
)
def test_a_definition_that_promises_wrongly_is_refused(
    function: Callable[..., Tensor], promised: dict[str, Any], words: str
) -> None:
    with pytest.raises(assay.UsageError, match=words):
        batch_objective(best="min", reference="x", **promised)(function)


def test_an_option_needs_a_default() -> None:
    def needy(a: Tensor, *, power: float) -> Tensor:
        return a.mean() * power

    with pytest.raises(assay.UsageError, match="'power' needs a default"):
        batch_objective(best="min", reference="x", samples=("a",))(needy)


def test_a_function_of_another_shape_is_told() -> None:
    def each(a: Tensor) -> Tensor:
        return a.mean(1)

    with pytest.raises(assay.UsageError, match=r"must return the shape \(\) .*not \(3,\)"):
        batch_objective(best="min", reference="x", samples=("a",))(each)(ONES)


def test_precision_is_that_of_the_widest_rows() -> None:
    assert toy(ONES.half()).dtype == torch.float32
    assert toy(ONES.half(), ONES.double()).dtype == torch.float64


def test_it_reads_as_the_function_it_is_made_of_and_pickles() -> None:
    assert info_nce.__doc__ is not None and info_nce.__name__ == "info_nce"
    again: BatchObjective = pickle.loads(pickle.dumps(info_nce.with_options(temperature=0.3)))
    assert again.options["temperature"] == 0.3 and again.function is info_nce.function


def test_parameters_buffers_and_modules_among_the_options() -> None:
    module = toy.objective(power=torch.nn.Parameter(torch.tensor(2.0)))
    assert [name for name, _ in module.named_parameters()] == ["power"]
    module(2 * ONES).backward()
    assert module.power.grad is not None and float(module.power.grad) != 0
    fixed = toy.objective(power=torch.tensor(2.0))
    assert not list(fixed.parameters()) and list(fixed.state_dict()) == ["power"]
    assert fixed.double().power.dtype == torch.float64
    learnt = info_nce.objective(temperature=LearnableTemperature(0.5))
    assert list(learnt.state_dict()) == ["temperature.log_scale"]
    a, b = rows(6, 4), rows(6, 4).flip(0)
    assert torch.allclose(learnt(a, b).detach(), info_nce(a, b, temperature=0.5), rtol=1e-5)
    assert repr(learnt).startswith("BatchLoss(") and "info_nce" in repr(learnt)


def test_options_of_one_step() -> None:
    module = info_nce.objective(temperature=0.2)
    a, b = rows(6, 4), rows(6, 4).flip(0)
    assert torch.equal(module(a, b, temperature=0.3), info_nce(a, b, temperature=0.3))
    assert torch.equal(module(a, b=b), info_nce(a, b, temperature=0.2))


def test_what_is_to_be_large_is_minimised_with_a_minus() -> None:
    z, labels = rows(8, 3), torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    assert torch.equal(tolerance.objective()(z, labels), -tolerance(z, labels))


def test_two_three_and_four_processes_train_as_one(run_ranks: Callable[..., None]) -> None:
    run_ranks(WORKER, 4)  # which form groups of two and three as well: starting them is what takes time
