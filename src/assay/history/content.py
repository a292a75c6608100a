"""Is it the same data as last time?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from ..comparing.compared_sets import ComparedSet


def content_of(one: ComparedSet) -> str:
    """A digest of what was measured of the set: equal digests mean equal samples in the same order.

    Of images it is that of their bytes, with which of them could be read, and the features' fingerprint beside it says
    the rest; of features and statistics it is that of their numbers.
    """
    digest = hashlib.sha256()
    if one.digest is not None:
        digest.update(one.digest.encode())
        if one.positions is not None:
            _add(digest, one.positions)
    elif one.features is not None:
        _add(digest, one.features)
        if one.probabilities is not None:
            _add(digest, one.probabilities)
    else:
        for space, statistic in sorted(one.exact.items()):
            digest.update(space.encode())
            for name, tensor in sorted(statistic.tensors().items()):
                digest.update(name.encode())
                _add(digest, tensor)
    return digest.hexdigest()


def _add(digest: Any, tensor: Tensor) -> None:
    array = tensor.detach().cpu().contiguous().numpy()
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.data if array.size else b"")
