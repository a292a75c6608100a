"""A comparison every so many steps, in Hugging Face's Trainer."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

from ..comparison import Comparison
from ..errors import MissingExtra
from .during_training import ModelComparison
from .each_so_often import EachSoOften
from .logged_values import logged_values

Look = Callable[[Comparison, int], None]


def add_comparison(
    trainer: Any, comparing: ModelComparison, *, every: int, prefix: str = "assay/", look: Look | None = None
) -> Any:
    """Let a `transformers.Trainer` compare its model with the real set every so many optimiser steps.

    ::

        comparing = ModelComparison(sample, "real/", n=5_000, value_range=(-1, 1), measures=["fd", "kd"])
        add_comparison(trainer, comparing, every=1_000)
        trainer.train()

    Args:
        trainer: the trainer, before `train()`.
        comparing: what is made and what it is compared with; `sample` is called with the trainer's model.
        every: optimiser steps (`state.global_step`).
        prefix: before the names, which are those of `assay.adapters.logged_values.logged_values`. The trainer's
            reporters put `train/` before it, unless it starts with `eval_`.
        look: called as `look(comparison, step)` on rank 0, to write a report or log more.

    Returns:
        The `transformers.TrainerCallback` that was added, for `trainer.remove_callback`. The values go through
        `trainer.log`: into `trainer.state.log_history` and whatever the trainer reports to.

    The real set is made ready when training starts; what is wrong with it is raised then. Images that cannot be
    measured during training are a warning. All ranks take part, see `ModelComparison`, which a loop written with
    Accelerate calls itself.

    Raises:
        UsageError: `every` below 1.
        MissingExtra: transformers is not installed.
    """
    callback = _callback_class()(weakref.ref(trainer), EachSoOften(comparing, every), prefix, look)
    trainer.add_callback(callback)
    return callback


@cache
def _callback_class() -> type:
    """The class, made when a callback is first asked for, so that importing this file does not import transformers."""
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise MissingExtra("transformers", "transformers", "assay.adapters.hugging_face") from None

    class ComparisonCallback(TrainerCallback):  # type: ignore[misc]
        def __init__(self, trainer: Any, turns: EachSoOften, prefix: str, look: Look | None) -> None:
            # only a reference: the trainer holds the callback, and neither would be freed before the other
            self._trainer, self._turns, self._prefix, self._look = trainer, turns, prefix, look

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._turns.start(kwargs["model"], state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            found = self._turns.at(kwargs["model"], state.global_step)
            if found is None:
                return
            self._trainer().log(logged_values(found, self._prefix))
            if self._look is not None and state.is_world_process_zero:
                self._look(found, state.global_step)

    return ComparisonCallback
