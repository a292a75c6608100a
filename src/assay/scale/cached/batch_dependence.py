"""Which modules' output for one sample depends on the other samples of the batch, or on the batches before?"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from ...errors import UsageError

Versions = dict[str, tuple[Tensor, int]]


def refuse_batch_dependence(encoder: nn.Module, name: str) -> None:
    """Refuse layers that normalise over the batch, or average over batches.

    Raises:
        UsageError: naming the first such module, how many there are, and the ways out.
    """
    found = [(path, module, why) for path, module in encoder.named_modules() if (why := _why(module))]
    if not found:
        return
    path, module, why = found[0]
    where = f"{name}.{path}" if path else name
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    frozen = (
        f"freeze the statistics ({where}.eval() for each of them, again after every {name}.train())"
        if getattr(module, "running_mean", None) is not None
        else "give it running statistics (track_running_stats=True) and freeze them with .eval()"
    )
    raise UsageError(
        f"{where}{more}: {type(module).__name__} {why}, so the gradient over chunks is not that of the whole batch. "
        f"Two ways out: {frozen}, or use a layer that looks at one sample alone (GroupNorm, LayerNorm)"
    )


def _why(module: nn.Module) -> str | None:
    if isinstance(module, _BatchNorm):
        if module.training:
            return "in training mode makes every output depend on the whole batch"
        if module.running_mean is None:
            return "without running statistics makes every output depend on the whole batch"
    if isinstance(module, _InstanceNorm) and module.training and module.running_mean is not None:
        return (
            "in training mode averages its running statistics over batches, and would count each chunk twice"
        )
    return None


def versions(tensors: dict[str, Tensor]) -> Versions:
    """Which tensors these are and how often each was written to; costs no look at the values."""
    return {name: (tensor, _version(tensor)) for name, tensor in tensors.items()}


def changed(before: Versions, now: dict[str, Tensor]) -> str | None:
    """The name of the first tensor that was written to or exchanged since."""
    for name, tensor in now.items():
        if name not in before or before[name][0] is not tensor or before[name][1] != _version(tensor):
            return name
    return None


def refuse_changed_buffers(before: Versions, encoder: nn.Module, name: str) -> None:
    """Refuse an encoder that one forward pass changed.

    Raises:
        UsageError: naming the buffer.
    """
    buffer = changed(before, dict(encoder.named_buffers()))
    if buffer is not None:
        raise UsageError(
            f"{name}: a forward pass changed its buffer {buffer!r}, so the chunks, and the two passes over each, do "
            "not see the same encoder. Put the module that owns it in evaluation mode, or use a layer without a "
            "state that training changes (GroupNorm or LayerNorm for statistics; for spectral norm, .eval() on the "
            "parametrization and one forward pass of it a step)"
        )


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
