"""A generator by its name: found in the current folder, called as one that is given, and refused in one sentence."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from assay.data.named_sampler import sampler_by_name
from assay.errors import UsageError


def whole(source):
    return np.stack([source.decode(i) for i in range(len(source))])


def test_a_generator_by_name_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "my_generator_module.py").write_text(
        "import torch\n"
        "from assay.data.sampler import sampler\n"
        "def levels(k):\n    return torch.randint(0, 256, (k, 3, 4, 4), dtype=torch.uint8)\n"
        "def floats(k):\n    return torch.rand(k, 3, 4, 4)\n"
        "ready = sampler(floats, n=6, value_range=(0, 1))\n"
        "class Both:\n    levels = staticmethod(levels)\n"
        "number = 3\n"
    )
    (tmp_path / "my_broken_module.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    try:
        source = sampler_by_name("my_generator_module:levels", 5)
        assert len(source) == 5 and source.description == "sampler my_generator_module:levels"
        np.testing.assert_array_equal(
            whole(source), whole(sampler_by_name("my_generator_module:Both.levels", 5))
        )
        assert sampler_by_name("my_generator_module:floats", 2, value_range=(0, 1)).decode(1).shape == (
            4,
            4,
            3,
        )
        assert len(sampler_by_name("my_generator_module:ready")) == 6
        for target, message in {
            "my_generator_module": "expected module:name",
            ":levels": "expected module:name",
            "my_generator_module:level": "has no 'level'; it has .*levels, floats",
            "my_generator_module:number": "not int",
            "no_such_module_here:f": "no_such_module_here cannot be imported .looked in",
            "my_broken_module:f": "my_broken_module cannot be imported: ZeroDivisionError",
        }.items():
            with pytest.raises(UsageError, match=message):
                sampler_by_name(target, 5)
        with pytest.raises(UsageError, match="is a set of 6 images, and 5"):
            sampler_by_name("my_generator_module:ready", 5)
    finally:
        sys.modules.pop("my_generator_module", None)
    assert sys.path == before
