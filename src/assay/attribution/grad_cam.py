"""Grad-CAM: where in an image is what a network's output stands on?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import UsageError
from .layer_outputs import changed_output, layer_named, ordinary_gradients, part_in_gradients

Target = int | Tensor | Callable[[Any], Tensor] | None


def grad_cam(
    model: nn.Module,
    images: Tensor,
    layer: nn.Module | str,
    target: Target = None,
    *,
    relu: bool = True,
    normalise: bool = False,
    upsample: bool = True,
    to_map: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    r"""The layer's maps A, each weighted with how much the target's score leans on it.

    $$ L = \mathrm{ReLU}\Big(\sum_k \alpha_k A_k\Big), \qquad
       \alpha_k = \frac{1}{h w} \sum_{u} \frac{\partial s}{\partial A_{k,u}} $$

    with k the layer's channels and u its h w places. Behind a global average pool and a linear classifier it is the
    class activation map of the class's weights, divided by h w.

    Args:
        model: any module; its mode, flags and `.grad` are left as they are.
        images: (B, ...) what the model takes; (B, 3, H, W) for a map of the images' size.
        layer: the module, or its dotted name in the model, whose output is explained; its last call counts.
        target: what the score s is of the model's output, one number an image: None, the largest of (B, classes);
            a class; (B,) integers, a class an image; or a function of the output that gives (B,). Minus a score
            (``lambda out: -out[:, 3]``) shows what speaks against it.
        relu: leave out what speaks against the target; False gives the signed map.
        normalise: divide each map by its largest absolute value; a map of zeros stays one.
        upsample: bilinearly to the images' (H, W); False gives the layer's own (h, w).
        to_map: makes (B, C, h, w) of a layer's output that is none, such as tokens (B, T, C).

    Returns:
        (B, H, W), or (B, h, w) where not upsampled; float32, float64 of a model in float64. In the score's units over
        the activation's where not normalised.

    Raises:
        UsageError: a layer that is not in the model, was not run, or gives no (B, C, h, w); a target that does not fit
            the output; a batch norm in training, or several images and one without running statistics, which would mix
            the images of a batch.

    One backward pass serves the whole batch, as images do not see each other; only what is behind the layer is gone
    back through.

    Source: Selvaraju et al. 2017, arXiv:1610.02391.
    """
    found = layer_named(model, layer)
    _refuse_mixing(model, len(images))
    with ordinary_gradients():
        kept: list[Tensor] = []

        def cut(output: Any) -> Tensor:
            if not isinstance(output, Tensor):
                raise UsageError(
                    f"layer: gives a {type(output).__name__}, expected one tensor; choose a part of it"
                )
            kept.append(output.detach().clone().requires_grad_())
            return kept[-1].clone()  # what follows may work in place

        with changed_output(found, cut):
            output = model(part_in_gradients(images))
        if not kept:
            raise UsageError("layer: is a part of the model that its forward pass does not run")
        scores = scores_of(output, target, len(images))
        leaf = kept[-1]
        if not scores.requires_grad:
            raise UsageError(
                "target: the score does not depend on the layer, so that there is nothing to show"
            )
        (slope,) = torch.autograd.grad(scores.sum(), leaf, allow_unused=True)
    slope = torch.zeros_like(leaf) if slope is None else slope
    activation, slope = (_as_map(t, to_map, len(images)) for t in (leaf.detach(), slope))
    wide = torch.float64 if activation.dtype == torch.float64 else torch.float32
    weights = slope.to(wide).mean((2, 3), keepdim=True)
    maps = (weights * activation.to(wide)).sum(1)
    if relu:
        maps = maps.clamp_min(0)
    if upsample:
        if images.ndim != 4:
            raise UsageError(
                f"images: expected (B, C, H, W) to bring the map to, got {tuple(images.shape)}; pass upsample=False"
            )
        maps = nn.functional.interpolate(
            maps[:, None], size=images.shape[2:], mode="bilinear", align_corners=False
        )[:, 0]
    if normalise:
        largest = maps.abs().amax((1, 2), keepdim=True)
        maps = torch.where(largest > 0, maps / torch.where(largest > 0, largest, 1.0), 0.0)
    return maps


def guided_grad_cam(
    model: nn.Module, images: Tensor, layer: nn.Module | str, target: Target = None
) -> Tensor:
    """Grad-CAM times the guided gradient of the same score by the pixels.

    The guided gradient is the gradient with every ReLU passing back only what is positive, beside its own mask.

    Args:
        model, images, layer, target: as in `grad_cam`; images (B, C, H, W) floating point.

    Returns:
        (B, C, H, W), signed.

    Raises:
        UsageError: as `grad_cam`; a score that does not depend on the images.

    Handle with care: a guided gradient hardly changes when the network's upper layers are made random (Adebayo et al.
    2018, arXiv:1810.03292): what is sharp in it is the image, and what is of the network is Grad-CAM's.

    Source: Selvaraju et al. 2017, arXiv:1610.02391; Springenberg et al. 2015, arXiv:1412.6806.
    """
    maps = grad_cam(model, images, layer, target)
    with ordinary_gradients():
        pixels = part_in_gradients(images).requires_grad_()
        scores = scores_of(model(pixels), target, len(images))
        if not scores.requires_grad:
            raise UsageError(
                "target: the score does not depend on the images, so that there is nothing to show"
            )
        with _OnlyPositive():  # type: ignore[no-untyped-call]
            (slope,) = torch.autograd.grad(scores.sum(), pixels)
    return maps[:, None] * slope.to(maps.dtype)


def scores_of(output: Any, target: Target, count: int) -> Tensor:
    """(count,) scores of a network's output; see `grad_cam` for what a target may be.

    Raises:
        UsageError: a target that does not fit.
    """
    if callable(target):
        scores = target(output)
        if not isinstance(scores, Tensor) or scores.shape != (count,):
            got = str(tuple(scores.shape)) if isinstance(scores, Tensor) else type(scores).__name__
            raise UsageError(f"target: the function gives {got}, expected one number an image, ({count},)")
        return scores
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != count:
        given = str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__
        raise UsageError(
            f"target: a class needs an output ({count}, classes), the model gives {given}; pass a function of it"
        )
    classes = output.shape[1]
    if target is None:
        return output.max(1).values
    if isinstance(target, bool) or not isinstance(target, (int, Tensor)):
        raise UsageError(
            f"target: expected None, a class, ({count},) classes or a function, got {type(target).__name__}"
        )
    index = torch.as_tensor(target, device=output.device)
    if index.is_floating_point() or index.dtype == torch.bool or index.shape not in ((), (count,)):
        raise UsageError(
            f"target: expected a class or ({count},) integers, got {index.dtype} {tuple(index.shape)}"
        )
    if bool(((index < 0) | (index >= classes)).any()):
        raise UsageError(f"target: the classes are 0 to {classes - 1}, got {index.tolist()}")
    return output.gather(1, index.long().expand(count)[:, None])[:, 0]


def _as_map(value: Tensor, to_map: Callable[[Tensor], Tensor] | None, count: int) -> Tensor:
    found = value if to_map is None else to_map(value)
    if found.ndim != 4 or len(found) != count:
        raise UsageError(
            f"layer: gives {tuple(found.shape)}, expected (B, C, h, w) with B = {count}; choose a layer before the "
            "pool, or pass to_map for tokens"
        )
    return found


def _refuse_mixing(model: nn.Module, count: int) -> None:
    for name, part in model.named_modules():
        if not isinstance(part, nn.modules.batchnorm._BatchNorm):
            continue
        if part.training:
            raise UsageError(
                f"model: {name or 'it'} is a batch norm in training, which mixes the images of a batch; call .eval()"
            )
        if part.running_mean is None and count > 1:
            raise UsageError(
                f"model: {name or 'it'} is a batch norm without running statistics, which mixes the images of a batch "
                "also in .eval(); give one image at a time"
            )


class _OnlyPositive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within the block ReLU, in any of its forms, passes back what is positive only."""

    MASKED = ("aten::threshold_backward", "aten::hardtanh_backward")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        return out.clamp_min(0) if func.name().split(".")[0] in self.MASKED else out
