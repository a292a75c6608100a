"""Which samples belong together, and random halves that keep them together."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .errors import UsageError

if TYPE_CHECKING:
    from .contrast import Sampled


@dataclass(frozen=True)
class Units:
    """Which independent unit each sample belongs to.

    Attributes:
        ids: a set's name -> (n,) unit of each row; sets that share units (pairs) share numbers. None where every
            count of the set is a unit of its own.
        blocks: names of sets that are resampled together, each group with its own numbering.
    """

    ids: Mapping[str, Tensor | None]
    blocks: tuple[tuple[str, ...], ...]

    def among(self, rows: Mapping[str, Tensor]) -> Units:
        """The same units for some rows of each set."""
        ids = {name: None if i is None else i[rows[name].cpu()] for name, i in self.ids.items()}
        return Units(ids, self.blocks)

    @property
    def dependent(self) -> bool:
        """Whether any samples hang together."""
        return any(len(block) > 1 for block in self.blocks) or any(
            ids is not None for ids in self.ids.values()
        )

    def variance(self, influence: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> float:
        """The sum over units of the squared sum of w I / W in the unit; independent sets' variances add."""
        variance = 0.0
        for block in self.blocks:
            present = [name for name in block if name in influence]
            if not present:
                continue
            if self.ids[present[0]] is None:  # every count is a unit, of the block's sets together
                each = sum(influence[name] / counts[name].sum() for name in present)
                variance += float((counts[present[0]] * each**2).sum())
                continue
            size = max(int(ids.max()) for ids in (self.ids[n] for n in present) if ids is not None) + 1
            sums = torch.zeros(size, dtype=torch.float64, device=influence[present[0]].device)
            for name in present:
                ids = self.ids[name]
                assert ids is not None
                w = counts[name]
                sums.index_add_(0, ids.to(sums.device), (w * influence[name] / w.sum()).to(sums.device))
            variance += float(sums.square().sum())
        return variance


def unit_ids(sampled: Mapping[str, Sampled], pairs: Sequence[str]) -> Units:
    """Units from the sides' clusters and from pairing.

    Raises:
        UsageError: pairs of different lengths or weights, clusters of a wrong length, a side given as a statistic.
    """
    ids: dict[str, Tensor | None] = {}
    for name, side in sampled.items():
        if side.exact is not None:
            if name in pairs:
                raise UsageError(f"paired: {name} is a statistic; pairs need the samples of both sides")
            continue
        ids[name] = None if side.clusters is None else _labels(side.clusters, len(side.filled()), name)
    blocks: list[tuple[str, ...]] = [(name,) for name in ids if name not in pairs]
    if pairs:
        first = pairs[0]
        size = len(sampled[first].filled())
        for name in pairs:
            if len(sampled[name].filled()) != size:
                raise UsageError(
                    f"paired: {first} has {size} samples and {name} {len(sampled[name].filled())}; pairs need as many"
                )
            if not torch.equal(sampled[name].filled().cpu(), sampled[first].filled().cpu()):
                raise UsageError(f"paired: {first} and {name} have different weights")
        clusters = [labels for labels in (ids[name] for name in pairs) if labels is not None]
        if not all(torch.equal(clusters[0], other) for other in clusters[1:]):
            raise UsageError(
                "paired: the sides' clusters differ; pass one labelling, as a pair belongs to one cluster"
            )
        shared = clusters[0] if clusters else None
        for name in pairs:
            ids[name] = shared
        blocks.append(tuple(pairs))
    return Units(ids, tuple(blocks))


def draw_halves(
    sampled: Mapping[str, Sampled], units: Units, generator: torch.Generator
) -> dict[str, Tensor] | None:
    """A random half of the units of every sampled set; None where one has fewer than four.

    Returns:
        For each set the share (n,) of each row's count that falls into the first half. Sets of one block are split
        alike; a sample of count 2 is two units and may be split.
    """
    shares: dict[str, Tensor] = {}
    draw = int(torch.randint(2**31, (), generator=generator))
    for block in units.blocks:
        # a set's halves depend on its name, not on how many other sets are drawn before it
        own = torch.Generator().manual_seed(draw ^ zlib.crc32(block[0].encode("utf-8", "surrogateescape")))
        ids = units.ids[block[0]]
        if ids is None:  # the counts are the units; sets of a block have the same
            share = half_of_counts(sampled[block[0]].filled(), own)
        else:
            share = _half_of_units(ids, own)
        if share is None:
            return None
        for name in block:
            samples = sampled[name].samples
            assert samples is not None
            shares[name] = share.to(samples.device)
    return shares


def _half_of_units(ids: Tensor, generator: torch.Generator) -> Tensor | None:
    size = int(ids.max()) + 1
    if size < 4:
        return None
    chosen = torch.zeros(size, dtype=torch.float64)
    chosen[torch.randperm(size, generator=generator)[: size // 2]] = 1
    return chosen[ids.cpu()]


def half_of_counts(counts: Tensor, generator: torch.Generator) -> Tensor | None:
    """Half of the total count, drawn without replacement; a fraction of a count falls whole to one half."""
    counts = counts.cpu()
    n = len(counts)
    if bool((counts == 1).all()):
        if n < 4:
            return None
        share = torch.zeros(n, dtype=torch.float64)
        share[torch.randperm(n, generator=generator)[: n // 2]] = 1
        return share
    whole = counts.floor().to(torch.int64)
    total = int(whole.sum()) + int((counts > whole).sum())
    if total < 4:
        return None
    seed = int(torch.randint(2**62, (), generator=generator))
    draws = np.random.default_rng(seed)
    pool = np.concatenate([whole.numpy(), (counts > whole).numpy().astype(np.int64)])
    taken = torch.from_numpy(draws.multivariate_hypergeometric(pool, total // 2, method="marginals"))
    got = taken[:n] + taken[n:] * (counts - whole)
    return torch.where(counts > 0, got / torch.where(counts > 0, counts, 1.0), 0.0)


def _labels(labels: Any, n: int, name: str) -> Tensor:
    """Cluster labels of any kind as numbers from 0."""
    array = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.shape != (n,):
        raise UsageError(f"clusters_{name}: expected one label a sample, shape ({n},), got {array.shape}")
    if array.dtype == object:
        array = array.astype(str)
    return torch.from_numpy(np.unique(array, return_inverse=True)[1].astype(np.int64))
