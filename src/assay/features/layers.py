"""What do the layers inside a network give? Images -> a tuple of feature maps, as perceptual measures take them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from assay.checks import nearest_name
from assay.errors import UsageError

Triple = tuple[float, float, float]
# of a call: a layer's map by name, and how often it had been written to
Found = dict[str, tuple[Tensor, int]]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION: Triple = (0.229, 0.224, 0.225)


class Layers(nn.Module):
    """Images (B, C, H, W) in [0, 1] -> one feature map a name, in the order of the names; see `layers_of`.

    It is frozen and for inference: `.train()` leaves it in evaluation, and only the images receive gradients. It
    follows the images to their device at the first call, and computes in their precision.

    Attributes:
        names: of the layers.
        smallest: the least height and width of an image.
    """

    def __init__(
        self, network: nn.Module, names: Sequence[str], mean: Triple | None, deviation: Triple, smallest: int
    ) -> None:
        super().__init__()
        parts = dict(network.named_modules())
        self.names, self.smallest = tuple(names), smallest
        self.network = network.requires_grad_(False)
        self.mean: Tensor | None
        self.deviation: Tensor | None
        state = next(chain(network.parameters(), network.buffers()), None)
        device = None if state is None else state.device
        for name, triple in (("mean", mean), ("deviation", deviation)):
            value = None if mean is None else torch.tensor(triple, device=device).view(3, 1, 1)
            self.register_buffer(name, value)
        # of each thread that is in a call
        self._found: dict[int, Found] = {}
        for part in parts.values():
            if getattr(part, "inplace", False):
                # it would overwrite the map of the layer before it
                part.inplace = False
        for name in self.names:
            parts[name].register_forward_hook(partial(_keep, self._found, name, len(self.names)))
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        self._check(images)
        if self.mean is not None and self.deviation is not None:
            images = (images - self.mean.to(images.dtype)) / self.deviation.to(images.dtype)
        found: Found = {}
        self._found[_thread()] = found
        try:
            self._run(images)
        except _AllFound:
            pass
        finally:
            del self._found[_thread()]
        for name in self.names:
            if name not in found:
                raise UsageError(f"names: {name!r} does not run in the network's forward pass")
            if _version(found[name][0]) != found[name][1]:
                raise UsageError(
                    f"names: the map of {name!r} is overwritten by an in-place operation after it; take the layer "
                    "whose output the network goes on with"
                )
        return tuple(found[name][0] for name in self.names)

    def _run(self, images: Tensor) -> None:
        state = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        narrow = {k: v for k, v in state.items() if v.is_floating_point() and v.dtype != images.dtype}
        if not narrow:
            self.network(images)
            return
        cast = {k: v.to(images.dtype) for k, v in narrow.items()}
        if torch.compiler.is_compiling():
            functional_call(self.network, cast, (images,))
            return
        # the modules again around cast weights: exchanged in place, they would be there for other threads' calls too
        memo: dict[int, Any] = {id(v): cast.get(k, v) for k, v in state.items()}
        memo[id(self._found)] = self._found
        copy.deepcopy(self.network, memo)(images)

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or (self.mean is not None and images.shape[1] != 3):
            raise UsageError(
                f"images: expected (B, 3, H, W) for this network, got {tuple(images.shape)}; repeat a single channel "
                "three times with .expand(-1, 3, -1, -1)"
            )
        if not images.is_floating_point():
            raise UsageError(
                f"images: expected floating-point images in [0, 1], got {images.dtype}; of 8-bit images take "
                "images.float() / 255"
            )
        if min(images.shape[2:]) < self.smallest:
            raise UsageError(
                f"images: {images.shape[2]} x {images.shape[3]} is too small for the layers {', '.join(self.names)}: "
                f"expected at least {self.smallest} x {self.smallest}; enlarge the images or take earlier layers"
            )
        state = next(chain(self.parameters(), self.buffers()), None)
        if state is not None and state.device != images.device:
            if torch.compiler.is_compiling():
                raise UsageError(
                    f"the network is on {state.device} and the images on {images.device}: "
                    "move it with .to(device) before compiling"
                )
            # weights moved in inference mode could take part in no later backward pass
            with torch.inference_mode(False):
                self.to(images.device)

    def train(self, mode: bool = True) -> Layers:
        return super().train(False)

    def extra_repr(self) -> str:
        return ", ".join(self.names)


def layers_of(
    network: nn.Module,
    names: Sequence[str],
    *,
    mean: Triple | None = None,
    deviation: Triple = (1.0, 1.0, 1.0),
) -> Layers:
    r"""The feature maps of any network's layers: images (B, C, H, W) -> a tuple of tensors, one a name.

    A frozen copy of the network is taken, in evaluation: what happens to the network later changes nothing, and
    gradients reach the images only. The layers after the last one asked for do not run.

    Args:
        network: a module that takes one batch of images.
        names: of its parts, as `network.named_modules()` has them; a part's map is what it gave when it first ran.
        mean, deviation: a channel; the network sees (images - mean) / deviation. No normalisation where mean is None.

    Returns:
        A module, called with images; to be given as `features` to the perceptual measures.

    Raises:
        UsageError: no names, one twice, or one that the network has not got, a deviation without a mean; and, when
            called, a layer that gives no tensor or whose map an operation after it overwrites.

    FAQ:
        *In-place activations?* `nn.ReLU(inplace=True)` after a tapped convolution would replace its map. In the copy
        every such module works out of place. An in-place operation written in a `forward` (`out += x`) cannot be
        switched off and is an error: tap the layer whose output is used next.

        *A network that is still training, such as a discriminator?* Measures take any function of images that gives a
        tuple of maps: write one that calls the network itself.

        *A compiled network?* Its hooks do not run: what it was compiled of is taken, names as there. Compile what this
        gives.

        *Half precision?* Weights are used in the images' precision; the perceptual measures pass float32.
    """
    # `torch.compile` wraps a module, and runs what it made of it in its place
    network = getattr(network, "_orig_mod", network)
    if isinstance(names, str) or not names:
        raise UsageError(
            f"names: expected the names of one or more layers, such as ['{_some_name(network)}']"
        )
    known = [name for name, _ in network.named_modules() if name]
    for name in names:
        if name not in known:
            raise UsageError(
                f"names: the network has no layer {name!r}{nearest_name(name, known)}; its last ones are "
                f"{', '.join(known[-5:])}"
            )
    if len(set(names)) < len(names):
        raise UsageError(f"names: each layer once, not {', '.join(names)}")
    if mean is None and tuple(deviation) != (1.0, 1.0, 1.0):
        raise UsageError(f"deviation: {deviation} does nothing without a mean; give mean=(0.0, 0.0, 0.0)")
    return Layers(copy.deepcopy(network), names, mean, deviation, 1)


class _AllFound(Exception):
    """Nothing after the last tapped layer needs to run."""


def _keep(
    calls: dict[int, Found], name: str, count: int, _module: nn.Module, _inputs: Any, output: Any
) -> None:
    found = calls.get(_thread())
    if found is None:  # the network was called by itself
        return
    if not isinstance(output, Tensor):
        raise UsageError(f"names: the layer {name!r} gives {type(output).__name__}, not a tensor")
    found.setdefault(name, (output, _version(output)))
    # a compiler drops what is not used by itself, and cannot trace the jump
    if len(found) == count and not torch.compiler.is_compiling():
        raise _AllFound


def _thread() -> int:
    """Threads that share the module must not find each other's maps."""
    return 0 if torch.compiler.is_compiling() else threading.get_ident()


def _version(tensor: Tensor) -> int:
    """How often it was written to, where PyTorch counts that."""
    return 0 if torch.compiler.is_compiling() or tensor.is_inference() else tensor._version


def _some_name(network: nn.Module) -> str:
    return next((name for name, _ in network.named_modules() if name), "layer")
