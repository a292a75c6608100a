"""How does a command print to a pipe, and its warnings?"""

from __future__ import annotations

import os
import sys
from typing import Any

from ..printable import printable


def pipe_width() -> dict[str, Any]:
    """A pipe has no width: COLUMNS says it, else 100."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return {}
    return {"width": 100}


def plain_console() -> Any:
    """Where tables go: names in them are text, never colours or pictures."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, markup=False, **pipe_width())


def plain_warnings() -> Any:
    """Warnings as one line each, without the source line they were raised from."""
    import warnings
    from contextlib import contextmanager

    @contextmanager
    def plain() -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(
                f"warning: {printable(' '.join(str(message).split()))}", file=sys.stderr
            )
            yield

    return plain()
