"""Do the features of the chunks fit together, and what are they together?"""

from __future__ import annotations

from typing import Any

import torch

from ...errors import UsageError
from .nested import replaced, tensors_of


class ChunkFeatures:
    """Features of chunk after chunk, each written to its place once."""

    def __init__(self, name: str, rows: int) -> None:
        self.name = name
        self.rows = rows
        self.structure: Any = None
        self._layout: list[tuple[str, tuple[int, ...], torch.dtype]] = []

    def add(self, span: tuple[int, int], output: Any) -> None:
        """Put what the encoder gave for these samples in its place.

        Raises:
            UsageError: not one row a sample, or another layout than the first chunk's.
        """
        name, rows, found = self.name, span[1] - span[0], list(tensors_of(output))
        if not found:
            raise UsageError(
                f"{name}: returned no tensor but {type(output).__name__}; expected features (n, ...)"
            )
        for path, tensor in found:
            if tensor.ndim == 0 or len(tensor) != rows:
                raise UsageError(
                    f"{name}: its output{path} has shape {tuple(tensor.shape)} for a chunk of {rows} samples; expected "
                    f"one row a sample, ({rows}, ...), so that chunks can be put together. A mean over the chunk is "
                    "not one over the batch: return one value a sample and average in the loss"
                )
        layout = [(path, tuple(t.shape[1:]), t.dtype) for path, t in found]
        if self.structure is None:
            self._layout = layout
            self.structure = replaced(output, lambda t: t.new_empty((self.rows, *t.shape[1:])))
        if layout != self._layout:
            raise UsageError(
                f"{name}: its output changes between chunks: {_shown(self._layout)} for the first, {_shown(layout)} "
                f"for samples {span[0]} to {span[1] - 1}; the features of all samples must have one shape. Where it "
                "depends on the chunk, as with padding to the longest, make it the same for all before"
            )
        for (_, whole), (_, part) in zip(tensors_of(self.structure), found, strict=True):
            whole[slice(*span)] = part


def _shown(layout: list[tuple[str, tuple[int, ...], torch.dtype]]) -> str:
    return ", ".join(
        f"{path}{': ' if path else ''}({', '.join(['n', *map(str, shape)])}) {str(dtype).removeprefix('torch.')}"
        for path, shape, dtype in layout
    )
