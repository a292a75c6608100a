"""The exact gradient of any loss over a batch whose activations do not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError
from ..first_derivative import first_derivative_only
from ..tiles import spans
from .autograd_graph import nodes_behind
from .nested import replaced, tensors_of
from .passes import Record, first_pass, second_pass
from .towers import Encoders, Tower, check_chunk_size, towers_of


def cached_backward(
    encoder: Encoders,
    inputs: Any,
    loss: Callable[..., Tensor],
    chunk_size: int,
    *,
    scaler: torch.amp.GradScaler | None = None,
    defer_reduction: bool = False,
    group: Any = None,
) -> Tensor:
    r"""The loss of a whole batch, and its exact gradient accumulated in `.grad`, with the activations of one chunk.

    A loss over pairs, or over a set, does not split into chunks of the batch; but the chain rule does. With the
    features  $z_i = f_\theta(x_i)$  and the loss  $L(z_1, \dots, z_n)$,

    $$ \frac{dL}{d\theta} = \sum_{\text{chunks } C} \sum_{i \in C}
       \Big( \frac{\partial z_i}{\partial \theta} \Big)^{\!\top} \frac{\partial L}{\partial z_i} $$

    so the features are computed in chunks without a graph, the loss and its slopes on the features, and then each
    chunk is computed again with its graph, takes its slopes backward, and is forgotten. Equal to
    `loss(encoder(inputs)).backward()` up to the order of summation. The second pass sees the random numbers (dropout)
    and the autocast of the first, and leaves the random state as the first left it.

    Args:
        encoder: a module that is called with the inputs; or a list or dictionary of modules (towers), each called with
            its own. A module that stands in the list twice is shared: several views through one network.
        inputs: a tensor, or a nested structure of tensors (dictionaries, lists, tuples, dataclasses) that all have
            one row a sample; what is not a tensor is passed on as it is. For several encoders a list or dictionary of
            such, one each. The numbers of rows of two encoders may differ. Inputs that ask for a gradient get it.
        loss: called with the features of all rows, in the structure the encoder returns: one argument an encoder, by
            name for a dictionary. Returns a scalar. A measure's or batch objective's `.objective()`, or any function;
            its own parameters get their gradient once.
        chunk_size: rows a chunk, at most those of the batch; the last chunk may be smaller.
        scaler: the gradient is that of `scaler.scale(loss)`.
        defer_reduction: for encoders under `fully_shard`: reduce the gradients once, with the last chunk, rather than
            with each. Keeps the whole unsharded gradient, in the precision of its reduction, on every process
            meanwhile.
        group: the processes among which a `fully_shard` encoder is spread, by default all.

    Returns:
        The loss, a scalar without a graph, not scaled.

    Raises:
        UsageError: a chunk size that is no whole number from 1 to the batch; inputs without rows, or with different
            numbers of them; an encoder that normalises over the batch (BatchNorm in training mode), that changes
            its buffers in a forward pass, or whose output is not one row a sample or changes between chunks; a loss
            that is no scalar, or that no gradient reaches the features from; gradients switched off.

    Complexity: two forward passes and one backward, about 4/3 of the plain step's time. Memory: the inputs, the
        features and their slopes, the activations of one chunk, and (not with DistributedDataParallel or
        `fully_shard`) the parameters' gradients once more. The random state takes 5 KB a chunk where random
        numbers are drawn.

    Source: Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, arXiv:2101.06983.

    FAQ:
        *Several processes?* The loss gathers, as objectives do, or with `assay.scale.gather`. Under
        DistributedDataParallel gradients are reduced once, with the last chunk. Under `fully_shard` the processes
        agree on the number of chunks, and those that have fewer go through the rest with one row and a slope of zero.
        *BatchNorm?* Its output for a sample depends on the batch, and a chunk is another batch: refused. `.eval()` on
        those layers freezes their statistics; GroupNorm and LayerNorm do not have the problem.
        *What is not seen?* Randomness from elsewhere (`random`, NumPy), and modules that mix samples otherwise or
        keep state outside of buffers: the gradient is that of chunks then.
        *A model that takes keywords?* The encoder is called with one argument; wrap the model in a module whose
        forward is `self.model(**inputs).pooler_output`.
    """
    if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
        raise UsageError(
            "cached_backward: gradients are switched off here; call it outside of no_grad and inference_mode"
        )
    value = _loss_of(encoder, inputs, loss, (), chunk_size, defer_reduction, group)
    if not value.requires_grad:
        raise UsageError(
            "encoder: nothing to train; no parameter of it or of the loss, and no input, asks for a gradient"
        )
    (value if scaler is None else scaler.scale(value)).backward()  # type: ignore[no-untyped-call]
    return value.detach()


class CachedObjective(nn.Module):
    """A loss over a large batch for a training loop that calls `backward` itself; see `cached_backward`.

    ```python
    objective = CachedObjective(loss, chunk_size=64)
    objective(encoder, inputs).backward()
    ```

    The value has a graph: its backward pass goes through the chunks, scaled by whatever arrives, so that gradient
    scalers, accumulation, Lightning and Accelerate are used as ever. With gradients switched off it is the loss alone.

    Args:
        loss: called with the features; a module's parameters become this one's, and the state dict holds them alone,
            under `loss`.
        chunk_size, defer_reduction, group: as for `cached_backward`.

    FAQ:
        *A module under DistributedDataParallel whose forward calls this with a part of itself (Lightning)?* Gradients
        come once, after the last chunk, and are reduced once. The same under `fully_shard` is not supported: shard
        the encoder itself, and call this outside.
        *torch.autograd.grad?* Sees the encoder's parameters, unless the encoder is wrapped by DistributedDataParallel
        or `fully_shard`: then it is `backward` alone.
    """

    def __init__(
        self,
        loss: Callable[..., Tensor],
        chunk_size: int,
        *,
        defer_reduction: bool = False,
        group: Any = None,
    ) -> None:
        super().__init__()
        check_chunk_size(chunk_size)
        self.loss = loss
        self.chunk_size = chunk_size
        self.defer_reduction = defer_reduction
        self.group = group

    def forward(self, encoder: Encoders, inputs: Any, *targets: Any) -> Tensor:
        """The loss, a scalar.

        Args:
            encoder, inputs: as for `cached_backward`.
            targets: what the loss is called with after the features, such as labels.
        """
        return _loss_of(
            encoder, inputs, self.loss, targets, self.chunk_size, self.defer_reduction, self.group
        )

    def extra_repr(self) -> str:
        return f"chunk_size={self.chunk_size}"


class _Replayed(torch.autograd.Function):
    """Features whose backward pass is the second pass over the chunks."""

    @staticmethod
    def forward(ctx: Any, record: Record, features: list[list[Tensor]], wanted: int, *sources: Tensor) -> Any:
        ctx.record, ctx.counts, ctx.wanted = record, [len(f) for f in features], sources[:wanted]
        ctx.save_for_backward(*sources)
        ctx.set_materialize_grads(False)
        flat = [t for f in features for t in f]
        trained = [
            bool(tower.parameters or tower.sources) and (t.is_floating_point() or t.is_complex())
            for tower, f in zip(record.towers, features, strict=True)
            for t in f
        ]
        ctx.mark_non_differentiable(*(t for t, yes in zip(flat, trained, strict=True) if not yes))
        return tuple(flat)

    @staticmethod
    @first_derivative_only("a loss over chunks")
    def backward(ctx: Any, *slopes: Tensor | None) -> Any:
        counts = ctx.counts
        by_tower = [slopes[sum(counts[:i]) : sum(counts[: i + 1])] for i in range(len(counts))]
        parameters, sources = second_pass(ctx.record, by_tower, ctx.wanted)
        handed = [None] * (len(ctx.needs_input_grad) - 3 - len(parameters) - len(sources))
        return None, None, None, *parameters, *sources, *handed


def _loss_of(
    encoder: Encoders,
    inputs: Any,
    loss: Callable[..., Tensor],
    targets: Sequence[Any],
    chunk_size: int,
    defer: bool,
    group: Any,
) -> Tensor:
    if not callable(loss):
        raise UsageError(f"loss: expected a function of the features, got {type(loss).__name__}")
    towers, surplus = towers_of(encoder, inputs, chunk_size, group)
    features, record = first_pass(towers, [spans(t.rows, chunk_size) for t in towers], surplus, defer)
    flat = [[t for _, t in tensors_of(f)] for f in features]
    node = None
    if torch.is_grad_enabled():
        sources, wanted = _what_is_trained(towers)
        if sources:
            made = _Replayed.apply(record, flat, wanted, *sources)  # type: ignore[no-untyped-call]
            node = next((t.grad_fn for t in made if t.grad_fn is not None), None)
            following = iter(made)
            features = [replaced(f, lambda _: next(following)) for f in features]
    del flat
    if isinstance(encoder, (Mapping, nn.ModuleDict)):
        value = loss(*targets, **dict(zip(encoder.keys(), features, strict=True)))
    else:
        value = loss(*features, *targets)
    _check_value(value)
    if node is not None and not any(one is node for one in nodes_behind([value])):
        raise UsageError(
            "loss: no gradient reaches the features; it detaches them, computes outside of PyTorch (.item(), NumPy), "
            "or under no_grad"
        )
    return value


def _what_is_trained(towers: Sequence[Tower]) -> tuple[list[Tensor], int]:
    """The tensors that the features are a function of, parameters first, and how many of them those are.

    Wrapped encoders accumulate their own gradients, chunk by chunk; a token stands for their parameters.
    """
    plain = {id(p): p for tower in towers if not tower.wrapped for p in tower.parameters}
    wrapped = {id(p) for tower in towers if tower.wrapped for p in tower.parameters}
    if wrapped & set(plain):
        raise UsageError(
            "encoder: some parameters come both wrapped (DistributedDataParallel, fully_shard) and unwrapped; use the "
            "wrapped module everywhere"
        )
    sources = [source for tower in towers for source in tower.sources]
    token = [torch.empty(0, requires_grad=True)] if wrapped else []
    return [*plain.values(), *sources, *token], len(plain)


def _check_value(value: Any) -> None:
    if not isinstance(value, Tensor):
        raise UsageError(f"loss: expected a scalar tensor from it, got {type(value).__name__}")
    if value.ndim != 0:
        raise UsageError(
            f"loss: expected a scalar from it, got shape {tuple(value.shape)}; take the mean or the sum"
        )
