"""Do the intervals cover? Redraws from known populations against what `estimate` says of each of them.

For each case (populations, sizes, how the samples hang together) and each measure, `--redraws` data sets are drawn,
and over them are compared

* the mean of `value` and of `corrected` with the population's value,
* the spread (standard deviation) of `corrected` with the mean of `std_error`,
* how often the interval holds the population's value.

The population's value is a closed form for the Fréchet and kernel distances (populations are mixtures of Gaussians,
whose moments and Gaussian integrals are known), the value of one very large sample for the Vendi and inception scores,
and for the neighbour measures, whose value belongs to its sample size, the mean over the redraws themselves.

    python studies/coverage.py --redraws 200 --out studies/coverage.json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import assay
from assay.estimate import Estimate

D = 32
CLASSES = 10
BANDWIDTH = 8.0  # about the median distance of two standard normal samples of 32 features
LARGE = 1_000_000
NEIGHBOURS = ("precision", "recall", "density", "coverage")


# -- populations whose measures are known ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Population:
    """A mixture of Gaussians: shares (c,), means (c, d), covariances (c, d, d)."""

    shares: Tensor
    means: Tensor
    covariances: Tensor

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        which = torch.multinomial(self.shares, n, replacement=True, generator=generator)
        z = torch.randn(n, self.means.shape[1], dtype=torch.float64, generator=generator)
        roots = torch.linalg.cholesky(self.covariances)
        out = torch.empty_like(z)
        for c in range(len(self.shares)):
            out[which == c] = z[which == c] @ roots[c].T + self.means[c]
        return out

    def mean(self) -> Tensor:
        return self.shares @ self.means

    def second(self) -> Tensor:
        """E x x^T."""
        outer = self.means[:, :, None] * self.means[:, None, :]
        return (self.shares[:, None, None] * (self.covariances + outer)).sum(0)

    def covariance(self) -> Tensor:
        return self.second() - torch.outer(self.mean(), self.mean())

    def third(self) -> Tensor:
        """E x x x, (d, d, d)."""
        total = torch.zeros((self.means.shape[1],) * 3, dtype=torch.float64)
        for p, m, c in zip(self.shares, self.means, self.covariances, strict=True):
            mixed = (
                m[:, None, None] * c[None]
                + m[None, :, None] * c[:, None, :]
                + m[None, None, :] * c[:, :, None]
            )
            total += p * (torch.einsum("i,j,k->ijk", m, m, m) + mixed)
        return total


def gaussian(mean: float = 0.0, *, spread: Tensor | None = None, d: int = D) -> Population:
    covariance = torch.eye(d, dtype=torch.float64) if spread is None else spread
    return Population(
        torch.ones(1, dtype=torch.float64), torch.full((1, d), mean, dtype=torch.float64), covariance[None]
    )


def rotated_spread(seed: int, low: float, high: float, d: int = D) -> Tensor:
    """A covariance with variances evenly between two numbers along random directions."""
    q, _ = torch.linalg.qr(
        torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    )
    return (q * torch.linspace(low, high, d, dtype=torch.float64)) @ q.T


def heavy(d: int = D) -> Population:
    """Three clusters of different sizes, one of them wide: far from a Gaussian in its third and fourth moments."""
    g = torch.Generator().manual_seed(11)
    means = torch.randn(3, d, dtype=torch.float64, generator=g) * torch.tensor([[0.6], [0.6], [0.0]])
    covariances = torch.stack(
        [0.5 * torch.eye(d, dtype=torch.float64)] * 2 + [4 * rotated_spread(5, 0.4, 1.6, d)]
    )
    return Population(
        torch.tensor([0.5, 0.4, 0.1], dtype=torch.float64), means.to(torch.float64), covariances
    )


def frechet(x: Population, y: Population) -> float:
    shift = (x.mean() - y.mean()).square().sum()
    a, b = x.covariance(), y.covariance()
    roots = torch.linalg.eigvals(a @ b).real.clamp_min(0).sqrt().sum()
    return float(shift + a.trace() + b.trace() - 2 * roots)


def cubic_expectation(x: Population, y: Population) -> Tensor:
    """E (<x, y> / d + 1)^3 over independent x and y."""
    gamma = 1 / x.means.shape[1]
    first = x.mean() @ y.mean()
    second = (x.second() * y.second()).sum()
    third = (x.third() * y.third()).sum()
    return 1 + 3 * gamma * first + 3 * gamma**2 * second + gamma**3 * third


def rbf_expectation(x: Population, y: Population) -> Tensor:
    """E exp(-|x - y|^2 / (2 s^2)), s = BANDWIDTH, over independent x and y."""
    total = torch.zeros((), dtype=torch.float64)
    eye = torch.eye(x.means.shape[1], dtype=torch.float64)
    for p, m, c in zip(x.shares, x.means, x.covariances, strict=True):
        for q, k, e in zip(y.shares, y.means, y.covariances, strict=True):
            both = eye + (c + e) / BANDWIDTH**2
            far = (m - k) @ torch.linalg.solve(both, m - k) / BANDWIDTH**2
            total += p * q * torch.exp(-0.5 * far - 0.5 * torch.logdet(both))
    return total


def mmd(expectation: Callable[[Population, Population], Tensor], x: Population, y: Population) -> float:
    return float(expectation(x, x) + expectation(y, y) - 2 * expectation(x, y))


# -- cases ----------------------------------------------------------------------------------------------------------


Draw = Callable[[torch.Generator], tuple[tuple[Tensor, ...], dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """One population, size and dependence, its measures and their true values (None: the redraws' mean)."""

    name: str
    n: int
    d: int
    draw: Draw
    measures: Mapping[str, assay.Measure | assay.Joint]
    truths: Mapping[str, float | None]
    truth_from: str


KD = assay.kernel_distance.with_options(kernel=assay.polynomial(width=D))
KD_RBF = assay.kernel_distance.with_options(kernel=assay.rbf(BANDWIDTH))


def two_sets(name: str, x: Population, y: Population, *, n: int = 500, only_fd: bool = False) -> list[Case]:
    def draw(g: torch.Generator) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        return (x.draw(n, g), y.draw(n, g)), {}

    distances: dict[str, assay.Measure | assay.Joint] = {"fd": assay.frechet_distance}
    truths: dict[str, float | None] = {"fd": frechet(x, y)}
    if only_fd:
        return [Case(name, n, D, draw, distances, truths, "closed form")]
    distances |= {"kd": KD, "kd_rbf": KD_RBF}
    truths |= {"kd": mmd(cubic_expectation, x, y), "kd_rbf": mmd(rbf_expectation, x, y)}
    return [
        Case(name, n, D, draw, distances, truths, "closed form"),
        Case(name, n, D, draw, {"prdc": assay.prdc}, dict.fromkeys(NEIGHBOURS), "mean over the redraws"),
    ]


def one_set(name: str, y: Population, *, n: int = 500) -> Case:
    large = y.draw(LARGE, torch.Generator().manual_seed(1))
    truth = float(assay.vendi_score(large))
    return Case(
        name, n, D, lambda g: ((y.draw(n, g),), {}), {"vendi": assay.vendi_score}, {"vendi": truth},
        f"one sample of {LARGE}",
    )  # fmt: skip


def to_probabilities(z: Tensor, sharpness: float) -> Tensor:
    """Class probabilities of samples: a fixed random linear classifier."""
    g = torch.Generator().manual_seed(21)
    weight = torch.randn(z.shape[1], CLASSES, dtype=torch.float64, generator=g) / z.shape[1] ** 0.5
    return (sharpness * (z @ weight)).softmax(1)


def predictions(name: str, sharpness: float, *, n: int = 500) -> Case:
    population = gaussian()
    large = population.draw(LARGE, torch.Generator().manual_seed(2))
    truth = float(assay.inception_score(to_probabilities(large, sharpness)))
    return Case(
        name, n, CLASSES, lambda g: ((to_probabilities(population.draw(n, g), sharpness),), {}),
        {"inception": assay.inception_score}, {"inception": truth}, f"one sample of {LARGE}",
    )  # fmt: skip


def paired(name: str, *, n: int = 500) -> list[Case]:
    """Reconstructions: y = 0.9 x + 0.3 z, row by row."""
    x, y = gaussian(), gaussian(spread=(0.81 + 0.09) * torch.eye(D, dtype=torch.float64))

    def draw(g: torch.Generator) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        real = x.draw(n, g)
        return (real, 0.9 * real + 0.3 * torch.randn(n, D, dtype=torch.float64, generator=g)), {
            "paired": True
        }

    truths = {"fd": frechet(x, y), "kd": mmd(cubic_expectation, x, y), "kd_rbf": mmd(rbf_expectation, x, y)}
    return [
        Case(
            name,
            n,
            D,
            draw,
            {"fd": assay.frechet_distance, "kd": KD, "kd_rbf": KD_RBF},
            truths,
            "closed form",
        ),
        Case(name, n, D, draw, {"prdc": assay.prdc}, dict.fromkeys(NEIGHBOURS), "mean over the redraws"),
    ]


def clustered(name: str, *, n: int = 500, size: int = 4) -> list[Case]:
    """Several samples a prompt: y = 0.3 + sqrt(0.6) prompt + sqrt(0.4) z, four samples sharing each prompt."""
    x, y = gaussian(), gaussian(0.3)

    def generated(g: torch.Generator) -> Tensor:
        prompts = torch.randn(n // size, D, dtype=torch.float64, generator=g).repeat_interleave(size, 0)
        return 0.3 + 0.6**0.5 * prompts + 0.4**0.5 * torch.randn(n, D, dtype=torch.float64, generator=g)

    labels = torch.arange(n) // size

    def draw(g: torch.Generator) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        return (x.draw(n, g), generated(g)), {"clusters_y": labels}

    def alone(g: torch.Generator) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        return (generated(g),), {"clusters_y": labels}

    vendi = float(assay.vendi_score(y.draw(LARGE, torch.Generator().manual_seed(3))))
    truths = {"fd": frechet(x, y), "kd": mmd(cubic_expectation, x, y), "kd_rbf": mmd(rbf_expectation, x, y)}
    return [
        Case(
            name,
            n,
            D,
            draw,
            {"fd": assay.frechet_distance, "kd": KD, "kd_rbf": KD_RBF},
            truths,
            "closed form",
        ),
        Case(name, n, D, alone, {"vendi": assay.vendi_score}, {"vendi": vendi}, f"one sample of {LARGE}"),
        Case(name, n, D, draw, {"prdc": assay.prdc}, dict.fromkeys(NEIGHBOURS), "mean over the redraws"),
    ]


def all_cases() -> list[Case]:
    plain, shifted = gaussian(), gaussian(0.25, spread=rotated_spread(3, 0.6, 1.8))
    cases = [
        *two_sets("equal", plain, plain),
        *two_sets("shifted", plain, shifted),
        *two_sets("mixture", shifted, heavy()),
    ]
    for factor in (2, 4, 10, 31, 62):
        cases += two_sets(f"equal, n = {factor}d", plain, plain, n=factor * D, only_fd=True)
        cases += two_sets(f"shifted, n = {factor}d", plain, shifted, n=factor * D, only_fd=True)
    return [
        *cases,
        one_set("isotropic", plain),
        one_set("shifted", shifted),
        one_set("mixture", heavy()),
        predictions("unsure classes", 1.0),
        predictions("sure classes", 6.0),
        *paired("paired"),
        *clustered("clustered"),
    ]


# -- redraws ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """What the redraws of one case say of one measure."""

    case: str
    measure: str
    n: int
    d: int
    redraws: int
    truth: float
    truth_from: str
    mean_value: float
    mean_corrected: float
    spread: float
    mean_std_error: float
    ratio: float | None  # None where the redraws do not vary
    coverage: float


def run(case: Case, redraws: int, *, seed: int = 0) -> list[Row]:
    """The rows of one case; the same seed gives the same draws."""
    found: dict[str, list[Estimate]] = {}
    for k in range(redraws):
        sets, keywords = case.draw(torch.Generator().manual_seed(1000 * seed + k))
        for name, measure in case.measures.items():
            got = measure.estimate(*sets, **keywords, generator=torch.Generator().manual_seed(k))
            for each, estimate in ({name: got} if isinstance(got, Estimate) else got).items():
                found.setdefault(each, []).append(estimate)
    return [_row(case, name, estimates) for name, estimates in found.items()]


def _row(case: Case, name: str, estimates: list[Estimate]) -> Row:
    value, corrected, error, low, high = (
        torch.tensor([getattr(e, what) for e in estimates], dtype=torch.float64)
        for what in ("value", "corrected", "std_error", "low", "high")
    )
    given = case.truths[name]
    truth = float(corrected.mean()) if given is None else given
    spread = float(corrected.std())
    return Row(
        case=case.name,
        measure=name,
        n=case.n,
        d=case.d,
        redraws=len(estimates),
        truth=truth,
        truth_from=case.truth_from,
        mean_value=float(value.mean()),
        mean_corrected=float(corrected.mean()),
        spread=spread,
        mean_std_error=float(error.mean()),
        ratio=float(error.mean()) / spread if spread else None,
        coverage=float(((low <= truth) & (truth <= high)).to(torch.float64).mean()),
    )


def write(rows: list[Row], path: Path, settings: Mapping[str, Any]) -> None:
    text = json.dumps({"settings": dict(settings), "rows": [asdict(row) for row in rows]}, indent=2) + "\n"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redraws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="run the cases whose name holds this")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    print(
        f"{'case':22} {'measure':10} {'n':>5} {'truth':>9} {'value':>9} {'corrected':>9} {'ratio':>6} covered"
    )
    start = time.monotonic()
    for case in all_cases():
        if arguments.only and arguments.only not in case.name:
            continue
        for row in run(case, arguments.redraws, seed=arguments.seed):
            rows.append(row)
            within = row.ratio is None or (0.90 <= row.coverage <= 0.99 and 0.85 <= row.ratio <= 1.5)
            ratio, outside = (
                ("-" if row.ratio is None else f"{row.ratio:.2f}"),
                ("" if within else "  outside"),
            )
            print(
                f"{row.case:22} {row.measure:10} {row.n:5d} {row.truth:9.4g} {row.mean_value:9.4g} "
                f"{row.mean_corrected:9.4g} {ratio:>6} {100 * row.coverage:5.1f}%{outside}",
                flush=True,
            )
    settings = {
        "redraws": arguments.redraws,
        "seed": arguments.seed,
        "level": 0.95,
        "assay": assay.__version__,
    }
    write(rows, arguments.out, settings)
    print(f"{len(rows)} rows in {time.monotonic() - start:.0f} s: {arguments.out}")


if __name__ == "__main__":
    main()
