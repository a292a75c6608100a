"""What every kind of measure shares in being declared by a decorator over one plain function."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from .checks import nearest_name
from .errors import UsageError


def positional_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The function's positional parameters: its sets, members or batch."""
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]


def options_of(
    function: Callable[..., Any], reserved: Collection[str], prefixes: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The function's keyword-only parameters with their defaults.

    Args:
        function: what is declared.
        reserved: keywords of the verbs, which no option may shadow.
        prefixes: beginnings of such keywords.

    Raises:
        UsageError: an option without a default, or with a name that means something else already.
    """
    options = {
        p.name: p.default for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY
    }
    for name, default in options.items():
        if default is inspect.Parameter.empty:
            raise UsageError(f"{function.__name__}: the option {name!r} needs a default")
        if name in reserved or name.startswith(prefixes or ("\0",)):
            raise UsageError(f"{function.__name__}: {name!r} means something else already; rename the option")
    return options


def shown_as(declared: Any, function: Callable[..., Any]) -> None:
    """help(), editors and documentation read the function's own text and signature off the frozen declaration."""
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        object.__setattr__(declared, name, getattr(function, name))
    object.__setattr__(declared, "__wrapped__", function)


def refuse_unknown(name: str, options: Mapping[str, Any], given: Iterable[str]) -> None:
    """Refuse an option the declaration `name` has not got, with the nearest one it has."""
    for option in given:
        if option not in options:
            known = ", ".join(options) or "none"
            raise UsageError(
                f"{name}: unknown option {option!r}{nearest_name(option, options)}; its options: {known}"
            )


def found_again(module: str, qualname: str, options: dict[str, Any]) -> Any:
    """A pickled declaration: its name leads to it, as with functions, because it hides the plain function."""
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found.with_options(**options)
