"""A `Comparison` in Weights & Biases."""

from __future__ import annotations

from typing import Any

from ..comparison import Comparison
from ..errors import MissingExtra, UsageError
from ..report.notebook import as_html
from .logged_values import logged_values


def log_comparison(found: Comparison, run: Any, step: int, *, prefix: str = "assay/") -> None:
    """Log every value, and the table with its notes as HTML, as one entry of the run's history.

    ::

        run = wandb.init(project="generator")
        log_comparison(found, run, step=10_000)

    Args:
        found: the comparison.
        run: what `wandb.init` returned.
        step: of the training. Weights & Biases takes steps in their order only and drops what comes late.
        prefix: before the names, which are those of `assay.adapters.logged_values.logged_values`.

    Raises:
        UsageError: a step before the run's last one; two numbers that would go by one name.
        MissingExtra: wandb is not installed.
    """
    try:
        import wandb
    except ImportError:
        raise MissingExtra("wandb", "wandb", "assay.adapters.wandb") from None
    if step < run.step:
        raise UsageError(
            f"step: {step} comes before {run.step}, where the run is already, and Weights & Biases would drop it; "
            "log comparisons under the step that the other values are logged under"
        )
    values: dict[str, Any] = dict(logged_values(found, prefix))
    values[f"{prefix}comparison"] = wandb.Html(as_html(found))
    run.log(values, step=step)
