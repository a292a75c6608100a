"""What laws are tried on, and how they compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .set_measure import Measure


class LawBroken(AssertionError):
    """A measure does not keep a law; the message says which, by how much, and on which inputs."""


@dataclass(frozen=True)
class Inputs:
    """One set of samples a side, and a seed for whatever else a law draws.

    Attributes:
        sets: (n, d) float64 a side.
        counts: (n,) whole numbers of at least 1 a side, float64.
        seed: for permutations, splits and directions.
    """

    sets: tuple[Tensor, ...]
    counts: tuple[Tensor, ...]
    seed: int

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def draw_inputs(
    measure: Measure, *, n: int, m: int, d: int, offset: float, scale: float, seed: int
) -> Inputs:
    """Normal samples of different mean and spread a side, or random probabilities for measures of those."""
    generator = torch.Generator().manual_seed(seed)
    sets, counts = [], []
    for k, size in zip(range(len(measure.sides)), (n, m, n + m), strict=False):
        z = torch.randn(size, d, dtype=torch.float64, generator=generator)
        if measure.domain == "probabilities":
            sets.append((2 * z).softmax(1))
        else:
            spread = 1 + 0.5 * torch.rand(d, dtype=torch.float64, generator=generator)
            sets.append(offset + scale * (z * spread + 0.3 * k))
        counts.append(torch.randint(1, 4, (size,), generator=generator).to(torch.float64))
    return Inputs(tuple(sets), tuple(counts), seed)


def weighted(measure: Measure, sets: Any, counts: Any) -> Tensor:
    """The value of sets with counts."""
    weights = {f"weights_{side}": c for side, c in zip(measure.sides, counts, strict=True)}
    return measure(*sets, **weights)


def size(measure: Measure, sets: Any) -> float:
    """The size a value may be said to be small against: the value of the sets as they are, or 1."""
    return max(1.0, abs(float(measure(*sets))), max(float(s.square().sum(1).mean()) for s in sets))


def equal(measure: Measure, law: str, got: Tensor, expected: Tensor, relative: float = 1e-7) -> None:
    """Broken unless both are equal to a relative tolerance, absolute below 1."""
    a, b = float(got), float(expected)
    if not abs(a - b) <= relative * max(1.0, abs(a), abs(b)):
        raise LawBroken(f"{law}: {measure.name} gives {a:.10g}, expected {b:.10g}")


def refuses(call: Callable[[], Any], what: str, words: tuple[str, ...]) -> None:
    """Broken unless the call raises a ValueError whose message holds the words."""
    try:
        result = call()
    except ValueError as error:
        missing = [word for word in words if word not in str(error)]
        if missing:
            raise LawBroken(
                f"bad_input_is_refused: {what}: the message {error} does not say {missing[0]!r}"
            ) from None
        return
    except Exception as error:
        raise LawBroken(
            f"bad_input_is_refused: {what} raised {type(error).__name__} ({error}), not a ValueError"
        ) from None
    raise LawBroken(f"bad_input_is_refused: {what} was accepted and gave {result!r}")
