"""The feature likelihood against scipy's densities, a general optimiser, and generators that copy or do not."""

from __future__ import annotations

import math

import pytest
import torch

from assay import UsageError, joint
from assay.sets import feature_likelihood_divergence, feature_likelihood_score, overfitting_gap
from assay.sets.mixture import fitted_log_variances, log_density
from assay.statistics import Samples


def ones(n):
    return torch.ones(n, dtype=torch.float64)


def unified(h, *sides):
    return [(s - h.mean(0)) / h.std(0) for s in (*sides, h)]


def log_likelihood(x, y, logs, log_base):
    """The likelihood that the widths are fitted by, written out over all pairs."""
    d = x.shape[1]
    normal = torch.distributions.Normal(0, 1)
    each = torch.stack(
        [
            normal.log_prob((x - c) / torch.exp(s / 2)).sum(1) - d / 2 * s
            for c, s in zip(y, logs, strict=True)
        ],
        1,
    )
    to_mean = (x - x.mean(0)).square().sum(1)
    base = -0.5 * 0.81 * to_mean / torch.exp(log_base) - d / 2 * (log_base + math.log(2 * math.pi))
    return torch.cat([each - math.log(len(y)), base[:, None]], 1).logsumexp(1).mean()


def test_the_density_is_scipys_mixture(normal):
    stats = pytest.importorskip("scipy.stats")
    z, y, logs = normal(7, 3), normal(4, 3), normal(4)
    counts = torch.tensor([1.0, 2, 1, 3], dtype=torch.float64)
    got = log_density(z, y, counts, logs).exp()
    expected = sum(
        c / 7 * stats.multivariate_normal(m.numpy(), math.exp(s)).pdf(z.numpy())
        for c, m, s in zip(counts.tolist(), y, logs.tolist(), strict=True)
    )
    assert got.numpy() == pytest.approx(expected, rel=1e-10)


def test_one_gaussian_has_a_width_in_closed_form(normal):
    """All training samples on one sphere around the mean: the base and the Gaussian want the same width."""
    x = torch.nn.functional.normalize(normal(200, 5), dim=1)
    x = torch.cat([x, -x])
    logs = fitted_log_variances(x, ones(400), x.new_zeros(1, 5), ones(1), 200)
    assert float(logs.exp()) == pytest.approx(1 / 5, rel=1e-9)
    expected = 50 * (math.log(2 * math.pi / 5) + 1)
    score = -20 * log_density(x, x.new_zeros(1, 5), ones(1), logs).mean()
    assert float(score) == pytest.approx(expected, rel=1e-9)


def test_the_fit_is_the_optimum_that_a_general_optimiser_finds(normal):
    x, y = normal(40, 6), 1.2 * normal(6, 6)
    fitted = fitted_log_variances(x, ones(40), y, ones(6), 3000)
    theta = torch.cat([fitted, torch.zeros(1)]).double().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [theta], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        loss = -log_likelihood(x, y, theta[:-1], theta[-1])
        loss.backward()
        return loss

    with torch.no_grad():  # the base's own width is not handed out: find it first
        grid = torch.linspace(-2, 2, 400, dtype=torch.float64)
        theta[-1] = max(grid, key=lambda s: float(log_likelihood(x, y, fitted, s)))
    before = float(closure().detach())
    optimiser.step(closure)
    after = float(closure().detach())
    assert 0 <= before - after < 1e-4
    assert torch.allclose(theta.detach()[:-1], fitted, atol=1e-3)


def test_the_score_is_the_definition_in_the_held_out_sets_units(normal):
    x, y, h = 3 * normal(60, 4) + 5, 3 * normal(30, 4) + 5, 3 * normal(25, 4) + 5
    train, made, test = unified(h, x, y)
    logs = fitted_log_variances(train, ones(60), made, ones(30), 100)
    expected = [float(-100 / 4 * log_density(s, made, ones(30), logs).mean()) for s in (test, train)]
    assert float(feature_likelihood_score(x, y, h)) == pytest.approx(expected[0], rel=1e-9)
    assert float(overfitting_gap(x, y, h)) == pytest.approx(expected[0] - expected[1], rel=1e-9)


def test_a_known_density_is_reached_from_above(normal):
    """No density of the right family beats the samples' own entropy, and in few features this comes near it."""
    x, y, h = normal(800, 1), normal(400, 1), normal(800, 1)
    unit = (h - h.mean(0)) / h.std(0)
    entropy = -100 * float(torch.distributions.Normal(0, 1).log_prob(unit).mean())
    score = float(feature_likelihood_score(x, y, h, steps=1))
    assert entropy - 2 < score < entropy + 25


def test_memorising_generalising_and_missing_are_told_apart(normal):
    side = torch.cat([torch.ones(50, 1), -torch.ones(50, 1)]).double() * 3  # two modes
    x, h, new = normal(200, 16) + torch.cat([side, side]), normal(100, 16) + side, normal(100, 16) + side
    made = {
        "new": new,
        "a tenth copied": torch.cat([x[45:55], new[5:95]]),
        "half copied": torch.cat([x[25:75], new[25:75]]),
        "copies": x[:100],
        "shifted": new + 1,
        "one mode": torch.cat([new[:50], new[:50] + 0.1 * normal(50, 16)]),
    }
    score = {k: float(feature_likelihood_score(x, y, h, steps=30)) for k, y in made.items()}
    gap = {k: float(overfitting_gap(x, y, h, steps=30)) for k, y in made.items()}
    assert min(score, key=score.get) == "new"
    assert score["new"] < score["half copied"] < score["shifted"] < score["copies"]
    assert abs(gap["new"]) < 5 and abs(gap["shifted"]) < 5
    assert gap["new"] + 20 < gap["a tenth copied"] < gap["half copied"] < gap["copies"]
    assert gap["copies"] > 1e4


def test_samples_drawn_towards_the_mean_are_not_punished(normal):
    """A limit of the method that the documentation names: a Gaussian around every sample blurs, and a narrower set of
    samples makes up for it."""
    x, h, new = normal(200, 16), normal(100, 16), normal(100, 16)
    scores = [float(feature_likelihood_score(x, s * new, h, steps=30)) for s in (1, 0.6)]
    assert scores[1] < scores[0]


def test_divergence_is_about_zero_for_new_samples(normal):
    x, h = normal(300, 12), normal(150, 12)
    values = [float(feature_likelihood_divergence(x, normal(150, 12), h, steps=30)) for _ in range(3)]
    assert abs(sum(values) / 3) < 1.5
    y = normal(150, 12) * 1.3
    default, again, other = (
        float(feature_likelihood_divergence(x, y, h, steps=9, generator=g))
        for g in (None, torch.Generator().manual_seed(0), torch.Generator().manual_seed(5))
    )
    assert default == again != other
    score = [float(feature_likelihood_score(x, s, h, steps=9)) for s in (y, y * 0.9)]
    fld = default - float(feature_likelihood_divergence(x, y * 0.9, h, steps=9))
    difference = score[0] - score[1]
    assert fld == pytest.approx(difference, abs=1e-9)


def test_the_error_is_the_spread_over_redraws_with_the_training_set_as_it_is(normal):
    x = normal(100, 8)
    for measure, option in ((feature_likelihood_score, {}), (overfitting_gap, {})):
        measure = measure.with_options(steps=8, **option)
        values = [float(measure(x, normal(60, 8), normal(60, 8))) for _ in range(25)]
        errors = [
            measure.estimate(x, normal(60, 8), normal(60, 8), half_samples=20).std_error for _ in range(4)
        ]
        assert 0.7 < sum(errors) / 4 / float(torch.tensor(values).std()) < 1.5
    estimate = measure.estimate(x, normal(60, 8), normal(60, 8), half_samples=4)
    assert "x taken as exact" in estimate.method


def test_half_samples_leave_copies_beside_their_originals(normal):
    """Were the training set halved too, half of the copies would look new."""
    x, h = normal(120, 8), normal(60, 8)
    y = torch.cat([x[:60], normal(60, 8)])
    e = overfitting_gap.estimate(x, y, h, half_samples=8)
    assert e.low > 100 and e.low <= e.value <= e.high


def test_a_joint_fits_once(normal, monkeypatch):
    from assay.sets import feature_likelihood as module

    calls = []
    real = module.fitted_log_variances
    monkeypatch.setattr(module, "fitted_log_variances", lambda *a: calls.append(1) or real(*a))
    both = joint(feature_likelihood_score, overfitting_gap)(normal(30, 3), normal(20, 3), normal(20, 3))
    assert set(both) == {"feature_likelihood_score", "overfitting_gap"} and len(calls) == 1


def test_a_constant_feature_is_left_out(normal):
    x, y, h = normal(30, 3), normal(20, 3), normal(20, 3)
    wide = [torch.cat([s, torch.full((len(s), 1), 0.1)], 1) for s in (x, y, h)]
    assert float(feature_likelihood_score(*wide)) == pytest.approx(
        float(feature_likelihood_score(x, y, h)), rel=1e-12
    )


def test_many_blocks_of_distances_are_as_one(normal, monkeypatch):
    from assay.sets import mixture

    x, y, h = normal(50, 3), normal(20, 3), normal(30, 3)
    whole = float(overfitting_gap(x, y, h, steps=5))
    monkeypatch.setattr(mixture, "BLOCK", 64)
    assert float(overfitting_gap(x, y, h, steps=5)) == pytest.approx(whole, rel=1e-10)
    monkeypatch.setattr(mixture, "KEPT", 0)
    assert float(overfitting_gap(x, y, h, steps=5)) == pytest.approx(whole, rel=1e-10)


def test_bad_input_is_one_sentence(normal):
    x, y, h = normal(10, 3), normal(8, 3), normal(9, 3)
    with pytest.raises(UsageError, match="held_out: expected at least 2 samples"):
        feature_likelihood_score(x, y, h[:1])
    with pytest.raises(UsageError, match="held_out: all samples are equal"):
        overfitting_gap(x, y, h[:1].repeat(5, 1))
    with pytest.raises(UsageError, match="steps: expected"):
        feature_likelihood_score(x, y, h, steps=0)
    with pytest.raises(UsageError, match="at least 4 training samples"):
        feature_likelihood_divergence(x[:3], y, h)
    with pytest.raises(UsageError, match="fitted by iterations"):
        overfitting_gap.objective(reference=x, held_out=h)
    assert Samples.of(y).width == 3
