"""Is it time for a comparison, and what if it cannot be made?"""

from __future__ import annotations

import warnings

from torch import nn

from ..comparison import Comparison
from ..errors import DataError, UsageError
from ..scale.ranks import told_elsewhere
from .during_training import ModelComparison


class EachSoOften:
    """A model compared every so many steps, also where the count of steps goes up by more than one at a time."""

    def __init__(self, comparing: ModelComparison, every: int) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UsageError(f"every: expected a number of steps, at least 1, got {every!r}")
        self.comparing = comparing
        self.every = every
        self._seen = 0

    def start(self, model: nn.Module, step: int) -> None:
        """Training starts, or goes on, at `step`; what is wrong with the real set is raised now."""
        self._seen = step
        self.comparing.prepare(model)

    def at(self, model: nn.Module, step: int) -> Comparison | None:
        """The comparison, where a multiple of `every` was reached since the last call.

        Images that cannot be measured, such as the NaN of a model that diverges, are a warning and no comparison:
        they end no training.
        """
        due = step // self.every > self._seen // self.every
        self._seen = step
        if not due:
            return None
        try:
            return self.comparing(model)
        except DataError as error:
            if not told_elsewhere(error):
                warnings.warn(f"no comparison at step {step}: {error}", stacklevel=2)
            return None
