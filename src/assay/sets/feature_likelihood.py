"""How likely are held-out samples under a density of the generated ones, and how much likelier are training samples?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..checks import as_samples
from ..errors import UsageError
from ..laws import scales_with, translation_invariant
from ..measure import measure
from ..statistics import Samples
from .mixture import fitted_log_variances, log_density

FITTED = "the widths of the density are fitted by iterations, which no gradient is taken through"
EXCEPTIONS = {"compiled_agrees": "the fit stops by value where nothing moves", "gradient_is_right": FITTED}
SOURCE = "Jiralerspong et al. 2023, arXiv:2302.04440"


@measure(
    statistic=Samples,
    best="min",
    laws=[translation_invariant, scales_with(0)],
    differentiable=False,
    spread="half-samples",
    given=("x",),
    exceptions=EXCEPTIONS,
    reference=SOURCE,
)
def feature_likelihood_score(x: Samples, y: Samples, held_out: Samples, *, steps: int = 100) -> Tensor:
    r"""How unlikely held-out samples are under Gaussians around the generated ones, in hundredths of a nat a feature.

    $$ \mathrm{FLS} = -\frac{100}{d} \, \frac{1}{W} \sum_h w_h \log \sum_j \frac{v_j}{V} N(h; y_j, \sigma_j^2 I) $$

    The widths are those that make the *training* samples likely (with a base measure for those that no generated
    sample is near). A copy of a training sample gets a Gaussian of no width and is of no use to a held-out one:
    fidelity, diversity and novelty in one number. All features are first put to mean 0 and variance 1 of the held-out
    set's.

    Args:
        x: training set, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        held_out: real samples the generator was not trained on, (k, d) features or `Samples`.
        steps: at most so many rounds of the fit.

    Returns:
        A scalar; lower is better. It has no natural zero and falls with the number of generated samples: compare
        generators by the same training set, held-out set and number of samples. `feature_likelihood_divergence`
        subtracts what training samples themselves would reach.

    Raises:
        UsageError: fewer than two held-out samples, or held-out samples that are all equal.

    A feature that is constant over the held-out set is left out: it has no scale, and no density.

    The interval of `estimate` is for this training set and these numbers of samples: it is read from halves of the
    generated and of the held-out samples. Halves of the training set would part copies from their originals.

    Complexity: O((n + k) m d) for distances and O(n m) a round; 512 MiB of distances at most are kept.

    FAQ:
        *Why not the authors' figure to the last digit?* They take up to 50 steps of Adam, at rate 0.5, in float32;
        this goes on towards the maximum of the same likelihood from the same start. On Gaussian samples (300 training,
        150 of the others, 8 and 64 features) their code's scores of 150 to 190 were within 5 of these, their
        divergences within 3, except where samples are copies or nearly so: there both are in the thousands and more.
        *Does it see a lack of diversity?* Of missing modes, yes. But a Gaussian around every sample blurs them, so that
        samples drawn a little towards the mean (truncation) can score better than new ones: read it beside `coverage`.
        *What is a value in the thousands?* A generator that returns training samples and nothing else: how large it
        gets is a matter of the narrowest width allowed (a variance of e^-40), and says only that.
    """
    _, made, test, counts_y, logs = _fitted(x, y, held_out, steps)
    return _score(test, held_out.counts.detach(), made, counts_y, logs)


@measure(
    statistic=Samples,
    best="min",
    laws=[translation_invariant, scales_with(0)],
    differentiable=False,
    spread="half-samples",
    given=("x",),
    exceptions=EXCEPTIONS,
    reference=SOURCE,
)
def overfitting_gap(x: Samples, y: Samples, held_out: Samples, *, steps: int = 100) -> Tensor:
    r"""By how much held-out samples are less likely than training samples, under Gaussians around the generated ones.

    $$ \mathrm{FLS}(\text{held out}) - \mathrm{FLS}(x) $$

    both under the density of `feature_likelihood_score`, in hundredths of a nat a feature. The source prints it with
    the opposite sign, as the generalization gap.

    Args:
        x: training set, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        held_out: real samples the generator was not trained on, (k, d) features or `Samples`.
        steps: at most so many rounds of the fit.

    Returns:
        A scalar; lower is better, and about 0 is as good as it gets. A generator of new samples comes out slightly
        above 0, because the widths were fitted to the training samples; compare with what further held-out samples
        in place of generated ones give. Copies raise it without bound.

    Raises:
        UsageError: as `feature_likelihood_score`.

    Complexity: as `feature_likelihood_score`, whose fit it shares.

    FAQ:
        *How does it relate to `authenticity` and `data_copying`?* See there: this one weighs near copies by how near
        they are, so that a few exact ones show, where the others count and rank.
    """
    train, made, test, counts_y, logs = _fitted(x, y, held_out, steps)
    unseen = _score(test, held_out.counts.detach(), made, counts_y, logs)
    return unseen - _score(train, x.counts.detach(), made, counts_y, logs)


def feature_likelihood_divergence(
    x: Any, y: Any, held_out: Any, *, steps: int = 100, generator: torch.Generator | None = None
) -> Tensor:
    r"""Feature likelihood score less that of training samples in the place of generated ones, FLD as published.

    $$ \mathrm{FLD} = \mathrm{FLS}(x, y, h) - \mathrm{FLS}(x_B, x_A, h) $$

    with x_A and x_B random halves of the training set, x_A of as many samples as y where there are so many. The second
    term depends on no generator: differences of FLD are those of `feature_likelihood_score`, which has an interval.

    Args:
        x: training set, (n, d) features.
        y: generated side, (m, d) features.
        held_out: real samples the generator was not trained on, (k, d) features.
        steps: at most so many rounds of each fit.
        generator: for the halves; the default always draws the same ones.

    Returns:
        A float64 scalar; lower is better. About 0 for a generator as good as new training samples, of the same number.

    Raises:
        UsageError: fewer than four training samples, or as `feature_likelihood_score`.

    Source: Jiralerspong et al. 2023, arXiv:2302.04440. The authors evaluate 10,000 generated samples of DINOv2 features
    against the whole training and test sets, and stop the fit early (see `feature_likelihood_score`).
    """
    samples = as_samples(x, "x").detach()
    if len(samples) < 4:
        raise UsageError(f"x: needs at least 4 training samples to halve, got {len(samples)}")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    made = as_samples(y, "y").detach().to(torch.float64)
    order = torch.randperm(len(samples), generator=generator).to(samples.device)
    size = min(len(made), len(samples) // 2)
    real = samples.to(torch.float64)
    reached = feature_likelihood_score(real[order[size:]], real[order[:size]], held_out, steps=steps)
    return feature_likelihood_score(real, made, held_out, steps=steps) - reached


def _fitted(
    x: Samples, y: Samples, held_out: Samples, steps: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Training, generated and held-out samples in the held-out set's units, counts of y and log variances."""
    if isinstance(steps, bool) or int(steps) != steps or steps < 1:
        raise UsageError(f"steps: expected a whole number of at least 1, got {steps!r}")
    held_out.at_least(2, "held_out")
    counts = held_out.counts.detach()
    test = held_out.features.detach().to(torch.float64)
    seen = counts > 0  # a constant feature is one of the samples that are there
    mean = counts @ test / counts.sum()
    spread = ((counts @ (test - mean).square()) / (counts.sum() - 1)).sqrt()
    varies = (test[seen] != test[seen][0]).any(0)
    if not bool(varies.any()):
        raise UsageError("held_out: all samples are equal, so that no feature has a scale")

    def unified(side: Samples) -> Tensor:
        wide = side.features.detach().to(torch.float64)
        return ((wide - mean) / spread)[:, varies]

    train, made = unified(x), unified(y)
    there = y.counts.detach() > 0
    made, counts_y = made[there], y.counts.detach()[there]
    counts_x = x.counts.detach()
    real = counts_x > 0
    logs = y.once(
        ("log variances", x, held_out, int(steps)),
        lambda: fitted_log_variances(train[real], counts_x[real], made, counts_y, int(steps)),
    )
    return train, made, unified(held_out), counts_y, logs


def _score(samples: Tensor, counts: Tensor, made: Tensor, counts_y: Tensor, logs: Tensor) -> Tensor:
    density = log_density(samples, made, counts_y, logs)
    return -100 / samples.shape[1] * (counts @ density) / counts.sum()
