"""A population: the last N samples, or fading counts; the value is theirs, the gradient the batch's, whatever N is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from assay import DataError, Moments, UsageError, frechet_distance, kernel_distance, sets, vendi_score
from assay.measure import measure
from assay.scale.progress import reporting
from assay.set_measure import Measure
from assay.statistics.coupling import root_trace

SMOOTH = [v for v in vars(sets).values() if isinstance(v, Measure) and v.differentiable]
TWO = [
    m.with_options(nearest_k=1) if "nearest_k" in m.options else m  # sets as small as the first batches
    for m in SMOOTH
    if len(m.sides) <= 2
]


def drawn(n, seed=0, d=4, m=frechet_distance):
    z = 2 * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return z if m.domain == "features" else z.softmax(1)


def made(m, x, **options):
    return m.objective(reference=x, **options) if len(m.sides) == 2 else m.objective(**options)


def value_of(m, x, samples):
    value = m(x, samples) if len(m.sides) == 2 else m(samples)
    return value if m.best == "min" else -value


def slope(value, leaf):
    return torch.autograd.grad(value, leaf)[0]


def stepped(objective, batch):
    leaf = batch.clone().requires_grad_()
    loss = objective(leaf)
    return loss.detach(), slope(loss, leaf)


@pytest.mark.parametrize("memory", ["queue", "ema"])
@pytest.mark.parametrize("d", [4, 40])
def test_a_population_of_one_batch_is_the_plain_objective(memory, d):
    x = drawn(60, 1, d)
    plain = frechet_distance.objective(reference=x)
    objective = frechet_distance.objective(reference=x, population=20, memory=memory)
    for seed in range(4):
        for got, want in zip(
            stepped(objective, drawn(20, seed, d)), stepped(plain, drawn(20, seed, d)), strict=True
        ):
            assert torch.equal(got, want)


@pytest.mark.parametrize("m", TWO, ids=lambda m: m.name)
def test_a_queue_is_the_last_samples_with_batches_of_any_size(m):
    x = drawn(30, 99, m=m)
    objective = made(m, x, population=20)
    seen = torch.zeros(0, 4, dtype=torch.float64)
    for step, n in enumerate([3, 7, 6, 5, 1, 8, 20, 7, 13, 19, 2, 2]):
        batch = drawn(n, step, m=m)
        if m.statistic is Moments and len(seen) + n < 2:
            continue
        last = torch.cat([seen, batch])[-20:]
        leaf = batch.clone().requires_grad_()
        kept = last[: len(last) - n]
        want = value_of(m, x, torch.cat([kept, leaf]))
        got, mine = stepped(objective, batch)
        assert float(got) == pytest.approx(float(want.detach()), rel=1e-9, abs=1e-9), (step, n)
        assert torch.allclose(mine, slope(want, leaf) * len(last) / n, rtol=1e-7, atol=1e-9), (step, n)
        seen = last


def test_a_queue_of_more_features_than_samples_passes_from_rows_to_sums():
    x, objective = drawn(80, 99, 10), None
    objective = frechet_distance.objective(reference=x, population=33)
    every = torch.zeros(0, 10, dtype=torch.float64)
    for step in range(12):
        batch = drawn(4, step, 10)
        every = torch.cat([every, batch])[-33:]
        got, mine = stepped(objective, batch)
        leaf = batch.clone().requires_grad_()
        want = frechet_distance(x, torch.cat([every[:-4], leaf]))
        assert float(got) == pytest.approx(float(want.detach()), rel=1e-8)
        assert torch.allclose(mine, slope(want, leaf) * len(every) / 4, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("few", [True, False], ids=["few real samples", "many"])
def test_the_reference_may_have_fewer_samples_than_features(few):
    x = drawn(5 if few else 50, 99, 8)
    objective = frechet_distance.objective(reference=x, population=40)
    for step in range(6):
        objective(drawn(10, step, 8))
    leaf = drawn(10, 7, 8).requires_grad_()
    older = objective.population.samples()[10:]
    want = frechet_distance(x, torch.cat([older, leaf]))
    loss = objective(leaf)
    assert float(loss.detach()) == pytest.approx(float(want.detach()), rel=1e-9)
    assert torch.allclose(slope(loss, leaf), 4 * slope(want, leaf), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("m", [frechet_distance, vendi_score], ids=lambda m: m.name)
def test_fading_counts_are_weights_that_shrink_by_the_batchs_share(m):
    x, objective = drawn(60, 99, m=m), None
    objective = made(m, x, population=25, memory="ema")
    rows, counts = torch.zeros(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    for step, n in enumerate([5, 5, 10, 3, 25, 5, 24, 5]):
        batch = drawn(n, step, m=m)
        counts = torch.cat([counts * (1 - n / 25), torch.ones(n, dtype=torch.float64)])
        leaf = batch.clone().requires_grad_()
        whole = m.statistic.of(torch.cat([rows, leaf]), counts)
        sets = (x, whole) if len(m.sides) == 2 else (whole,)
        want = m(*sets) if m.best == "min" else -m(*sets)
        got, mine = stepped(objective, batch)
        assert float(got) == pytest.approx(float(want.detach()), rel=1e-9)
        assert torch.allclose(mine, slope(want, leaf) * float(counts.sum()) / n, rtol=1e-7, atol=1e-10)
        assert objective.population.weight == pytest.approx(float(counts.sum())) and counts.sum() <= 25 + 1e-9
        rows = torch.cat([rows, batch])


@measure(statistic=Moments, best="min", reference="this test")
def by_scatter(x: Moments, y: Moments):
    """Reads the scatter as anybody may, and on both sides."""
    return (y.scatter @ x.scatter @ y.scatter).trace() / y.weight**2 + root_trace(y, x)


def test_a_measure_of_ones_own_may_read_the_scatter():
    x, objective = drawn(60, 99), by_scatter.objective(reference=drawn(60, 99), population=40)
    for step in range(6):
        objective(drawn(10, step))
    leaf = drawn(10, 6).requires_grad_()
    want = by_scatter(x, torch.cat([objective.population.samples()[10:], leaf]))
    loss = objective(leaf)
    assert float(loss.detach()) == pytest.approx(float(want.detach()), rel=1e-9)
    assert torch.allclose(slope(loss, leaf), 4 * slope(want, leaf), rtol=1e-7)


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_twice_the_population_leaves_the_expected_gradient(memory):
    """Unscaled it would be halved. 10%: the mean of 60 batches of 16."""
    x, means = drawn(4000, 99), []
    for size in (320, 640):
        objective = frechet_distance.objective(reference=x, population=size, memory=memory)
        objective.warm_up([drawn(size, 1000) + 1])
        slopes = [stepped(objective, drawn(16, k) + 1)[1].mean(0) for k in range(60)]
        means.append(torch.stack(slopes).mean(0).norm())
    assert float(means[1] / means[0]) == pytest.approx(1, abs=0.1)


def test_sums_do_not_drift_nor_keep_what_has_left():
    """1,000 steps beside a direct computation, after a batch of 1e8 that a plain running sum never forgets."""
    x = drawn(60, 99)
    objective = frechet_distance.objective(reference=x, population=50)
    for step in range(1000):
        batch = drawn(7, step)
        if step == 5:
            batch = batch * 1e8
        objective(batch)
    objective.eval()
    batch = drawn(7, 1000)
    want = frechet_distance(x, torch.cat([objective.population.samples()[7:], batch]))
    assert float(objective(batch)) == pytest.approx(float(want), rel=1e-10)


def test_a_batch_that_is_not_a_number_leaves_with_its_samples():
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    for step in range(60):
        batch = drawn(7, step)
        if step == 10:
            batch[3, 2] = float("nan")
        objective.population.keep(batch, objective.population.joined_by(batch))
    assert bool(torch.isfinite(objective(drawn(7, 60))))


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_only_training_mode_remembers(memory):
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50, memory=memory)
    for step in range(9):
        objective(drawn(10, step))
    objective.eval()
    before = {k: v.clone() for k, v in objective.state_dict().items()}
    value = float(objective(drawn(10, 50)))
    assert float(objective(drawn(10, 50))) == value
    assert all(torch.equal(before[k], v) for k, v in objective.state_dict().items())
    objective.train()
    with torch.no_grad():
        assert float(objective(drawn(10, 50))) == pytest.approx(value, rel=1e-12)
    assert float(objective(drawn(10, 50))) != pytest.approx(value, rel=1e-6)


def test_a_refused_call_is_not_remembered():
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    with pytest.raises(UsageError, match="differ in their number of features"):
        objective(torch.zeros(9, 3))
    assert objective.population.filled == 0
    objective(drawn(9))
    with pytest.raises(UsageError, match="batch: has 3 features, the population's samples have 4"):
        objective(torch.zeros(9, 3))
    with pytest.raises(UsageError, match="population: 50 samples are fewer than the batch's 51"):
        objective(drawn(51))
    assert objective.population.filled == 9


@pytest.mark.parametrize("memory", ["queue", "ema"])
@pytest.mark.parametrize("steps", [0, 2, 9])
def test_the_state_dict_carries_the_population_into_a_fresh_module(memory, steps):
    def fresh():
        return frechet_distance.objective(reference=drawn(60, 99, 6), population=50, memory=memory)

    one, other = fresh(), fresh()
    for step in range(steps):
        one(drawn(11, step, 6))
    other(drawn(40, 77, 6))
    other.load_state_dict(one.state_dict())
    third = copy.deepcopy(one)
    for step in range(20, 23):
        want = stepped(one, drawn(11, step, 6))
        for module in (other, third):
            for a, b in zip(stepped(module, drawn(11, step, 6)), want, strict=True):
                assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_smaller_queue_loads_the_newest():
    one = frechet_distance.objective(reference=drawn(60, 99), population=50)
    for step in range(9):
        one(drawn(11, step))
    other = frechet_distance.objective(reference=drawn(60, 99), population=30)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.population.samples(), one.population.samples()[-30:])


def test_casting_or_moving_the_model_leaves_the_population_exact():
    objective = frechet_distance.objective(reference=drawn(60, 99) + 30, population=50)
    for step in range(9):
        objective(drawn(11, step) + 30)
    objective.eval()
    want = float(objective(drawn(9, 50) + 30))
    torch.nn.Sequential(objective).half()
    assert float(objective(drawn(9, 50) + 30)) == pytest.approx(want, rel=1e-6)
    assert objective.population.rows.dtype == torch.float64


def test_half_precision_batches_and_autocast():
    x = drawn(60, 99).float()
    objective = frechet_distance.objective(reference=x, population=40)
    loss = None
    for step in range(8):
        leaf = drawn(10, step).to(torch.bfloat16).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = objective(leaf)
    assert loss is not None and loss.dtype == torch.float32
    loss.backward()
    assert leaf.grad is not None and leaf.grad.dtype == torch.bfloat16 and bool(leaf.grad.any())
    assert float(loss.detach()) == pytest.approx(
        float(frechet_distance(x, objective.population.samples().float())), rel=1e-5
    )


def test_two_graphs_may_be_alive_at_once():
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    first, second = drawn(30, 1).requires_grad_(), drawn(30, 2).requires_grad_()
    (objective(first) + objective(second)).backward()
    assert first.grad is not None and second.grad is not None


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_warm_up_fills_it_from_an_endless_source_and_stops(memory):
    def endless():
        step = 0
        while True:
            yield drawn(16, step)
            step += 1

    told = []
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50, memory=memory)
    objective(drawn(20, 1234))
    with reporting(lambda *what: told.append(what)):
        assert objective.warm_up(endless()) == 50
    assert told[-1] == ("population", 50, 50)
    samples = torch.cat([drawn(16, k) for k in range(4)])[:50]
    objective.eval()
    batch = drawn(10, 99)
    if memory == "queue":
        want = frechet_distance(drawn(60, 99), torch.cat([samples[10:], batch]))
    else:
        weights = torch.cat([torch.full((50,), 0.8, dtype=torch.float64), torch.ones(10).double()])
        want = frechet_distance(drawn(60, 99), torch.cat([samples, batch]), weights_y=weights)
    assert float(objective(batch)) == pytest.approx(float(want), rel=1e-10)


def test_warm_up_goes_through_a_callable_and_takes_what_there_is():
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    pairs = [(drawn(8, k), "label") for k in range(3)]
    assert objective.warm_up(pairs, lambda pair: pair[0].requires_grad_()) == 24
    assert not objective.population.samples().requires_grad


def test_warm_up_says_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr("assay.warm_up.QUIET_FOR", 0.0)
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    objective.warm_up([drawn(20)])
    assert "population: 20 of 50 samples" in capsys.readouterr().err
    objective.warm_up([drawn(20)], quiet=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_check_and_warm_up_find_what_is_not_a_number(memory):
    bad = drawn(20, 3)
    bad[7, 1] = float("inf")
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50, memory=memory)
    with pytest.raises(DataError, match=r"batches: 1 of 20 samples hold NaN or infinity \(rows 7\)"):
        objective.warm_up([drawn(20), bad])
    with pytest.raises(DataError, match="batches: no samples"):
        objective.warm_up([])
    with pytest.raises(UsageError, match="batches: 3 features, expected 4"):
        objective.warm_up([torch.zeros(5, 3)])
    objective.check()
    objective.check(drawn(9))
    with pytest.raises(DataError, match="batch: 1 of 20"):
        objective.check(bad)
    objective.warm_up([drawn(20)])
    objective.population.keep(bad, objective.population.joined_by(bad))
    with pytest.raises(DataError, match="population: "):
        objective.check()


def test_what_cannot_be():
    x = drawn(60, 99)
    for size in (0, -3, 2.5, True):
        with pytest.raises(UsageError, match="population: expected a whole number"):
            frechet_distance.objective(reference=x, population=size)
    with pytest.raises(UsageError, match='memory: expected "queue"'):
        frechet_distance.objective(reference=x, population=9, memory="fifo")
    with pytest.raises(UsageError, match='memory="ema": kernel_distance needs Samples'):
        kernel_distance.objective(reference=x, population=9, memory="ema")
    with pytest.raises(UsageError, match='gradients: expected "mean"'):
        frechet_distance.objective(reference=x, gradients="avg")
    with pytest.raises(UsageError, match="weights: a population counts every sample once"):
        frechet_distance.objective(reference=x, population=9)(drawn(9), torch.ones(9))
    with pytest.raises(UsageError, match="no population"):
        frechet_distance.objective(reference=x).warm_up([x])


class Largest(TorchDispatchMode):
    """The size of the largest tensor that an operation makes; a queue written into is not made."""

    def __init__(self, but):
        super().__init__()
        self.but, self.seen = but.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.untyped_storage().data_ptr() != self.but:
            self.seen = max(self.seen, out.numel())
        return out


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_a_step_costs_the_same_with_any_population(memory):
    """Counted, not timed: nothing of N rows is made in a step."""
    objective = frechet_distance.objective(reference=drawn(60, 99), population=5000, memory=memory)
    objective.warm_up([drawn(5000)])
    objective(drawn(10, 1))  # the sums are made once
    leaf = drawn(10, 2).requires_grad_()
    with Largest(but=getattr(objective.population, "rows", leaf)) as largest:
        objective(leaf).backward()
    assert 0 < largest.seen < 500


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_what_was_remembered_in_inference_mode_trains(memory):
    """Warmed up, validated and called there, as trainers do, a population goes on like any other."""
    x, batches = drawn(60, 1), [drawn(8, s) for s in range(8)]
    for m in (frechet_distance, kernel_distance) if memory == "queue" else (frechet_distance,):
        inside, outside = (m.objective(reference=x, population=24, memory=memory) for _ in range(2))
        with torch.inference_mode():
            inside.warm_up(batches[:2])
            inside.eval()(batches[2])
            inside.train()(batches[3].clone())
        outside.warm_up(batches[:2])
        outside(batches[3])
        for batch in batches[4:]:
            (got, slope_got), (expected, slope_expected) = stepped(inside, batch), stepped(outside, batch)
            assert float(got) == pytest.approx(float(expected), rel=1e-12)
            assert torch.allclose(slope_got, slope_expected, rtol=1e-9)


def test_a_population_s_gradient_is_not_differentiated_again_by_its_scale():
    """Twice through the factor N / B would be neither the statistic's nor the batch's second derivative."""
    objective = sets.vendi_score.objective(population=40)
    objective(drawn(20, 1))
    batch = drawn(10, 2).requires_grad_()
    (first,) = torch.autograd.grad(objective(batch), batch, create_graph=True)
    with pytest.raises(UsageError, match="no second derivative"):
        torch.autograd.grad(first.sum(), batch)


def test_a_batch_with_nan_says_so():
    objective = frechet_distance.objective(reference=drawn(60, 1), population=40)
    batch = drawn(20, 2)
    batch[3, 1] = float("nan")
    with pytest.raises(DataError, match="NaN or infinity"):
        objective(batch.requires_grad_())
