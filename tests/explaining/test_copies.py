"""Copies and near-copies are found; new samples are flagged at the stated rate at most."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.explaining import Surroundings, copies, false_alarm_rate


def drawn(n: int, d: int, seed: int, kind: str = "normal") -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    if kind == "modes":  # dense and sparse places
        x = x * torch.where(torch.arange(n)[:, None] % 3 == 0, 0.01, 1.0) + 30.0 * (
            torch.arange(n)[:, None] % 3
        )
    if kind == "heavy":
        x = x / torch.randn(n, 1, generator=g).abs()
    return x


def found(x: torch.Tensor, y: torch.Tensor):
    return copies(Surroundings.of(x), Surroundings.of(y))


@pytest.mark.parametrize("d", [2, 16, 64])
@pytest.mark.parametrize("kind", ["normal", "modes", "heavy"])
def test_new_samples_are_flagged_at_most_at_the_rate(d: int, kind: str) -> None:
    n, m, draws = 400, 400, 12
    flagged = sum(
        int(found(drawn(n, d, 2 * s, kind), drawn(m, d, 2 * s + 1, kind)).copied.sum()) for s in range(draws)
    )
    expected = false_alarm_rate(n) * m * draws
    assert flagged <= expected + 4 * expected**0.5


@pytest.mark.parametrize("d", [2, 8, 32])
@pytest.mark.parametrize("change", ["shifted", "shrunk", "wide", "one place"])
def test_bad_samples_are_no_copies(d: int, change: str) -> None:
    n, m, draws = 500, 400, 12
    flagged = 0
    for s in range(draws):
        x, y = drawn(n, d, 2 * s), drawn(m, d, 2 * s + 1)
        y = {"shifted": y + 1.0, "shrunk": 0.5 * y, "wide": 2 * y, "one place": 1.0 + 0.3 * y}[change]
        flagged += int(found(x, y).copied.sum())
    expected = false_alarm_rate(n) * m * draws
    assert flagged <= expected + 4 * expected**0.5


def test_the_rate_of_large_sets_is_met_and_not_far_below() -> None:
    n = 4000
    flagged = sum(int(found(drawn(n, 4, 2 * s), drawn(n, 4, 2 * s + 1)).copied.sum()) for s in range(5))
    assert 5 <= flagged <= 45  # of 20,000, at one in a thousand


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("d", [2, 16, 256])
def test_planted_copies_and_near_copies_are_found(d: int, offset: float) -> None:
    x, y = drawn(1500, d, 0) + offset, drawn(800, d, 1) + offset
    y[:50] = x[100:150]
    y[50:100] = x[200:250] + (1e-4 if d == 2 else 0.02) * drawn(50, d, 2)
    here = found(x, y)
    assert (here.distance[:50] == 0).all() and here.row[:50].tolist() == list(range(100, 150))
    assert here.row[50:100].tolist() == list(range(200, 250)) and (here.distance[50:100] > 0).all()
    assert here.copied[:50].all() and here.copied[50:100].mean() > 0.9
    assert here.copied[100:].mean() < 0.01
    away = torch.cdist(y[100:].double(), x.double()).min(1)
    np.testing.assert_allclose(here.distance[100:], away.values, rtol=1e-5)


def test_copies_of_what_the_real_set_holds_twice_are_found() -> None:
    x, y = drawn(1000, 16, 0), drawn(200, 16, 1)
    x[500:520] = x[:20]
    y[:20] = x[:20] + 1e-3 * drawn(20, 16, 2)
    y[20:30] = x[10:20]
    here = found(x, y)
    assert here.copied[:30].all() and here.copied[30:].mean() < 0.02


def test_by_the_rule_itself() -> None:
    """The definition, sample by sample."""
    n, m = 60, 40
    x, y = drawn(n, 3, 4).double(), drawn(m, 3, 5).double()
    y[:3] = x[:3] + 1e-3
    ratios = []
    for i in range(n):
        others = torch.cat([x[:i], x[i + 1 :]])
        ratios.append(by_hand(others, x[i]))
    expected = [by_hand(x, row) < min(ratios) for row in y]
    assert found(x, y).copied.tolist() == expected and any(expected)


def by_hand(x: torch.Tensor, y: torch.Tensor) -> float:
    away = (x - y).norm(dim=1).sort().values
    return float(away[0] / away[4])


def test_few_real_samples() -> None:
    one = torch.zeros(1, 2)
    here = found(one, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    assert here.copied.tolist() == [True, False] and here.distance.tolist() == [0.0, 1.0]
    same = torch.zeros(10, 2)
    assert found(same, torch.tensor([[0.0, 0.0], [1e-3, 0.0]])).copied.tolist() == [True, False]
