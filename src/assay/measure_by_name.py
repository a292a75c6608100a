"""Which measures does a name mean, and how is a measure printed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .checks import nearest_name
from .errors import UsageError
from .joint import Joint
from .set_measure import Measure
from .sets import (
    authenticity,
    cauchy_schwarz,
    chamfer_distance,
    cmmd,
    coverage,
    data_copying,
    density,
    energy_distance,
    feature_likelihood_score,
    frechet_distance,
    inception_score,
    kernel_distance,
    knn_entropy,
    memorization_informed_frechet_distance,
    overfitting_gap,
    prdc,
    precision,
    recall,
    sinkhorn_divergence,
    sliced_wasserstein,
    vendi_score,
)

SHORT: Mapping[str, Measure | Joint] = MappingProxyType(
    {
        "fd": frechet_distance,
        "kd": kernel_distance,
        "prdc": prdc,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "authenticity": authenticity,
        "vendi": vendi_score,
        "is": inception_score,
        "mifd": memorization_informed_frechet_distance,
        "cmmd": cmmd,
        "ct": data_copying,
        "fls": feature_likelihood_score,
        "gap": overfitting_gap,
        "ed": energy_distance,
        "sinkhorn": sinkhorn_divergence,
        "sw": sliced_wasserstein,
        "cs": cauchy_schwarz,
        "chamfer": chamfer_distance,
        "entropy": knn_entropy,
    }
)


DEFAULT_MEASURES = ("fd", "kd", "prdc")
HELD_OUT_MEASURES = ("authenticity", "ct", "fls", "gap")  # what tells memorising from generalising


def measures_by_name(wanted: str | Measure | Joint | Sequence[str | Measure | Joint]) -> list[Measure]:
    """The measures that names mean, in their order, each once; a joint is its members.

    | name | measure |
    |---|---|
    | `fd` | `frechet_distance` |
    | `kd` | `kernel_distance` |
    | `precision`, `recall`, `density`, `coverage` | themselves, with 5 neighbours |
    | `prdc` | those four |
    | `authenticity` | itself |
    | `vendi` | `vendi_score` |
    | `is` | `inception_score` |
    | `mifd` | `memorization_informed_frechet_distance` |
    | `cmmd` | itself; of unit-length CLIP embeddings |
    | `ct` | `data_copying`; needs a held-out set |
    | `fls` | `feature_likelihood_score`; needs a held-out set |
    | `gap` | `overfitting_gap`; needs a held-out set |
    | `ed` | `energy_distance` |
    | `sinkhorn` | `sinkhorn_divergence` |
    | `sw` | `sliced_wasserstein` |
    | `cs` | `cauchy_schwarz` |
    | `chamfer` | `chamfer_distance` |
    | `entropy` | `knn_entropy`, with 3 neighbours |

    Args:
        wanted: short or full names, or measures themselves (with options, or of your own).

    Raises:
        UsageError: an unknown name, with the nearest known one; nothing wanted; two measures of one name; a measure
            of more than three sets.
    """
    entries = [wanted] if isinstance(wanted, (str, Measure, Joint)) else list(wanted)
    found: dict[str, Measure] = {}
    for entry in entries:
        for measure in _members(entry):
            name = printed_name(measure)
            same = found.setdefault(name, measure)
            if same.function is not measure.function or same.options != measure.options:
                raise UsageError(f"measures: two different measures are called {name!r}; rename one of them")
            if len(measure.sides) > 3:
                raise UsageError(
                    f"measures: {name} takes {len(measure.sides)} sets; compare has a real, a generated and a held-out "
                    "one"
                )
    if not found:
        raise UsageError(f"measures: none given; known are {', '.join(SHORT)}")
    return list(found.values())


def printed_name(measure: Measure) -> str:
    """The short name where there is one, with the options that are not the definition's own.

    ``precision.with_options(nearest_k=3)`` prints as ``precision(nearest_k=3)``.
    """
    name = next(
        (s for s, m in SHORT.items() if isinstance(m, Measure) and m.function is measure.function),
        measure.name,
    )
    usual: Mapping[str, Any] = getattr(measure.function, "__kwdefaults__", None) or {}
    changed = [
        f"{k}={_shown(v)}" for k, v in measure.options.items() if v is not usual.get(k) and v != usual.get(k)
    ]
    return f"{name}({', '.join(changed)})" if changed else name


def measure_key(measure: Measure) -> str:
    """One measure with its options, as a text."""
    return f"{measure.name}|{sorted(measure.options.items(), key=str)}"


def fewest_samples(measure: Measure) -> int:
    """How many samples a set must have at least for an estimate of the measure, which looks at halves of it."""
    k = measure.options.get("nearest_k")
    return 2 * (k + 1) if isinstance(k, int) else 4


def _members(entry: str | Measure | Joint) -> Sequence[Measure]:
    if isinstance(entry, str):
        full = {m.name: m for m in SHORT.values()}
        known: Measure | Joint | None = SHORT.get(entry) or full.get(entry)
        if known is None:
            near = nearest_name(entry.lower(), [*SHORT, *full])
            raise UsageError(f"measures: unknown measure {entry!r}{near}; known are {', '.join(SHORT)}")
        entry = known
    if isinstance(entry, Joint):
        return entry.measures
    if isinstance(entry, Measure):
        return (entry,)
    raise UsageError(f"measures: expected names or measures, got {type(entry).__name__}")


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
