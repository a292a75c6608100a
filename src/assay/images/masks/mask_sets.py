"""Do a model's several masks of one case vary as its several annotators do?"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from ...errors import DataError, UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.transport.entropic import entropic_transport
from .class_mean import safe_ratio

Statistic = Literal["v", "u"]
Divergence = Literal["sinkhorn", "energy"]
AbsentClass = Literal["one", "skip"]
# slow annealing: a few masks whose distances are hundreds of blurs leave a fast one at a plan that is not balanced,
# from which every pass moves the potentials by little more than the regularisation
SCALING, ITERATIONS = 0.99, 5000

ROUNDING = 1e-6  # of probabilities


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    first = torch.rand(n, 4, 2, 6, 6, dtype=torch.float64, generator=generator)
    second = 0.8 * torch.rand(n, 4, 2, 6, 6, dtype=torch.float64, generator=generator)
    return first, second


def _draw_near(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sets less far apart against the blur, whose transport is soon found."""
    first, second = _draw(n, generator)
    return 0.2 * first[:, :3], 0.2 * second[:, :3]


def _sets(prediction: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both as floating-point (B, S, C, *places) of one precision."""
    for name, masks in (("prediction", prediction), ("reference", reference)):
        if masks.ndim not in (5, 6) or masks.is_complex():
            raise UsageError(
                f"{name}: expected (B, S, C, H, W) or (B, S, C, D, H, W), S masks a case, got "
                f"{masks.dtype} {tuple(masks.shape)}"
            )
    if prediction.shape[2:] != reference.shape[2:]:
        raise UsageError(
            f"prediction has masks of {tuple(prediction.shape[2:])} and reference of {tuple(reference.shape[2:])} "
            "(C, *places): both must be of one size"
        )
    wide = torch.promote_types(prediction.dtype, reference.dtype)
    wide = wide if wide.is_floating_point else torch.float32
    return prediction.to(wide), reference.to(wide)


def _distances(x: Tensor, y: Tensor, absent: str) -> Tensor:
    """(B, S, R) one minus the intersection over union of every pair of masks, the classes' mean."""
    a, b = x.flatten(3).transpose(1, 2), y.flatten(3).transpose(1, 2)  # (B, C, S, P)
    common = a @ b.mT
    union = a.sum(3)[..., :, None] + b.sum(3)[..., None, :] - common
    distance = safe_ratio(union - common, union, 0.0)
    if absent == "one":
        return distance.mean(1)
    # a pair of masks that are empty in all classes is in no disagreement
    return distance.sum(1) / (union != 0).sum(1).clamp(min=1)


def _within(distances: Tensor, statistic: str) -> Tensor:
    """(B,) mean distance of a set's masks from each other."""
    number = distances.shape[1]
    pairs = number**2 if statistic == "v" else number * (number - 1)
    own = distances.diagonal(dim1=1, dim2=2).sum(1) if statistic == "u" else 0.0
    return (distances.sum((1, 2)) - own) / pairs


@pair_measure(
    domain="any",
    best="min",
    laws=[symmetric_pairs],
    draw=_draw,
    reference="Kohl et al. 2018, arXiv:1806.05034; Szekely and Rizzo 2013, doi:10.1016/j.jspi.2013.03.018",
)
def generalised_energy_distance(
    prediction: Tensor, reference: Tensor, *, statistic: Statistic = "v", absent: AbsentClass = "one"
) -> Tensor:
    r"""Squared generalised energy distance between a model's masks of a case and its annotators'.

    $$ D^2 = 2 \, \mathbb{E} \, d(s, y) - \mathbb{E} \, d(s, s') - \mathbb{E} \, d(y, y'), \qquad
       d(a, b) = 1 - \mathrm{IoU}(a, b) $$

    with masks s of the model and y of the annotators, and d the mean over the classes. Two masks that lack a class
    both agree on it: d = 0.

    Args:
        prediction: (B, S, C, H, W) or (B, S, C, D, H, W), S masks of every case, one channel a class: truth values, or
            probabilities, which count softly.
        reference: (B, R, C, ...) the annotators' masks; R need not be S.
        statistic: how a set is compared with itself. "v": over all pairs, a mask with itself among them, as in the
            probabilistic U-Net's evaluation; D^2 is then at least 0 for hard masks, and 0 for equal sets. "u": over
            pairs of different masks; free of bias, so that sets of one distribution have a mean of 0 and values may
            be below 0. "u" needs two masks a side.
        absent: what a class counts that both of two masks lack: "one" (agreement, d = 0) or "skip" (the mean is over
            the other classes; where there are none, d = 0).

    Returns:
        (B,), at most 2; lower is better.

    Raises:
        UsageError: other shapes, masks of different sizes, an unknown option, "u" with one mask a side.
        DataError: values outside [0, 1], of which an intersection over union says nothing; not in a compiled graph.

    Complexity: O((S + R)^2 C places) time as products of matrices; memory of the masks.

    FAQ:
        *Which statistic do papers report?* Both, under one name. "v" depends on the numbers: four annotators and 16
        samples of one distribution have a mean of E d (1 / 4 + 1 / 16), so that values at different S or R do not
        compare. "u" compares.

        *With probabilities?* A soft mask is not at distance 0 from itself (see `dice`), so equal soft sets of the
        statistic "v" still have 0, but the value is no distance. Give masks.

        *Without a root?* Papers print the square, and so does this.
    """
    _known("statistic", statistic, get_args(Statistic))
    _known("absent", absent, get_args(AbsentClass))
    x, y = _sets(prediction, reference)
    if not torch.compiler.is_compiling():
        _refuse_beyond(x, "prediction")
        _refuse_beyond(y, "reference")
    if statistic == "u":
        for name, masks in (("prediction", x), ("reference", y)):
            if masks.shape[1] < 2:
                raise UsageError(
                    f"{name}: has one mask a case, and statistic='u' compares different ones; take 'v' or two masks"
                )
    across = _distances(x, y, absent).mean((1, 2))
    return (
        2 * across
        - _within(_distances(x, x, absent), statistic)
        - _within(_distances(y, y, absent), statistic)
    )


@pair_measure(
    domain="any",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    draw=_draw_near,
    reference="Chatterjee et al. 2024, PULASki, doi:10.1016/j.media.2025.103623, arXiv:2312.15686; Feydy et al. 2019, "
    "arXiv:1810.08278",
)
def mask_set_divergence(
    prediction: Tensor, reference: Tensor, *, kind: Divergence = "sinkhorn", blur: float = 0.05
) -> Tensor:
    r"""How far a model's soft masks of a case are from its annotators', as sets of points with a place an axis.

    "sinkhorn", with costs C = |x - y|^2 / 2 over all places and classes and epsilon = blur^2:

    $$ S_\varepsilon(x, y) = \mathrm{OT}_\varepsilon(x, y) - \tfrac12 \mathrm{OT}_\varepsilon(x, x)
       - \tfrac12 \mathrm{OT}_\varepsilon(y, y) $$

    and "energy", half the energy distance:

    $$ E(x, y) = \mathbb{E} |x - y| - \tfrac12 \mathbb{E} |x - x'| - \tfrac12 \mathbb{E} |y - y'| $$

    To train with in place of a loss that compares each mask with each annotation, which drives all masks to the mean.

    Args:
        prediction: (B, S, C, H, W) or (B, S, C, D, H, W), S masks of every case, one channel a class: probabilities.
        reference: (B, R, C, ...) the annotators' masks; R need not be S.
        kind: "sinkhorn" or "energy".
        blur: of the Sinkhorn divergence, the length below which differences are not looked at: a root of a number of
            places.

    Returns:
        (B,) from 0, 0 for equal sets; lower is better. In squared ("sinkhorn") or plain ("energy") distances: a mask
        that differs in k places is k / 2, or the root of k, away.

    Raises:
        UsageError: other shapes, masks of different sizes, an unknown kind, `blur` not above 0.
        DataError: no convergence of the transport, or NaN.

    Complexity: O((S + R)^2 C places) time for the costs, and some 600 passes over them; memory of the masks in double
        precision ("sinkhorn").

    FAQ:
        *Which distances are published?* PULASki's code offers two by networks (Fréchet distances of features: see
        `assay.frechet_distance`), and these two by geomloss. The one it names Hausdorff is geomloss's loss of that
        name with the energy kernel, and that is the kernel norm: half the energy distance.

        *geomloss?* Its "energy" takes a mask to be 1e-4 away from itself, and is smaller by 5e-5 (1 / S + 1 / R). Its
        "sinkhorn" stops after a fast annealing, which on few masks far apart leaves it up to 2 % off; here the
        transport is solved.
    """
    _known("kind", kind, get_args(Divergence))
    if isinstance(blur, bool) or not isinstance(blur, (int, float)) or not 0 < blur < math.inf:
        raise UsageError(f"blur: expected a number above 0, such as 0.05, got {blur!r}")
    x, y = (masks.flatten(2) for masks in _sets(prediction, reference))
    precision = x.dtype
    if kind == "energy":
        across = _lengths(x, y).mean((1, 2))
        apart = across - 0.5 * _lengths(x, x).mean((1, 2)) - 0.5 * _lengths(y, y).mean((1, 2))
        return apart.clamp(min=0.0)
    # costs of thousands of places against a blur of 0.05: single precision rounds them by more than epsilon
    x, y = x.to(torch.float64), y.to(torch.float64)
    cases = x.shape[0]
    epsilon = torch.full((cases,), float(blur) ** 2, dtype=torch.float64, device=x.device)
    a, b = (torch.full(z.shape[:2], 1.0 / z.shape[1], dtype=torch.float64, device=x.device) for z in (x, y))
    whole, *own = (
        entropic_transport(p, q, v, w, epsilon, p=2, scaling=SCALING, iterations=ITERATIONS).value
        for p, q, v, w in ((x, y, a, b), (x, None, a, None), (y, None, b, None))
    )
    return (whole - 0.5 * (own[0] + own[1])).clamp(min=0.0).to(precision)


def _lengths(x: Tensor, y: Tensor) -> Tensor:
    """(B, S, R) Euclidean distances, a mask of x at a time against all of y; gradient zero where they are equal."""
    rows = []
    for k in range(x.shape[1]):
        squared = (x[:, k, None] - y).square().sum(2)
        some = squared != 0
        rows.append(torch.where(some, torch.where(some, squared, 1.0).sqrt(), 0.0))
    return torch.stack(rows, 1)


def _refuse_beyond(masks: Tensor, name: str) -> None:
    low, high = (float(v) for v in masks.detach().aminmax()) if masks.numel() else (0.0, 0.0)
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise DataError(
            f"{name}: values from {low:.4g} to {high:.4g}, expected truth values or probabilities in [0, 1]; divide "
            "255s by 255, make one-hot classes of a label map"
        )


def _known(option: str, value: object, names: tuple[str, ...]) -> None:
    if value not in names:
        raise UsageError(f"{option}: expected one of {', '.join(map(repr, names))}, got {value!r}")
