"""Every name that a package says it has is there."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import assay

PACKAGES = ["assay", *(m.name for m in pkgutil.walk_packages(assay.__path__, "assay.") if m.ispkg)]


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_said_to_be_there_is_there(name):
    package = importlib.import_module(name)
    said = getattr(package, "__all__", [])
    assert [each for each in said if not hasattr(package, each)] == []
    assert len(set(said)) == len(said)


def test_the_front_door_says_what_it_has():
    assert "energy_distance" in assay.__all__
