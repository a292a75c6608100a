"""The Inception graph of the FID: the network published on 2015-12-05, whose features every printed FID is of.

Architecture: Szegedy et al. 2015, arXiv:1512.00567, as TensorFlow's `classify_image_graph_def.pb` has it. It is not
the Inception of today's model collections: its average pools leave the padding out of the mean, the last block
pools by the maximum, and it has 1008 classes. Parts carry the names of the published PyTorch weights, so that these
load as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 299
FEATURES = 2048
CLASSES = 1008
SPATIAL_CHANNELS = 7
EPSILON = 1e-3

Pool = Literal["average", "maximum"]


@dataclass(frozen=True)
class Conv:
    """Convolution, norm, ReLU. With stride 1 the size is kept, with stride 2 nothing is padded."""

    name: str
    outputs: int
    kernel: int | tuple[int, int]
    stride: int = 1


# A branch is a chain; a pair of convolutions in it is a fork whose two results are joined.
Branch = tuple[Conv | tuple[Conv, Conv], ...]


@dataclass(frozen=True)
class Block:
    """Branches over one input, joined in this order, and one that pools first.

    pool: of the last branch, 3 x 3. pooled: channels of the convolution after it, or 0 for none, and then the pool
    has stride 2.
    """

    branches: tuple[Branch, ...]
    pool: Pool
    pooled: int


def _block_a(pooled: int) -> Block:
    return Block(
        (
            (Conv("branch1x1", 64, 1),),
            (Conv("branch5x5_1", 48, 1), Conv("branch5x5_2", 64, 5)),
            (
                Conv("branch3x3dbl_1", 64, 1),
                Conv("branch3x3dbl_2", 96, 3),
                Conv("branch3x3dbl_3", 96, 3),
            ),
        ),
        "average",
        pooled,
    )


def _block_c(narrow: int) -> Block:
    return Block(
        (
            (Conv("branch1x1", 192, 1),),
            (
                Conv("branch7x7_1", narrow, 1),
                Conv("branch7x7_2", narrow, (1, 7)),
                Conv("branch7x7_3", 192, (7, 1)),
            ),
            (
                Conv("branch7x7dbl_1", narrow, 1),
                Conv("branch7x7dbl_2", narrow, (7, 1)),
                Conv("branch7x7dbl_3", narrow, (1, 7)),
                Conv("branch7x7dbl_4", narrow, (7, 1)),
                Conv("branch7x7dbl_5", 192, (1, 7)),
            ),
        ),
        "average",
        192,
    )


def _block_e(pool: Pool) -> Block:
    def fork(name: str) -> tuple[Conv, Conv]:
        return Conv(f"{name}a", 384, (1, 3)), Conv(f"{name}b", 384, (3, 1))

    return Block(
        (
            (Conv("branch1x1", 320, 1),),
            (Conv("branch3x3_1", 384, 1), fork("branch3x3_2")),
            (Conv("branch3x3dbl_1", 448, 1), Conv("branch3x3dbl_2", 384, 3), fork("branch3x3dbl_3")),
        ),
        pool,
        192,
    )


# of the names' numbers, the first is the depth and the last the kernel
STEM = (
    Conv("Conv2d_1a_3x3", 32, 3, stride=2),
    Conv("Conv2d_2a_3x3", 32, 3),
    Conv("Conv2d_2b_3x3", 64, 3),
    Conv("Conv2d_3b_1x1", 80, 1),
    Conv("Conv2d_4a_3x3", 192, 3),
)
UNPADDED = {"Conv2d_2a_3x3", "Conv2d_4a_3x3"}
POOL_AFTER = {"Conv2d_2b_3x3", "Conv2d_4a_3x3"}
BLOCKS = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": Block(
        (
            (Conv("branch3x3", 384, 3, stride=2),),
            (
                Conv("branch3x3dbl_1", 64, 1),
                Conv("branch3x3dbl_2", 96, 3),
                Conv("branch3x3dbl_3", 96, 3, stride=2),
            ),
        ),
        "maximum",
        0,
    ),
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": Block(
        (
            (Conv("branch3x3_1", 192, 1), Conv("branch3x3_2", 320, 3, stride=2)),
            (
                Conv("branch7x7x3_1", 192, 1),
                Conv("branch7x7x3_2", 192, (1, 7)),
                Conv("branch7x7x3_3", 192, (7, 1)),
                Conv("branch7x7x3_4", 192, 3, stride=2),
            ),
        ),
        "maximum",
        0,
    ),
    "Mixed_7b": _block_e("average"),
    "Mixed_7c": _block_e("maximum"),
}
# In the TensorFlow graph this block is `mixed_6`; its first branch, `mixed_6/conv`, is the map of the spatial features.
SPATIAL_BLOCK = "Mixed_6d"


class _ConvNorm(nn.Module):
    def __init__(self, inputs: int, spec: Conv) -> None:
        super().__init__()
        height, width = spec.kernel if isinstance(spec.kernel, tuple) else (spec.kernel, spec.kernel)
        padded = spec.stride == 1 and spec.name not in UNPADDED
        padding = (height // 2, width // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inputs, spec.outputs, (height, width), spec.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(spec.outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    def __init__(self, inputs: int, spec: Block) -> None:
        super().__init__()
        self.spec = spec
        self.outputs = 0
        for branch in spec.branches:
            channels = inputs
            for step in branch:
                steps = step if isinstance(step, tuple) else (step,)
                for conv in steps:
                    self.add_module(conv.name, _ConvNorm(channels, conv))
                channels = sum(conv.outputs for conv in steps)
            self.outputs += channels
        if spec.pooled:
            self.branch_pool = _ConvNorm(inputs, Conv("branch_pool", spec.pooled, 1))
        self.outputs += spec.pooled or inputs

    def forward(self, x: Tensor) -> Tensor:
        joined = []
        for branch in self.spec.branches:
            y = x
            for step in branch:
                if isinstance(step, tuple):
                    y = torch.cat([self.get_submodule(conv.name)(y) for conv in step], 1)
                else:
                    y = self.get_submodule(step.name)(y)
            joined.append(y)
        return torch.cat([*joined, self._pool(x)], 1)

    def _pool(self, x: Tensor) -> Tensor:
        if not self.spec.pooled:
            return functional.max_pool2d(x, 3, 2)
        if self.spec.pool == "maximum":
            pooled = functional.max_pool2d(x, 3, 1, 1)
        else:
            pooled = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        y: Tensor = self.branch_pool(pooled)
        return y


class InceptionNetwork(nn.Module):
    """Images (B, 3, 299, 299) with values in [-1, 1] -> features, logits, spatial features.

    features: (B, 2048), the mean over the last 8 x 8 map; not negative.
    logits: (B, 1008), the features times the classifier's weights **without its bias**: what the Inception score's
        own code takes the softmax of, and every package after it. `classifier(features)` adds the bias.
    spatial: (B, 2023), the first 7 channels of the 17 x 17 map `mixed_6/conv`, position by position.

    It is for inference: `.train()` leaves it in evaluation.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for conv in STEM:
            self.add_module(conv.name, _ConvNorm(channels, conv))
            channels = conv.outputs
        for name, spec in BLOCKS.items():
            block = _Mixed(channels, spec)
            self.add_module(name, block)
            channels = block.outputs
        self.fc = nn.Linear(FEATURES, CLASSES)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        for conv in STEM:
            x = self.get_submodule(conv.name)(x)
            if conv.name in POOL_AFTER:
                x = functional.max_pool2d(x, 3, 2)
        spatial = x
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
            if name == SPATIAL_BLOCK:
                # positions first, as the TensorFlow graph's maps are laid out and ADM's statistics are of
                spatial = x[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
        features = x.mean((2, 3))
        return features, functional.linear(features, self.fc.weight), spatial

    def classifier(self, features: Tensor) -> Tensor:
        """The 1008 logits with their bias, (B, 1008)."""
        logits: Tensor = self.fc(features)
        return logits

    def train(self, mode: bool = True) -> InceptionNetwork:
        return super().train(False)
