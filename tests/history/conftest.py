"""A history in a home of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.history import History


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    return History.at_home()
