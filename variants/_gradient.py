"""The gradient of one evaluation, and norms that neither overflow nor divide by zero."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ._shards import in_shards, local, sum_over_shards

TINY = 1e-12
"""Added to every norm that is divided by, so that a zero gradient gives a zero perturbation and never a NaN."""


@dataclass
class Gradient:
    """The gradient of one evaluation: the loss, and for each parameter that has one, its gradient."""

    loss: Tensor
    params: list[Tensor]
    values: list[Tensor]

    def norm(self) -> Tensor:
        """The global L2 norm, a 0-d tensor on the device, accumulated in at least float32."""
        return global_norm(self.values)

    def like(self, values: list[Tensor]) -> "Gradient":
        """The same parameters and loss with other values (a direction computed from this gradient)."""
        return Gradient(self.loss, self.params, values)


def copied(tensors: list[Tensor]) -> list[Tensor]:
    """Return copies of tensors: on a GPU one launch for many, where ``clone`` takes one for each."""
    copies = [torch.empty_like(t) for t in tensors]
    if copies:
        torch._foreach_copy_(copies, tensors)
    return copies


def tensor_norms(tensors: list[Tensor]) -> list[Tensor]:
    """Return the L2 norm of each tensor, 0-d on its device, accumulated in at least float32."""
    if not tensors:
        return []
    wide = torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32
    norms = list(torch._foreach_norm(local(tensors), 2, dtype=wide))
    if not in_shards(tensors):
        return norms
    return list(sum_over_shards(torch.stack(norms).square(), tensors).sqrt().unbind())


def global_norm(tensors: list[Tensor]) -> Tensor:
    """Return ``sqrt(sum_i ||t_i||^2)`` as a 0-d tensor, without a device-to-host synchronization."""
    if not tensors:
        return torch.zeros(())
    norms = tensor_norms(tensors)
    first = norms[0].device
    if any(n.device != first for n in norms):
        norms = [n.to(first, non_blocking=True) for n in norms]
    return torch.linalg.vector_norm(torch.stack(norms))
