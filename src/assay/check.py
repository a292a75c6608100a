"""Does somebody's measure keep the laws? What `assay check module:name` does."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from .check_kinds import Checkable, Kind, Law, kind_of
from .checks import nearest_name
from .errors import MissingExtra, UsageError
from .joint import Joint
from .law_inputs import LawBroken

EXAMPLES = 25  # inputs a law, where time allows
COSTLY = {"compiled_agrees": 2, "zero_in_expectation": 3, "gradient_is_right": 10}


@dataclass(frozen=True)
class Verdict:
    """What was found of one law.

    Attributes:
        law: its name.
        state: "kept" over all examples; "broken"; "exempt" by the measure's own declaration; "unknown" where time
            ran out before the first example.
        examples: how many inputs were tried.
        message: how it is broken, or the reason of the exemption.
        inputs: the smallest inputs found that break it, as `drawn_by` takes them.
        drawn_by: the function that draws them again: `draw_inputs` of `assay.laws` for a set measure.
    """

    law: str
    state: Literal["kept", "broken", "exempt", "unknown"]
    examples: int = 0
    message: str = ""
    inputs: dict[str, float] | None = None
    drawn_by: str = "draw_inputs"


def load_measure(target: str) -> Checkable:
    """The measure that `package.module:name` or `path/to/file.py:name` means; the current folder is looked in first.

    The module is imported, so its code runs.

    Raises:
        UsageError: another form, a module that cannot be imported, no such name, or something that is no measure.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(
            f"{target!r}: expected module:name or path/to/file.py:name, such as my_measures:my_distance"
        )
    found: Any = _module(place)
    for part in name.split("."):
        if not hasattr(found, part):
            measures = (
                [k for k, v in vars(found).items() if isinstance(v, Checkable)]
                if hasattr(found, "__dict__")
                else []
            )
            known = f"; its measures: {', '.join(measures)}" if measures else "; it has no measures"
            raise UsageError(f"{place} has no {name!r}{nearest_name(name, measures)}{known}")
        found = getattr(found, part)
    if isinstance(found, Joint):
        raise UsageError(
            f"{target} is a joint: check its measures one by one: {', '.join(m.name for m in found.measures)}"
        )
    if not isinstance(found, Checkable):
        advice = (
            "; decorate it with @assay.measure(...), @assay.pair_measure(...) or @assay.batch_objective(...)"
            if callable(found)
            else ""
        )
        raise UsageError(f"{target} is no measure but a {type(found).__name__}{advice}")
    return found


def check_measure(measure: Checkable, *, seconds: float = 30.0, seed: int = 0) -> Iterator[Verdict]:
    """Put a measure through its laws, one verdict a law as it is reached.

    Args:
        measure: any measure of sets or pairs, or batch objective.
        seconds: in all, shared out among the laws; a single example may overrun its share.
        seed: of the inputs that are tried; the same seed tries the same ones.

    Yields:
        A verdict for each law: every universal one, exempt ones too, then those that the measure declares.

    Raises:
        MissingExtra: hypothesis is not installed.
        UsageError: an exception from a law that there is not, or a pair measure whose members cannot be drawn.
    """
    _require_hypothesis()
    kind = kind_of(measure)
    for name, reason in measure.exceptions.items():
        if name not in kind.universal:
            raise UsageError(
                f"{measure.name}: exceptions: {name!r} is no universal law{nearest_name(name, kind.universal)}"
            )
        yield Verdict(name, "exempt", message=reason)
    end = time.monotonic() + seconds
    # the one that is slow to start goes last, so that it cannot take the others' time
    laws = sorted(kind.laws, key=lambda law: law.__name__ == "compiled_agrees")
    for k, law in enumerate(laws):
        now = time.monotonic()
        yield _tried(measure, kind, law, now + max(0.0, end - now) / (len(laws) - k), seed)


def verdict_line(verdict: Verdict) -> str:
    """One line for a reader."""
    head = f"{verdict.state:<8}{verdict.law}"
    if verdict.state == "kept":
        return f"{head} ({verdict.examples} input{'s' if verdict.examples != 1 else ''})"
    if verdict.state == "exempt":
        return f"{head}: {verdict.message}"
    if verdict.state == "unknown":
        return f"{head}: no time was left; allow more seconds"
    inputs = ", ".join(f"{k}={v:g}" for k, v in (verdict.inputs or {}).items())
    return f"{head}: {verdict.message}; smallest inputs found: {verdict.drawn_by}(measure, {inputs})"


def _tried(measure: Checkable, kind: Kind, law: Law, until: float, seed: int) -> Verdict:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as with_seed
    from hypothesis import strategies as st

    tried = 0
    failures: list[tuple[dict[str, float], str]] = []

    def example(drawn: dict[str, float]) -> None:
        nonlocal tried
        if time.monotonic() > until and (tried or failures):
            return
        tried += 1
        inputs = {name: drawn[name] for name in kind.choices}
        try:
            law(measure, kind.draw(measure, **inputs))
        except LawBroken as broken:
            # the law's name stands at the line's head already
            failures.append((inputs, str(broken).removeprefix(f"{law.__name__}: ")))
            raise
        except Exception as error:
            failures.append((inputs, f"raises {type(error).__name__}: {' '.join(str(error).split())[:300]}"))
            raise

    wanted = settings(
        max_examples=COSTLY.get(law.__name__, EXAMPLES),
        deadline=None,
        database=None,
        derandomize=False,
        phases=[
            Phase.generate,
            Phase.shrink,
        ],  # said here, as a profile may have been loaded that says otherwise
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    strategies = {
        name: st.integers(values[0], values[-1]) if isinstance(values, range) else st.sampled_from(values)
        for name, values in kind.choices.items()
    }
    run: Callable[[], None] = with_seed(seed)(wanted(given(drawn=st.fixed_dictionaries(strategies))(example)))
    with _quietly():
        try:
            run()
        except Exception:  # kept in `failures`; after the time is up hypothesis calls the law flaky
            if not failures:
                raise
    if failures:
        inputs, message = min(failures, key=lambda f: tuple(abs(v) for v in f[0].values()))
        return Verdict(law.__name__, "broken", tried, message, inputs, kind.drawn_by)
    return Verdict(law.__name__, "kept" if tried else "unknown", tried)


def _module(place: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        path = Path(place).resolve()
        if not path.is_file():
            raise UsageError(f"{place}: no such file")
        if str(path.parent) not in sys.path:  # its neighbours may be imported by it
            sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # a pickled measure is looked up by its module's name; a name that is taken must stay what it is
        sys.modules.setdefault(path.stem, module)
        spec.loader.exec_module(module)
        return module
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        raise UsageError(f"{place}: cannot be imported: {error} (looked in {here} first)") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"{place}: cannot be imported: {type(error).__name__}: {error}") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Compilers and hypothesis warn and print; a verdict is one line."""
    import logging

    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def _require_hypothesis() -> None:
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        raise MissingExtra("hypothesis", "check", "checking a measure") from None
