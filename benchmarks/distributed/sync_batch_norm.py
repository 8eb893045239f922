"""BatchNorm over the batch of all devices: a run on several devices then is the run on one, to rounding.

``torch.nn.SyncBatchNorm`` computes the same on GPUs only, and takes the place of modules. Here modules stay what they
are, for variants that look at their types, and for models whose norms do more (timm's add an activation): inside a
block, the one function that they all call is another one.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .process_group import ProcessGroup


class SynchronizedBatchNorm(TorchFunctionMode):
    """Inside this block, BatchNorm in training mode normalizes by the samples of all processes."""

    def __init__(self, process_group: ProcessGroup):
        super().__init__()
        self.process_group = process_group

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.batch_norm:
            return batch_norm(self.process_group, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def batch_norm(
    process_group: ProcessGroup,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` of a batch (B, C, ...) whose rows are spread over processes."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    normalized, mean, var, count = _Normalize.apply(process_group, x, weight, bias, eps)  # pyright: ignore[reportGeneralTypeIssues]
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean), momentum)
        running_var.lerp_((var * count / (count - 1).clamp(min=1)).to(running_var), momentum)
    return normalized


class _Normalize(torch.autograd.Function):
    r"""The normalization itself, with mean and variance over all processes; one message each way.

    With n_r rows times pixels on process r, their mean :math:`\mu_r` and their squared distances :math:`M_r` from it,

    .. math:: \mu = \sum_r n_r \mu_r / n, \qquad n \sigma^2 = \sum_r M_r + n_r (\mu_r - \mu)^2

    which cancels nothing, unlike sums of squares. With :math:`\hat x = (x - \mu) / \sqrt{\sigma^2 + c}` and y the
    derivative by the output of the sum of all processes' losses, the derivative by x is

    .. math:: \big(y - \overline{y} - \hat x \, \overline{y \hat x}\big) \, \gamma / \sqrt{\sigma^2 + c}

    with the means over all processes. Those by the scale and the shift are this process's part, to be summed with all
    other gradients. A process may have no rows at all.

    References:
        Chan, Golub and LeVeque 1983, The American Statistician 37 (combining variances); Ioffe and Szegedy 2015,
        arXiv 1502.03167.
    """

    @staticmethod
    def forward(
        ctx: Any, process_group: ProcessGroup, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        wide = x if x.dtype == torch.float64 else x.float()
        ctx.dims = [d for d in range(x.ndim) if d != 1]
        ctx.shape = (1, -1, *[1] * (x.ndim - 2))
        own, channels = x.numel() // x.shape[1], x.shape[1]
        mean = wide.sum(ctx.dims) / max(own, 1)
        spread = (wide - mean.view(ctx.shape)).square().sum(ctx.dims)
        row = torch.cat([mean, spread, mean.new_full((1,), own)])
        table = process_group.all_gather_rows(row[None], process_group.shard(process_group.size), process_group.size)
        means, spreads, counts = table.split([channels, channels, 1], dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        var = (spreads + counts * (means - mean).square()).sum(0) / count
        scale = (var + eps).rsqrt()
        ctx.process_group = process_group
        ctx.save_for_backward(x, weight, mean, scale, count)
        out = (wide - mean.view(ctx.shape)) * (scale if weight is None else scale * weight).view(ctx.shape)
        if bias is not None:
            out = out + bias.view(ctx.shape)
        ctx.mark_non_differentiable(mean, var, count)
        return out.to(x.dtype), mean, var, count

    @staticmethod
    def backward(ctx: Any, *derivatives: Tensor) -> tuple[None, Tensor, Tensor | None, Tensor | None, None]:
        x, weight, mean, scale, count = ctx.saved_tensors
        y = derivatives[0].to(mean.dtype)
        normal = (x.to(y) - mean.view(ctx.shape)) * scale.view(ctx.shape)
        sums = torch.stack([y.sum(ctx.dims), (y * normal).sum(ctx.dims)])
        by_bias, by_weight = sums if weight is not None else (None, None)
        shared = sums.clone()
        ctx.process_group.sum_([shared])
        mean_y, mean_yx = (shared / count).view(2, *ctx.shape)
        by_x = (y - mean_y - normal * mean_yx) * (scale if weight is None else scale * weight).view(ctx.shape)
        return None, by_x.to(x.dtype), by_weight, by_bias, None
