"""`@measure`: one plain function of statistics becomes value, estimate, influence, metric and objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from torch import Tensor

from .declaration import options_of, positional_of
from .errors import UsageError
from .set_measure import Domain, Law, Measure

# keywords of the verbs, which no option may shadow
RESERVED = frozenset(("of", "level", "paired", "splits", "half_samples", "generator")) | frozenset(
    ("reference", "held_out", "population", "memory", "gradients", "group", "permutations")
)


def measure(
    *,
    statistic: type,
    best: Literal["min", "max"],
    reference: str,
    lower: float | None = None,
    upper: float | None = None,
    laws: Sequence[Law] = (),
    differentiable: bool = True,
    spread: Literal["influences", "half-samples"] = "influences",
    unbiased: bool | Callable[..., bool] = False,
    degenerate: bool = False,
    halves: bool = True,
    given: Sequence[str] = (),
    enough: Callable[[int], int] | None = None,
    domain: Domain = "features",
    exceptions: Mapping[str, str] = MappingProxyType({}),
    null: Callable[..., Tensor] | None = None,
    caveat: str = "",
) -> Callable[[Callable[..., Tensor]], Measure]:
    """Make a measure of a plain function of statistics.

    The function's positional parameters are its sets (`x` the real one, `y` the generated one; or one of them; a third
    one is real data that the generator has not seen, then `x` is what it was trained on), its keyword-only parameters
    the measure's options.

    Args:
        statistic: what the function needs to know of each set; tensors are turned into it.
        best: which direction is better.
        reference: where the definition is published.
        lower, upper: bounds of the value, None where there is none.
        laws: laws of `assay.laws` that hold beside those every measure keeps.
        differentiable: False for a value that is piecewise constant in the samples.
        spread: where the standard error comes from: the influences, or half-samples where the measure is not smooth.
        unbiased: whether the value's expectation is the population's, so that nothing is to be corrected; a function
            of the options where it depends on them.
        degenerate: whether the influences vanish where the two distributions agree (a distance of mean embeddings),
            so that near agreement the spread is of second order, which influences count twice; it is then taken out.
        halves: False where random halves cannot stand for the sets (copies would be parted from their originals): the
            bias is then not corrected.
        given: sides that are what they are and not drawn again, such as the set a generator was trained on: `estimate`
            takes them as exact.
        enough: from the number of features, the number of samples below which the value is mostly sample-size bias.
        domain: what the samples are: any features, or probabilities that sum to 1.
        exceptions: laws every measure keeps that this one does not, by name, each with its reason.
        null: a fast null distribution for `permutation_test`: (pooled samples, first side's counts (n, B), options).
        caveat: what the interval does not hold, in a sentence; it goes with every estimate as a note.

    Raises:
        UsageError: at the definition, where the function has no set or more than three, or an option without a default.
    """

    def decorate(function: Callable[..., Tensor]) -> Measure:
        sides = tuple(p.name for p in positional_of(function))
        options = options_of(function, RESERVED, ("weights_", "clusters_"))
        if not sides:
            raise UsageError(
                f"{function.__name__}: a measure takes at least one set as a positional parameter"
            )
        for name in given:
            if name not in sides:
                raise UsageError(
                    f"{function.__name__}: given: {name!r} is no side; they are {', '.join(sides)}"
                )
        if len(sides) > 3:
            raise UsageError(
                f"{function.__name__}: a measure takes the real set, the generated one and a held-out one at most, "
                f"got {', '.join(sides)}; options go after a *"
            )
        made = Measure(
            name=function.__name__,
            function=function,
            statistic=statistic,
            sides=sides,
            options=MappingProxyType(options),
            best=best,
            lower=lower,
            upper=upper,
            laws=tuple(laws),
            reference=reference,
            differentiable=differentiable,
            spread=spread,
            unbiased=unbiased,
            degenerate=degenerate,
            halves=halves,
            given=tuple(given),
            enough=enough,
            domain=domain,
            exceptions=MappingProxyType(dict(exceptions)),
            null=null,
            caveat=caveat,
        )
        return made

    return decorate
