"""How do images become numbers here, and which measures follow from that?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..comparison import Published, Row
from ..errors import UsageError
from ..measure_by_name import DEFAULT_MEASURES, HELD_OUT_MEASURES
from ..set_measure import Measure
from .compared_sets import ComparedSet
from .opened_sets import Opened
from .published_values import protocol_measures, published_values

if TYPE_CHECKING:
    from ..features import Extractor
    from ..features.protocols import Protocol

DEFAULT_FEATURES = "efficientnet-lite0"


@dataclass(frozen=True)
class SetUp:
    """The extractor with its settings, or a published protocol that fixes both.

    Attributes:
        features: the extractor's name.
        protocol: the row of the table, or None.
        settings: what `assay.features.get_extractor` takes beside; None where nothing was asked for.
    """

    features: str
    protocol: Protocol | None
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, features: str | None, protocol: str | None, **settings: Any) -> SetUp:
        """From what was asked for.

        Raises:
            UsageError: an unknown protocol, or something beside it that it fixes itself.
        """
        if protocol is None:
            return cls(DEFAULT_FEATURES if features is None else features, None, settings)
        from ..features.protocols import get_protocol

        row = get_protocol(protocol)
        fixed = {"features": features, **{k: v for k, v in settings.items() if k not in ("weights", "size")}}
        given = next((name for name, value in fixed.items() if value is not None), None)
        if given is not None:
            raise UsageError(f"{given}: the protocol {protocol} fixes it; leave one of them out")
        return cls(row.extractor, row, {**settings, "crop": row.crop, "resize": row.resize})

    def measures(self, asked: Any, held_out: bool) -> Any:
        """What was asked for, beside what the protocol needs."""
        usual = () if self.protocol is None else tuple(protocol_measures(self.protocol).get("features", ()))
        if asked is None:
            chosen = usual or DEFAULT_MEASURES
            return (*chosen, *HELD_OUT_MEASURES) if held_out else chosen
        listed = list(asked) if isinstance(asked, (list, tuple)) else [asked]
        return [*usual, *listed]

    def other_spaces(self) -> Iterator[tuple[str, list[Measure]]]:
        """Further features of the same pass that the protocol measures, with its measures of them."""
        if self.protocol is not None:
            for space, measures in protocol_measures(self.protocol).items():
                if space != "features":
                    yield space, measures

    def extractor(self, opened: Sequence[Opened], where: torch.device) -> Extractor | None:
        """What images go through; None where no set is of images.

        Raises:
            UsageError: a setting of the extractor where no image is given.
        """
        from ..features import get_extractor

        if any(s.source is not None for s in opened):
            return get_extractor(self.features, device=where, **self.settings)
        given = next((name for name, value in self.settings.items() if value is not None), None)
        if given is not None and self.protocol is None:
            raise UsageError(
                f"{given}: says how images are turned into features, but all sets are features already"
            )
        return None

    def named_or_made(self, device: torch.device | str | None) -> str | Extractor:
        """The extractor's name, or the extractor itself where settings go with it."""
        if all(value is None for value in self.settings.values()):
            return self.features
        from ..features import get_extractor

        return get_extractor(self.features, device=device, **self.settings)

    def published(
        self,
        real: ComparedSet,
        made: Sequence[ComparedSet],
        rows: Sequence[Row],
        labels: Mapping[tuple[str, str], str],
        space: str,
        seed: int,
    ) -> tuple[Published, ...]:
        """The protocol's own values; none without a protocol."""
        if self.protocol is None:
            return ()
        return published_values(self.protocol, real, made, rows, labels, space, seed)
