"""Tables that depend on a size only, made once and kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import TypeVar

import torch

Table = TypeVar("Table")


def kept(count: int) -> Callable[[Callable[..., Table]], Callable[..., Table]]:
    """Keep the last `count` tables a function of numbers, a dtype and a device's name made.

    While a graph is compiled the table is made in it, which a cache around it would hide.
    """

    def decorate(make: Callable[..., Table]) -> Callable[..., Table]:
        @lru_cache(maxsize=count)
        def made(*arguments: Hashable) -> Table:
            # a tensor made under inference mode could not take part in a later backward pass
            with torch.inference_mode(False), torch.no_grad():
                return make(*arguments)

        @wraps(make)
        def table(*arguments: Hashable) -> Table:
            if torch.compiler.is_compiling():
                return make(*arguments)
            return made(*arguments)

        return table

    return decorate
