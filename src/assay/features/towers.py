"""A loaded network and its preprocessing -> an extractor, whichever package the network is from."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import re
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from assay.errors import DataError, MissingExtra, UsageError
from assay.features.extractor import Extractor, Outputs
from assay.features.network_runner import _in_torch as run_in_torch
from assay.features.network_runner import channels_last
from assay.features.preprocessing import Preprocessing

REVISION = 1  # raised when the features of an image change though weights and preprocessing did not
UNKNOWN_LICENSE = "see the model's page"


class Frozen(nn.Module):
    """A network and the function of it that gives features; in evaluation, whatever `.train()` says."""

    def __init__(self, network: nn.Module, features: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network.float().requires_grad_(False)
        self.features = features
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.features(self.network, x),)

    def train(self, mode: bool = True) -> Frozen:
        return super().train(False)


class FromImages(nn.Module):
    """Float images (B, 3, H, W) in [0, 1] -> features (B, d), differentiable in the images."""

    def __init__(self, tower: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.tower = tower
        self.preprocessing = preprocessing

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.tower(self.preprocessing.of_tensor(images))[0]
        return features


def tower_extractor(
    name: str,
    tower: Frozen,
    preprocessing: Preprocessing,
    *,
    license: str,
    device: torch.device,
    about: str = "",
) -> Extractor:
    """An extractor that runs a loaded network in PyTorch.

    name: as it is asked for, and for messages.
    about: what else decides the features and shows neither in the weights nor in the network's printed form.

    Raises `DataError` where the network does not give finite features (B, d) of a black image.
    """
    size = preprocessing.output
    assert size is not None, "a network from a package has one input size"
    with torch.no_grad():
        probe = tower(torch.zeros(1, 3, *size))[0]
    if probe.ndim != 2 or len(probe) != 1:
        raise DataError(f"{name}: gives {tuple(probe.shape)} for one image, expected features (1, d)")
    if not bool(probe.isfinite().all()):
        raise DataError(f"{name}: gives NaN or infinity for a black image; its weights are damaged")
    identity = "|".join([about, weights_sha256(tower), str(preprocessing), str(REVISION)])
    run = run_in_torch(copy.deepcopy(tower), device)

    def forward(batch: Tensor) -> Outputs:
        return Outputs(run(batch)[0].float(), None)

    def torch_module() -> nn.Module:
        return channels_last(FromImages(copy.deepcopy(tower), preprocessing), device)

    return Extractor(
        name=name,
        dim=probe.shape[1],
        license=license,
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        transform=preprocessing.of_array,
        forward=forward,
        torch_module=torch_module,
    )


def weights_sha256(network: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of a network's tensors, and over its printed form.

    The printed form tells activations apart that leave no weights (two CLIP models may differ in nothing else).
    """
    digest = hashlib.sha256(re.sub(r"0x[0-9a-f]+", "", repr(network)).encode())
    for name, tensor in sorted(network.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"|{name}|{plain.dtype}|{tuple(plain.shape)}|".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """A block that loads another package's network: its pickles are refused, random numbers are left alone."""
    switch = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(switch)
    os.environ[switch] = "1"
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            yield
    finally:
        if before is None:
            del os.environ[switch]
        else:
            os.environ[switch] = before


@contextlib.contextmanager
def importing(package: str, extra: str, name: str) -> Iterator[None]:
    """A block that imports another package, for the model `name`.

    Raises `MissingExtra` where it is not installed, `UsageError` where it is and fails.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtra(error.name or package, extra, name) from error
    except Exception as error:  # an operator that torchvision's build lacks is a RuntimeError
        raise UsageError(
            f"{name}: the package {package} is installed and cannot be imported ({first_line(error)}); where this "
            "speaks of torchvision or an operator, torchvision is of another build than PyTorch: install a pair "
            "of one release and one CUDA version"
        ) from error


def first_line(error: BaseException) -> str:
    """What an exception says, as the start of one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}{'...' if len(text) > 200 else ''}"
