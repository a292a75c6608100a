"""What has a pass put into the cache, and what does it hold of it meanwhile?"""

from __future__ import annotations

from pathlib import Path

from assay.errors import DataError
from assay.features.cache import FullDisk, ShardCache, shown_bytes
from assay.features.claims import Claim
from assay.features.shard import Shard


class Keeping:
    """What this pass has put into the cache, and what it holds of it meanwhile."""

    def __init__(self, cache: ShardCache | None, total: int) -> None:
        self._cache = cache
        self._total = total
        self._images = 0
        self._bytes = 0
        self.claims: list[Claim] = []

    def keep(self, key: str, claim: Claim | None, shard: Shard) -> Path | None:
        path = None
        if self._cache is not None and not shard.fleeting:
            try:
                kept = self._cache.keep(key, shard)
            except FullDisk as error:
                raise self._full(error, shard.total) from None
            if kept:
                path = self._cache.path(key)
                self._images += shard.total
                self._bytes += kept
        self.let_go(claim)
        return path

    def let_go(self, claim: Claim | None) -> None:
        """Give up the claim, so that nobody waits for a shard that will not be kept: a later one of this pass least."""
        if claim is not None:
            claim.release()
            self.claims.remove(claim)

    def beat(self) -> None:
        for claim in self.claims:
            claim.beat()

    def release_all(self) -> None:
        while self.claims:
            self.claims.pop().release()

    def _full(self, error: FullDisk, images: int) -> DataError:
        need = (self._bytes + error.size) / (self._images + images) * (self._total - self._images)
        return DataError(
            f"the disk of {error.folder} is full: about {shown_bytes(need)} more are needed to keep the features "
            f"({shown_bytes(error.free)} are free); make room (assay cache trim --to 1GB), set ASSAY_HOME to another "
            "disk, or keep nothing (--no-cache / cache=False); what was kept so far is found again"
        )
