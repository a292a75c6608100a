"""A `Comparison` in MLflow."""

from __future__ import annotations

import re
import time
from typing import Any

from ..comparison import Comparison
from ..errors import MissingExtra, UsageError
from ..report.notebook import as_html
from .logged_values import logged_values

AT_ONCE = 1000  # metrics that the server takes in one call
NOT_IN_NAMES = re.compile(r"[^\w\-. :/]", re.ASCII)


def log_comparison(
    found: Comparison, run: Any, step: int, *, prefix: str = "assay/", client: Any = None
) -> None:
    """Log every value as a metric, and the table with its notes as an HTML artifact.

    ::

        with mlflow.start_run() as run:
            log_comparison(found, run, step=10_000)

    Args:
        found: the comparison.
        run: an MLflow run, or its id.
        step: of the training.
        prefix: before the names, which are those of `assay.adapters.logged_values.logged_values`; a character that
            MLflow does not take is an underscore in them.
        client: an `mlflow.MlflowClient`; by default one of the current tracking URI.

    Raises:
        UsageError: two numbers that would go by one name.
        MissingExtra: mlflow is not installed.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric
    except ImportError:
        raise MissingExtra("mlflow", "mlflow", "assay.adapters.mlflow") from None
    client = MlflowClient() if client is None else client
    run_id = run if isinstance(run, str) else run.info.run_id
    now = int(1000 * time.time())
    named: dict[str, float] = {}
    for name, value in logged_values(found, prefix).items():
        taken = _taken_name(name)
        if taken in named:
            raise UsageError(f"two numbers of this comparison would be logged as {taken!r}; give other names")
        named[taken] = value
    metrics = [Metric(name, value, now, step) for name, value in named.items()]
    for start in range(0, len(metrics), AT_ONCE):
        client.log_batch(run_id, metrics=metrics[start : start + AT_ONCE])
    client.log_text(run_id, as_html(found), f"{_taken_name(prefix)}comparison-{step}.html")


def _taken_name(name: str) -> str:
    """As MLflow takes names: few characters, and a path that stays below its folder."""
    parts = [NOT_IN_NAMES.sub("_", part) for part in name.split("/")]
    return "/".join("_" if part in (".", "..") else part for part in parts if part) + "/" * name.endswith("/")
