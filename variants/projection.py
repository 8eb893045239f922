"""Inner products and projections of lists of tensors, each list read as one long vector."""

import torch
from torch import Tensor

from ._shards import local, sum_over_shards
from .contract import TINY, global_norm


def inner(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Return ``sum_i <a_i, b_i>`` as a 0-d tensor, accumulated in at least float32, without a synchronization.

    Example:
        >>> inner([torch.ones(3), torch.tensor(2.0)], [torch.ones(3), torch.tensor(5.0)])
        tensor(13.)
    """
    if not a:
        return torch.zeros(())
    wide = torch.float64 if any(t.dtype == torch.float64 for t in a) else torch.float32
    parts = [(x.to(wide) * y.to(wide)).sum() for x, y in zip(local(a), local(b), strict=True)]
    return sum_over_shards(torch.stack([part.to(parts[0].device, non_blocking=True) for part in parts]).sum(), a)


def orthogonal(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
    r"""Return the part of a that is orthogonal to b, :math:`a - \langle a, \hat b \rangle \hat b`.

    The unit vector is b / (||b|| + 1e-12): where b is zero, a itself comes back. In floating point the result is not
    zero for parallel a and b but of the size of a's rounding error.

    Example:
        >>> orthogonal([torch.tensor([3.0, 4.0])], [torch.tensor([2.0, 0.0])])
        [tensor([0., 4.])]
    """
    inverse = 1.0 / (global_norm(b) + TINY)
    return list(torch._foreach_sub(a, torch._foreach_mul(b, inner(a, b) * inverse * inverse))) if a else []
