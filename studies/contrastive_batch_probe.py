"""How much of the classes can be read off frozen features by one linear layer?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DECAY = 1e-3
STEPS = 150


@dataclass(frozen=True)
class Split:
    """Images (n, 28, 28) and their classes: to fit the layer, to choose a learning rate by, to report."""

    fit: tuple[Tensor, Tensor]
    choose: tuple[Tensor, Tensor]
    report: tuple[Tensor, Tensor]


def scaled(images: Tensor) -> Tensor:
    """Bytes (n, 28, 28) -> (n, 1, 28, 28) as the encoder sees them, without anything random."""
    return (images[:, None].float() / 255 - 0.286) / 0.353


@torch.no_grad()
def features_of(encode: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return torch.cat([encode(scaled(block)) for block in images.split(500)])


def fitted(x: Tensor, y: Tensor) -> nn.Linear:
    """Multinomial logistic regression, mean cross-entropy + DECAY / 2 |weights|^2, by L-BFGS from zero."""
    layer = nn.Linear(x.shape[1], 10, device=x.device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(x), y) + 0.5 * DECAY * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return layer


def probe(encode: Callable[[Tensor], Tensor], split: Split) -> dict[str, float]:
    """Shares of right classes, features standardised by those that the layer is fitted to."""
    x = features_of(encode, split.fit[0])
    mean, deviation = x.mean(0), x.std(0).clamp_min(1e-6)
    layer = fitted((x - mean) / deviation, split.fit[1])
    out = {}
    for name, (images, classes) in (("fit", split.fit), ("choose", split.choose), ("report", split.report)):
        said = layer((features_of(encode, images) - mean) / deviation).argmax(1)
        out[name] = float((said == classes).float().mean())
    return out
