"""A comparison every so many steps, as a callback of Lightning."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from ..comparison import Comparison
from ..errors import MissingExtra
from .during_training import ModelComparison
from .each_so_often import EachSoOften
from .logged_values import logged_values

Look = Callable[[Comparison, int], None]


def comparison_callback(
    comparing: ModelComparison, *, every: int, prefix: str = "assay/", look: Look | None = None
) -> Any:
    """A Lightning callback that compares the module with the real set every so many optimiser steps.

    ::

        comparing = ModelComparison(sample, "real/", n=5_000, value_range=(-1, 1), measures=["fd", "kd"])
        trainer = Trainer(callbacks=[comparison_callback(comparing, every=1_000)])

    Args:
        comparing: what is made and what it is compared with; `sample` is called with the `LightningModule`.
        every: optimiser steps (`trainer.global_step`, where each of several optimisers counts).
        prefix: before the names, which are those of `assay.adapters.logged_values.logged_values`.
        look: called as `look(comparison, step)` on rank 0, to write a report or log more.

    Returns:
        A `lightning.pytorch.Callback`, or one of `pytorch_lightning` where that is what was imported. The values go to
        `self.log_dict`, so that `ModelCheckpoint(monitor="assay/fd")` and early stopping see them, on every rank the
        same, and to the trainer's loggers under `trainer.global_step`, also at steps at which Lightning logs nothing.

    The real set is made ready when training starts; what is wrong with it is raised then. Images that cannot be
    measured during training are a warning. All ranks take part, see `ModelComparison`.

    Raises:
        UsageError: `every` below 1.
        MissingExtra: neither lightning nor pytorch-lightning is installed.
    """
    return _callback_class(_lightning())(EachSoOften(comparing, every), prefix, look)


def _lightning() -> Any:
    """The package that the trainer is of: each takes its own callbacks only."""
    if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
        import pytorch_lightning

        return pytorch_lightning
    try:
        import lightning.pytorch

        return lightning.pytorch
    except ImportError:
        pass
    try:
        import pytorch_lightning

        return pytorch_lightning
    except ImportError:
        raise MissingExtra("lightning", "lightning", "assay.adapters.lightning") from None


@cache
def _callback_class(package: Any) -> type:
    """The class, made when a callback is first asked for, so that importing this file does not import Lightning."""

    class ComparisonCallback(package.Callback):  # type: ignore[misc]
        def __init__(self, turns: EachSoOften, prefix: str, look: Look | None) -> None:
            super().__init__()
            self._turns, self._prefix, self._look = turns, prefix, look

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self._turns.start(pl_module, trainer.global_step)

        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            step = trainer.global_step
            found = self._turns.at(pl_module, step)
            if found is None:
                return
            values = logged_values(found, self._prefix)
            # Not to the loggers by this way, which leads there at every `log_every_n_steps` only.
            self.log_dict(values, on_step=True, on_epoch=False, logger=False)
            for logger in trainer.loggers:
                logger.log_metrics(values, step=step)
            if self._look is not None and trainer.is_global_zero:
                self._look(found, step)

    return ComparisonCallback
