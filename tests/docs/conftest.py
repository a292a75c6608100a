"""The script behind the page of error budgets, loaded from where it lies."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "docs" / "error_budgets.py"


@pytest.fixture(scope="session", autouse=True)
def budgets():
    spec = importlib.util.spec_from_file_location("error_budgets", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["error_budgets"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    # torchmetrics imports torchvision where there is one
    module.name_missing_operators()
    yield module
    del sys.modules["error_budgets"]
