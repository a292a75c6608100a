"""The mean curves' deltas have intervals that hold what they promise, and pairing makes them narrow."""

from __future__ import annotations

import math
from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor

from assay.errors import DataError, UsageError
from assay.images.coding import RateDistortion, bd_psnr, bd_rate

# of the population that `draw` draws from: the deltas of the mean curves of 2 000 000 images (seed 0), and the mean of
# their own
RATE, PSNR, MEAN_RATE = -21.242053, 0.9378862, -18.5485800


def draw(n: int, g: torch.Generator) -> tuple[RateDistortion, RateDistortion]:
    """Two codecs on n images: a hard image costs both more and looks worse under both."""

    def normal(k: int) -> Tensor:
        return torch.randn(n, k, generator=g, dtype=torch.float64)

    hard, step = normal(1), torch.arange(5, dtype=torch.float64)

    def codec(factor: float, better: float) -> RateDistortion:
        own, other = 0.15 * normal(1), 0.4 * normal(1)
        rates = torch.exp(-2 + 0.55 * step + 0.6 * hard + own + math.log(factor) + 0.05 * normal(5))
        qualities = 28 + 2.4 * step - 0.06 * step**2 - 1.8 * hard + other + better + 0.05 * normal(5)
        return RateDistortion(rates, qualities)

    return codec(1.0, 0.0), codec(0.85, 0.3)


def test_intervals_hold_the_populations_value() -> None:
    """95% intervals over 150 draws of 24 images: 95% of them, but for 3 standard deviations of that count."""
    g = torch.Generator().manual_seed(1)
    hits = torch.zeros(3)
    for _ in range(150):
        a, b = draw(24, g)
        found = (b.bd_rate(a), b.bd_psnr(a), b.mean_bd_rate(a))
        hits += torch.tensor(
            [e.low <= v <= e.high for e, v in zip(found, (RATE, PSNR, MEAN_RATE), strict=True)]
        )
    assert bool(((hits / 150 - 0.95).abs() < 3 * math.sqrt(0.95 * 0.05 / 150)).all()), hits / 150


def test_the_value_is_that_of_the_mean_curves_and_the_interval_a_jackknife() -> None:
    a, b = draw(12, torch.Generator().manual_seed(2))
    for method in ("pchip", "cubic", "akima"):
        rate, psnr = b.bd_rate(a, method=method), b.bd_psnr(a, method=method)
        curves = (a.rate, a.quality, b.rate, b.quality)
        assert rate.value == pytest.approx(bd_rate(*curves, method=method), rel=1e-12)
        assert psnr.value == pytest.approx(bd_psnr(*curves, method=method), rel=1e-12)
    keep = [[k for k in range(12) if k != i] for i in range(12)]
    without = torch.tensor(
        [bd_psnr(*(t[k].mean(0) for t in (a.rates, a.qualities, b.rates, b.qualities))) for k in keep],
        dtype=torch.float64,
    )
    whole = b.bd_psnr(a, level=0.9)
    assert whole.std_error == pytest.approx(float(without.std(correction=0)) * math.sqrt(11), rel=1e-9)
    assert whole.corrected == pytest.approx(12 * whole.value - 11 * float(without.mean()), rel=1e-9)
    assert whole.bias == pytest.approx(whole.value - whole.corrected)
    reach = scipy.stats.t.ppf(0.95, 11) * whole.std_error
    assert whole.high == pytest.approx(whole.corrected + reach, rel=1e-3)
    assert (whole.n_x, whole.n_y, whole.level) == (12.0, 12.0, 0.9)


def test_the_interval_of_a_percentage_is_one_of_a_ratio() -> None:
    """Scaled by c the ratio has the same relative interval: percents turn with it, never below -100."""
    a, b = draw(10, torch.Generator().manual_seed(3))
    plain = b.bd_rate(a)
    scaled = RateDistortion(0.01 * b.rates, b.qualities).bd_rate(a)
    for one, other in (
        (plain.low, scaled.low),
        (plain.corrected, scaled.corrected),
        (plain.high, scaled.high),
    ):
        assert 1 + other / 100 == pytest.approx(0.01 * (1 + one / 100), rel=1e-9)
    assert scaled.low > -100 and scaled.std_error == pytest.approx(0.01 * plain.std_error, rel=1e-9)


def test_the_interval_of_a_percentage_is_the_logarithms_turned_into_percents() -> None:
    a, b = draw(8, torch.Generator().manual_seed(10))
    logs = torch.tensor(
        [
            math.log10(
                1 + bd_rate(*(t[k].mean(0) for t in (a.rates, a.qualities, b.rates, b.qualities))) / 100
            )
            for k in ([k for k in range(8) if k != i] for i in range(-1, 8))
        ],
        dtype=torch.float64,
    )
    error = float(logs[1:].std(correction=0)) * math.sqrt(7)
    middle = 8 * float(logs[0]) - 7 * float(logs[1:].mean())
    reach = scipy.stats.t.ppf(0.975, 7) * error
    found = b.bd_rate(a)
    assert found.std_error == pytest.approx(100 * math.log(10) * 10**middle * error, rel=1e-9)
    assert found.low == pytest.approx(100 * (10 ** (middle - reach) - 1), rel=1e-4)
    assert found.high == pytest.approx(100 * (10 ** (middle + reach) - 1), rel=1e-4)


def test_the_same_images_make_it_narrow() -> None:
    g = torch.Generator().manual_seed(4)
    (a, b), (_, stranger) = draw(200, g), draw(200, g)
    assert b.bd_rate(a).std_error < 0.5 * stranger.bd_rate(a).std_error
    same = a.bd_rate(a)
    assert (same.value, same.std_error, same.low, same.high) == (0.0, 0.0, 0.0, 0.0)


def test_the_curve_with_intervals() -> None:
    a, _ = draw(30, torch.Generator().manual_seed(5))
    points = a.points(level=0.9)
    assert len(points) == 5
    for k, point in enumerate(points):
        for estimate, column in ((point.rate, a.rates[:, k]), (point.quality, a.qualities[:, k])):
            low, high = scipy.stats.t.interval(
                0.9, 29, float(column.mean()), float(column.std()) / math.sqrt(30)
            )
            assert estimate.value == pytest.approx(float(column.mean()))
            assert (estimate.low, estimate.high) == (
                pytest.approx(low, rel=1e-4),
                pytest.approx(high, rel=1e-4),
            )
    few = RateDistortion(a.rates[:2] * torch.tensor([[1.0], [300.0]]), a.qualities[:2])
    assert few.points()[0].rate.low == 0.0


def test_settings_in_any_order_and_of_any_number() -> None:
    a, b = draw(9, torch.Generator().manual_seed(6))
    mixed = [3, 0, 4, 1, 2]
    shuffled = RateDistortion(b.rates[:, mixed].numpy(), b.qualities[:, mixed].tolist())
    assert shuffled.bd_rate(a).to_dict() == b.bd_rate(a).to_dict()
    fewer = RateDistortion(b.rates[:, 1:], b.qualities[:, 1:]).bd_rate(a)
    assert fewer.value == pytest.approx(bd_rate(a.rate, a.quality, b.rate[1:], b.quality[1:]))


def test_the_mean_of_the_images_own_deltas() -> None:
    a, b = draw(7, torch.Generator().manual_seed(7))
    own = [bd_rate(a.rates[i], a.qualities[i], b.rates[i], b.qualities[i]) for i in range(7)]
    found = b.mean_bd_rate(a)
    assert found.value == pytest.approx(sum(own) / 7, rel=1e-9)
    assert found.std_error == pytest.approx(float(torch.tensor(own).std()) / math.sqrt(7), rel=1e-5)


def test_little_overlap_is_noted() -> None:
    a, b = draw(6, torch.Generator().manual_seed(8))
    apart = RateDistortion(b.rates, b.qualities + 5)
    (note,) = apart.bd_rate(a).notes
    assert note.kind == "little overlap" and "of their qualities" in str(note)
    assert not b.bd_rate(a).notes


@pytest.mark.parametrize(("shift", "noted"), [(0.12, False), (0.15, True)])
def test_less_than_three_quarters_of_qualities_or_log_rates_is_little(shift: float, noted: bool) -> None:
    at = torch.linspace(0, 1, 5, dtype=torch.float64).expand(2, 5)
    a, b = (RateDistortion(10**logs, logs) for logs in (at, at + shift))
    for estimate in (b.bd_rate(a), b.bd_psnr(a)):
        percents = [note.numbers["percent"] for note in estimate.notes]
        assert percents == ([pytest.approx(100 * (1 - shift) / (1 + shift))] if noted else [])


def test_no_rate_can_fall_by_more_than_all_of_it() -> None:
    a, _ = draw(2, torch.Generator().manual_seed(11))
    b = RateDistortion(a.rates * torch.tensor([[0.01], [0.5]]), a.qualities)
    found = b.mean_bd_rate(a)
    assert found.value == pytest.approx(-74.5) and found.low == -100.0


def test_what_has_no_answer() -> None:
    a, b = draw(6, torch.Generator().manual_seed(9))
    ones = torch.ones(6, 5)
    cases: list[tuple[type[Exception], str, Any]] = [
        (UsageError, "one shape", lambda: RateDistortion(ones, ones[:, 1:])),
        (UsageError, "one shape", lambda: RateDistortion(ones[0], ones[0])),
        (UsageError, "one shape", lambda: RateDistortion(ones[:0], ones[:0])),
        (DataError, "images 1 have others", lambda: RateDistortion(_with(ones, 0.0), ones)),
        (DataError, "images 1 have others", lambda: RateDistortion(ones, _with(ones, math.nan))),
        (UsageError, "expected a RateDistortion", lambda: b.bd_rate((a.rates, a.qualities))),
        (UsageError, "the same 6 images", lambda: b.bd_rate(RateDistortion(a.rates[1:], a.qualities[1:]))),
        (UsageError, "at least 4", lambda: b.bd_rate(RateDistortion(a.rates[:, :3], a.qualities[:, :3]))),
        (UsageError, "level", lambda: b.bd_psnr(a, level=1.0)),
        (UsageError, "level", lambda: b.points(level=0.0)),
        (UsageError, "method", lambda: b.bd_rate(a, method="spline")),
        (DataError, "two images", lambda: _first(b).bd_rate(_first(a))),
        (DataError, "two images", lambda: _first(b).points()),
        (DataError, "does not grow", lambda: RateDistortion(b.rates, -b.qualities).bd_rate(a)),
        (DataError, "share no qualities", lambda: RateDistortion(b.rates, b.qualities + 50).bd_rate(a)),
        (DataError, r"this curve: images 2 have", lambda: _bent(b).mean_bd_rate(a)),
        (DataError, r"\(images 2\)", lambda: _moved(b).mean_bd_rate(a)),
        (DataError, "without one of its images", lambda: _carried(b).bd_rate(a)),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()


def _with(table: Tensor, value: float) -> Tensor:
    table = table.clone()
    table[1, 2] = value
    return table


def _first(curve: RateDistortion) -> RateDistortion:
    return RateDistortion(curve.rates[:1], curve.qualities[:1])


def _bent(curve: RateDistortion) -> RateDistortion:
    qualities = curve.qualities.clone()
    qualities[2, 3] = qualities[2, 1]
    return RateDistortion(curve.rates, qualities)


def _moved(curve: RateDistortion) -> RateDistortion:
    qualities = curve.qualities.clone()
    qualities[2] += 100
    return RateDistortion(curve.rates, qualities)


def _carried(curve: RateDistortion) -> RateDistortion:
    """A curve that grows because of one image alone."""
    qualities = torch.full_like(curve.qualities, 30.0)
    qualities[0] = 30 + torch.arange(5)
    return RateDistortion(curve.rates, qualities)
