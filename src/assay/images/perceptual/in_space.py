"""The same measure, of images seen in another space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ...errors import UsageError
from ...pairs import PairMeasure

Encoder = Callable[[Tensor], Tensor]

# laws of a measure that hold whatever function of one image comes before it
KEPT = ("symmetric_pairs", "value_on_equal")


def in_space(measure: PairMeasure, encoder: Encoder) -> PairMeasure:
    r"""The pair measure of encoded images: the same loss, in another space.

    $$ d'(x, y) = d(f(x), f(y)) $$

    Args:
        measure: a pair measure of one or two members that takes what the encoder gives.
        encoder: images (B, C, H, W) -> a tensor whose first axis counts the images: `studio_luma`, `ycbcr` or `haar`
            of `assay.images.perceptual`, or a frozen network.

    Returns:
        A pair measure named MEASURE_in_ENCODER, with the measure's direction, bounds, options and map (of the encoded
        images). Of its declared laws, symmetry and the value of equal images hold in any space; others may not and
        are dropped.

    Raises:
        UsageError: something else than a pair measure, a measure of three members, an encoder that is no function;
            and, when called, an encoder that gives something else than a tensor with one row an image.

    FAQ:
        *Bounds and `data_range`?* They are about what the measure sees: give the range of the encoded values.
        `estimate` checks the images themselves against it. Where codes leave [0, data_range], as differences do, the
        bounds of measures that rest on it (psnr's, hsv_distance's) do not hold.

        *A network as the encoder?* Freeze it (`encoder.eval().requires_grad_(False)`), and give it in the images'
        precision; gradients reach the images through it. The aRGB representation (Lee et al. 2024, arXiv:2402.03399)
        is the l1 distance in the space of a network trained as an autoencoder with a linear decoder: any trained
        encoder can be given, none is included.

        *Pickling?* Works where the measure and the encoder can be found by name: a lambda cannot.
    """
    if not isinstance(measure, PairMeasure):
        raise UsageError(f"in_space: measure: expected a pair measure, got {type(measure).__name__}")
    if len(measure.members) > 2:
        raise UsageError(
            f"in_space: measure: {measure.name} takes {', '.join(measure.members)}; expected one or two members: what "
            "a mask or a degraded image is in another space is not known"
        )
    if not callable(encoder):
        raise UsageError(f"in_space: encoder: expected a function of images, got {type(encoder).__name__}")
    return _InSpace(**_declaration(measure, encoder), inner=measure, encoder=encoder)


@dataclass(frozen=True, eq=False)
class _InSpace(PairMeasure):
    """A pair measure that pickles as what it was made of, because its function has no name of its own."""

    inner: PairMeasure = field(repr=False)
    encoder: Encoder = field(repr=False)

    def __reduce__(self) -> Any:
        return _again, (self.inner, self.encoder, dict(self.options))


def _again(measure: PairMeasure, encoder: Encoder, options: Mapping[str, Any]) -> PairMeasure:
    return in_space(measure, encoder).with_options(**options)


def _declaration(measure: PairMeasure, encoder: Encoder) -> dict[str, Any]:
    name = f"{measure.name}_in_{getattr(encoder, '__name__', type(encoder).__name__).strip('<>').lower()}"

    def encoded(members: tuple[Tensor, ...]) -> list[Tensor]:
        found = [encoder(member) for member in members]
        for member, code in zip(members, found, strict=True):
            if not isinstance(code, Tensor) or code.ndim < 2 or len(code) != len(member):
                got = tuple(code.shape) if isinstance(code, Tensor) else type(code).__name__
                raise UsageError(
                    f"{name}: encoder: gives {got} for {len(member)} images, expected a row an image"
                )
        return found

    def function(*members: Tensor, **options: Any) -> Tensor:
        return measure(*encoded(members), **options)

    def map_function(*members: Tensor, **options: Any) -> Tensor:
        return measure.map(*encoded(members), **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"`{measure.name}` of images seen through `{name.rpartition('_in_')[2]}`; see `in_space`."
    )
    own = {each.name: getattr(measure, each.name) for each in fields(PairMeasure)}
    return {
        **own,
        "name": name,
        "function": function,
        "domain": "images",
        "options": MappingProxyType(dict(measure.options)),
        "laws": tuple(law for law in measure.laws if law.__name__.startswith(KEPT)),
        "map_function": None if measure.map_function is None else map_function,
        "draw": None,
    }
