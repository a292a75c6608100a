"""How soft should the contrast be for each sample of the training set?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..batch_arguments import as_labels, as_rows, of_one_batch
from ..batch_loss import agree
from ..errors import UsageError
from ..scale.contrast.row_tilted import tilted_rows
from ..scale.gather import Gradients, gather, several_processes
from ..scale.precision import full_precision
from .scaled_rows import unit_rows


class IndividualTemperatures(torch.nn.Module):
    r"""A contrastive loss over the whole training set, with a temperature for each of its samples (iSogCLR).

    With  $h_i(z) = \langle a_i, z \rangle - \langle a_i, b_i \rangle$,  how much nearer a negative z is to anchor i
    than its positive, the objective over all n samples and their temperatures  $\tau_{min} \le \tau_i \le \tau_{max}$
    is

    $$ F = \frac{1}{n} \sum_{i=1}^n \tau_i \log \Big( \frac{1}{|S_i|} \sum_{z \in S_i} e^{h_i(z) / \tau_i} \Big)
    + \rho\, \tau_i $$

    the worst mean of  $h_i$  over all weightings of the negatives  $S_i$  whose Kullback-Leibler divergence from equal
    weights is at most  $\rho$.  A sample with many similar ones gets a high temperature, a rare one a low.

    The mean within the logarithm is over the data set, not the batch. Its moving average  $s_i$,  kept for each sample,
    takes the batch's place, so that small batches do no harm. A training step with samples i,  in this order:

    $$ s_i \leftarrow (1 - \gamma) s_i + \gamma \operatorname{mean} e^{h_i / \tau_i}, \qquad
    \nabla_{a, b} \leftarrow \operatorname{mean} \frac{e^{h_i / \tau_i}}{s_i} \nabla h_i $$

    $$ v_i \leftarrow m v_i + (1 - m) \Big( \log s_i + \rho
    - \frac{\operatorname{mean} (h_i / \tau_i) e^{h_i / \tau_i}}{s_i} \Big), \qquad
    \tau_i \leftarrow \min(\max(\tau_i - \eta v_i, \tau_{min}), \tau_{max}) $$

    A sample's first mean is taken whole. Averages are kept as logarithms: at a temperature of 0.005 the mean itself is
    beyond float32.

    Args:
        n_samples: how many samples the training set has; their numbers run from 0 to n_samples - 1.
        rho:  $\rho$,  in nats: how far the weights of a sample's negatives may go from equal ones. 0.1 to 0.5 for two
            views of an image, about 6 for images and texts.
        temperature: where every  $\tau_i$  starts.
        temperature_range: the lowest and the highest it may become. (0.05, 0.7) is the authors' for views of images,
            (0.005, 0.05), started at 0.01, for images and texts.
        rate:  $\gamma$,  in (0, 1]: what a new mean counts for. 1 forgets all before: F of the batch alone.
        step:  $\eta$;  0 leaves the temperatures as they start (SogCLR).
        momentum:  m  in [0, 1).
        negatives: "both": a and b are two views of one sample; S_i are all other samples in both views, and a sample's
            two anchors share one s and one temperature. "cross": a and b are of two kinds; the anchors a_i meet the
            b_j, the anchors b_i the a_j, and each side of a sample has an s and a temperature of its own; F is the
            mean of the two sides'.
        normalise: whether rows are brought to unit length first.
        gradients: as for `assay.scale.gather`, or "none" for this process's own rows.
        group: the process group.

    Attributes:
        temperature: (1 or 2, n_samples) the temperatures; a buffer, as the next two are: all are in the state dict.
        log_mean: (1 or 2, n_samples) log s, minus infinity before a sample's first step.
        velocity: (1 or 2, n_samples) v.

    Raises:
        UsageError: settings outside their range.

    Complexity: O(B^2 d) time and O(B d + n_samples) memory. Over processes rows and numbers are gathered, and every
    process makes the same step of the same state.

    FAQ:
        *What is the value?*  F  of the batch's samples with the moving averages in place of the means, before the
        temperatures move. For F itself see `exact`.
        *Why does the loss not fall?* Its averages and temperatures move; watch `exact` over samples that stay the same.
        *A sample twice in a batch?* Its rows count as one sample with more negatives' pairs, none with itself.
        *Evaluation?* In `eval()` nothing moves; a sample that was never trained on is refused, for it has no mean.

    Reference: Qiu et al. 2023, Not All Semantics are Created Equal: Contrastive Self-supervised Learning with Automatic
    Temperature Individualization, arXiv:2305.11965. Without the constant that its theory adds within the logarithm.
    """

    temperature: Tensor
    log_mean: Tensor
    velocity: Tensor

    def __init__(
        self,
        n_samples: int,
        *,
        rho: float = 0.3,
        temperature: float = 0.1,
        temperature_range: tuple[float, float] = (0.05, 0.7),
        rate: float = 0.9,
        step: float = 0.01,
        momentum: float = 0.1,
        negatives: Literal["both", "cross"] = "both",
        normalise: bool = True,
        gradients: Gradients | Literal["none"] = "mean",
        group: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(n_samples, bool) or not isinstance(n_samples, int) or n_samples < 2:
            raise UsageError(f"n_samples: expected a whole number of at least 2, got {n_samples!r}")
        if negatives not in ("both", "cross"):
            raise UsageError(f'negatives: expected "both" or "cross", got {negatives!r}')
        if gradients not in ("mean", "sum", "none"):
            raise UsageError(
                f'gradients: expected "mean" (DDP, FSDP), "sum" or "none" (own rows alone), got {gradients!r}'
            )
        low, high = temperature_range
        if not 0 < low <= temperature <= high < math.inf:
            raise UsageError(
                "temperature, temperature_range: expected 0 < lowest <= temperature <= highest, "
                f"got {temperature!r} in {temperature_range!r}"
            )
        for name, value, fits, expected in (
            ("rho", rho, rho >= 0, "a number of at least 0"),
            ("rate", rate, 0 < rate <= 1, "a number above 0, at most 1"),
            ("step", step, step >= 0, "a number of at least 0"),
            ("momentum", momentum, 0 <= momentum < 1, "a number of at least 0, below 1"),
        ):
            if not (fits and math.isfinite(value)):
                raise UsageError(f"{name}: expected {expected}, got {value!r}")
        self.n_samples, self.rho, self.range, self.rate = n_samples, rho, (low, high), rate
        self.step, self.momentum, self.negatives, self.normalise = step, momentum, negatives, normalise
        self.gradients, self.group = gradients, group
        sides = 1 if negatives == "both" else 2
        self.register_buffer("temperature", torch.full((sides, n_samples), float(temperature)))
        self.register_buffer("log_mean", torch.full((sides, n_samples), -torch.inf))
        self.register_buffer("velocity", torch.zeros(sides, n_samples))

    def forward(self, a: Tensor, b: Tensor, index: Tensor) -> Tensor:
        """The loss of a step, a scalar; while training, the step of the averages and temperatures with it.

        Args:
            a: (B, d) embeddings of one view or kind.
            b: (B, d) of the other; row i is of the same sample.
            index: (B,) the samples' numbers in the training set.

        Raises:
            UsageError: wrong shapes; a number outside the training set; in evaluation a sample never trained on; a
                batch of one sample.
        """
        a, b, index = self._of_all(a, b, index)
        sides = self._sides(a, b, index)
        averages = [self._averaged(number, side) for number, side in enumerate(sides)]
        parts = []
        for number, (side, log_s) in enumerate(zip(sides, averages, strict=True)):
            # the value is of the average, the gradient that of the batch's mean, weighed by its part in the average
            part = torch.exp(side.log_mean.detach() - log_s) * (side.log_mean - side.log_mean.detach())
            parts.append((side.temperature * (log_s + self.rho + part)).mean())
            if self.training:
                self._step(number, side, log_s)
        return torch.stack(parts).mean().to(a.dtype)

    @torch.no_grad()
    def exact(self, a: Tensor, b: Tensor, index: Tensor) -> Tensor:
        """F over the given samples alone, each mean over all of them, at the temperatures as they are; nothing moves.

        With all n samples this is the objective. Without gradient, and of this process's rows.

        Raises:
            UsageError: wrong shapes; a number outside the training set; a batch of one sample.
        """
        sides = self._sides(*self._checked(a, b, index))
        parts = [(side.temperature * (side.log_mean + self.rho)).mean() for side in sides]
        return torch.stack(parts).mean().to(torch.promote_types(torch.as_tensor(a).dtype, torch.float32))

    def extra_repr(self) -> str:
        return (
            f"n_samples={self.n_samples}, rho={self.rho:g}, temperature_range={self.range}, rate={self.rate:g}, "
            f"step={self.step:g}, momentum={self.momentum:g}, negatives={self.negatives!r}, "
            f"gradients={self.gradients!r}"
        )

    def _checked(self, a: Any, b: Any, index: Any) -> tuple[Tensor, Tensor, Tensor]:
        """This process's rows in the precision that is worked in, and their samples' numbers."""
        rows = {"a": as_rows(a, "a"), "b": as_rows(b, "b")}
        tensors = {**rows, "index": as_labels(index, "index")}
        of_one_batch(tensors, (("a", "b"),), (("a", "b", "index"),))
        if tensors["a"].device != self.temperature.device:
            raise UsageError(
                f"a is on {tensors['a'].device} and the temperatures on {self.temperature.device}; "
                "move the module with .to(device)"
            )
        wide = torch.float64 if torch.float64 in (rows["a"].dtype, rows["b"].dtype) else torch.float32
        return rows["a"].to(wide), rows["b"].to(wide), tensors["index"]

    def _of_all(self, a: Any, b: Any, index: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The same of all processes; what one of them cannot use is said on all."""
        if self.gradients == "none" or not several_processes(self.group):
            return self._checked(a, b, index)
        problem: Exception | None = None
        found = None
        try:
            found = self._checked(a, b, index)
        except Exception as error:
            problem = error
        agree(problem, ("a", "b", "index"), self.group)
        assert found is not None
        way: Gradients = "sum" if self.gradients == "sum" else "mean"
        one, other, numbers = (gather(t, gradients=way, group=self.group) for t in found)
        return one, other, numbers

    def _sides(self, a: Tensor, b: Tensor, index: Tensor) -> list[_Side]:
        outside = index[(index < 0) | (index >= self.n_samples)]
        if len(outside):
            raise UsageError(
                f"index: {int(outside[0])} is no number of a training set of {self.n_samples:,} samples "
                f"(0 to {self.n_samples - 1})"
            )
        if bool((index == index[0]).all()):
            raise UsageError("index: a batch of one sample has no negatives; expected at least two samples")
        with full_precision(a.device):
            if self.normalise:
                a, b = unit_rows(a), unit_rows(b)
            positive = (a * b).sum(1)
            if self.negatives == "both":
                rows, numbers = torch.cat((a, b)), torch.cat((index, index))
                return [
                    _side(rows, rows, torch.cat((positive, positive)), numbers, numbers, self.temperature[0])
                ]
            return [
                _side(a, b, positive, index, index, self.temperature[0]),
                _side(b, a, positive, index, index, self.temperature[1]),
            ]

    @torch.no_grad()
    def _averaged(self, number: int, side: _Side) -> Tensor:
        """log s of each sample: while training with this batch's mean in it, else as it is."""
        before = self.log_mean[number, side.samples].to(torch.float64)
        unknown = torch.isneginf(before)
        if self.training:
            kept = before + (math.log1p(-self.rate) if self.rate < 1 else -math.inf)
            return torch.where(
                unknown, side.log_mean, torch.logaddexp(kept, side.log_mean + math.log(self.rate))
            )
        if bool(unknown.any()):
            raise UsageError(
                f"index: sample {int(side.samples[unknown][0])} was never trained on and has no average; "
                "`exact(a, b, index)` needs none"
            )
        return before

    @torch.no_grad()
    def _step(self, number: int, side: _Side, log_s: Tensor) -> None:
        """Move the averages, velocities and temperatures of the batch's samples."""
        slope = log_s + self.rho - side.mean * torch.exp(side.log_mean - log_s)
        velocity = self.velocity[number, side.samples].to(torch.float64)
        velocity = self.momentum * velocity + (1 - self.momentum) * slope
        temperature = (side.temperature - self.step * velocity).clamp(*self.range)
        for state, value in (
            (self.log_mean, log_s),
            (self.velocity, velocity),
            (self.temperature, temperature),
        ):
            state[number, side.samples] = value.to(state.dtype)


@dataclass(frozen=True)
class _Side:
    """The anchors of one side, put together by sample: a sample's rows are one anchor with all their negatives.

    Attributes:
        samples: (U,) the different samples' numbers, ascending.
        temperature: (U,) float64.
        log_mean: (U,) float64 log mean exp(h / t), differentiable.
        mean: (U,) float64 the mean of h / t under weights exp(h / t), without gradient.
    """

    samples: Tensor
    temperature: Tensor
    log_mean: Tensor
    mean: Tensor


def _side(
    x: Tensor, y: Tensor, positive: Tensor, index_x: Tensor, index_y: Tensor, temperature: Tensor
) -> _Side:
    own = temperature[index_x].to(torch.float64)
    found = tilted_rows(x, y, own, index_x, index_y)
    nearness = positive.to(torch.float64) / own
    samples, place, rows = torch.unique(index_x, return_inverse=True, return_counts=True)
    # a stable order and sums in it: processes that hold the same rows must come to the same bits
    order = torch.argsort(place, stable=True)
    log_rows = found.log_sum - nearness

    def together(values: Tensor, how: Literal["sum", "max"]) -> Tensor:
        return torch.segment_reduce(values[order], how, lengths=rows, unsafe=True)

    top = together(log_rows.detach(), "max")
    raised = torch.exp(log_rows - top[place])
    total = together(raised, "sum")
    mean = together(raised.detach() * (found.mean - nearness.detach()), "sum") / total.detach()
    log_mean = top + torch.log(total) - torch.log(together(found.count, "sum"))
    return _Side(samples, temperature[samples].to(torch.float64), log_mean, mean)
