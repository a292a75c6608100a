"""How does a frozen network run fastest without a gradient? ONNX Runtime on a CPU, PyTorch elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assay.features.kept_file import kept_bytes
from assay.features.onnx_session import session_options

Runner = Callable[[Tensor], tuple[Tensor, ...]]

EXPORT_REVISION = 1
# More images at once fall out of the processor's caches between layers, and gain nothing.
IMAGES_AT_ONCE = 8
EXPORT_PACKAGES = ("torch", "onnx", "onnxscript")


def run_network(network: nn.Module, *, side: int, key: str, device: torch.device) -> Runner:
    """A function from (B, 3, side, side) float32 to the network's outputs on the CPU, without a gradient.

    On a CPU the network is exported to ONNX once, kept in the cache folder under `key` and the versions of
    what made it, and run by ONNX Runtime with as many threads as PyTorch has; outputs agree with PyTorch's
    to 1e-5. Where onnxruntime, onnx or onnxscript is missing, PyTorch runs it, and a warning says so. On
    other devices PyTorch runs it in float32, channels last; TF32 is not used, because it moves features by
    1e-3.

    network: in evaluation, on the CPU; outputs a tuple of tensors whose first axis is the batch.
    key: a file name that changes with the network's weights.
    """
    if device.type != "cpu":
        return _in_torch(network, device)
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        warnings.warn(
            f"{error.name} is not installed: the network runs in PyTorch, about five times slower on a CPU; "
            'pip install "assay[images]"',
            stacklevel=3,
        )
        return _in_torch(network, device)
    try:
        return _in_onnx_runtime(network, side, key)
    except Exception as error:  # an exporter that meets a PyTorch it does not know must stop no measurement
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        warnings.warn(f"ONNX Runtime cannot run the network, PyTorch does instead ({reason})", stacklevel=3)
        return _in_torch(network, device)


def channels_last(module: nn.Module, device: torch.device) -> nn.Module:
    """The module on `device` in the layout that convolutions are fastest in."""
    moved: nn.Module = module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def _in_torch(network: nn.Module, device: torch.device) -> Runner:
    network = channels_last(network, device)

    def run(batch: Tensor) -> tuple[Tensor, ...]:
        # Not inference mode: its tensors could never take part in a gradient again.
        with torch.no_grad(), _full_precision(device):
            x = batch.to(device, torch.float32).contiguous(memory_format=torch.channels_last)
            return tuple(output.cpu() for output in network(x))

    return run


@contextlib.contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        convolutions = getattr(torch.backends.cudnn, "conv", torch.backends.cudnn)
        with _set_to_ieee(convolutions), _set_to_ieee(torch.backends.cuda.matmul):
            yield


@contextlib.contextmanager
def _set_to_ieee(operators: Any) -> Iterator[None]:
    # A PyTorch that has `fp32_precision` raises where the older `allow_tf32` is used beside it.
    modern = hasattr(operators, "fp32_precision")
    switch, exact = ("fp32_precision", "ieee") if modern else ("allow_tf32", False)
    before = getattr(operators, switch)
    setattr(operators, switch, exact)
    try:
        yield
    finally:
        setattr(operators, switch, before)


def _in_onnx_runtime(network: nn.Module, side: int, key: str) -> Runner:
    versions = [f"{name}={importlib.metadata.version(name)}" for name in EXPORT_PACKAGES]
    made_by = hashlib.sha256("|".join([*versions, str(EXPORT_REVISION)]).encode()).hexdigest()[:12]
    session = _session(kept_bytes(f"{key}-{made_by}.onnx.checked", lambda: export_onnx(network, side)))
    names = [output.name for output in session.get_outputs()]
    inputs = session.get_inputs()[0].name

    def run(batch: Tensor) -> tuple[Tensor, ...]:
        images = np.ascontiguousarray(batch.detach().to("cpu", torch.float32).numpy())
        parts = [
            session.run(names, {inputs: images[start : start + IMAGES_AT_ONCE]})
            for start in range(0, max(len(images), 1), IMAGES_AT_ONCE)
        ]
        return tuple(torch.from_numpy(np.concatenate(outputs)) for outputs in zip(*parts, strict=True))

    return run


def _session(model: bytes) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])


def export_onnx(network: nn.Module, side: int) -> bytes:
    """The network as an ONNX model with a free batch axis, as bytes."""
    example = torch.zeros(2, 3, side, side, dtype=torch.float32, device="cpu")
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
        assert program is not None
        model: bytes = program.model_proto.SerializeToString()
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress, warns of its own dependencies and logs what it skips."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
