"""The comparison of three sets."""

from __future__ import annotations

import pytest

from assay import Comparison, compare

from .three_sets import FAR, NEAR, REAL


@pytest.fixture(scope="session")
def found() -> Comparison:
    return compare(REAL, {"far": FAR, "near": NEAR}, floor=True, measures=["fd", "kd", "prdc", "vendi"])
