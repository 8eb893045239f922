"""The mean loss of a network on a sample as a function of all its weights, with its derivatives."""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

LARGEST_CHUNK = 1024
"""Samples of one pass at most."""
CHUNK_VALUES = 256 * 3 * 32 * 32
"""Pixels of one pass, about: they bound the memory, and the values depend on them by rounding alone."""

Product = Callable[[Tensor], Tensor]
"""The product of a symmetric matrix (P, P) with a vector (P,)."""


class Function(Protocol):
    """A twice differentiable function of a vector, and the point at which it is looked at."""

    theta: Tensor

    def loss(self, theta: Tensor) -> Tensor:
        """Return the value at a point (P,), a scalar without graph."""
        ...

    def gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return value and gradient (P,) at a point (P,)."""
        ...


class Objective:
    """L(w), the mean cross-entropy of a network in evaluation mode.

    All calls take the parameters as one vector (P,), in the order of ``named_parameters``; buffers, the running
    statistics among them, stay as they are. The network's own tensors are read and never written.

    Args:
        network: in evaluation mode.
        images: normalized, (N, C, H, W).
        labels: int64 (N,).
        dtype: of the computation, ``torch.float32`` or ``torch.float64``.
        normalized: whether the logits of each sample are centered and divided by their l2 norm first.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        dtype: torch.dtype = torch.float32,
        normalized: bool = False,
    ):
        named = dict(network.named_parameters())
        self.network, self.normalized = network, normalized
        self.images, self.labels = images.to(dtype), labels
        self.names, self.shapes = list(named), [p.shape for p in named.values()]
        self.sizes = [p.numel() for p in named.values()]
        self.theta = torch.cat([p.detach().flatten() for p in named.values()]).to(dtype)
        self.buffers = {
            name: b.detach().to(dtype) if b.is_floating_point() else b.detach() for name, b in network.named_buffers()
        }

    def parts(self, m: int, *, rest: bool = False) -> "Iterator[Objective]":
        """Yield the losses of disjoint parts of m samples, and of the rest if it is wanted; all at once for m = 0."""
        size = m or len(self.labels)
        for first in range(0, len(self.labels) - (0 if rest else size - 1), size):
            part = object.__new__(Objective)
            part.__dict__ = {
                **self.__dict__,
                "images": self.images[first : first + size],
                "labels": self.labels[first : first + size],
            }
            yield part

    def named(self, theta: Tensor) -> dict[str, Tensor]:
        """Return the vector as parameters by name: views of it."""
        pieces = theta.split(self.sizes)
        return {n: t.view(s) for n, t, s in zip(self.names, pieces, self.shapes, strict=True)}

    def logits(self, theta: Tensor, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of images at a point."""
        logits = functional_call(self.network, {**self.named(theta), **self.buffers}, (images,))
        return normalize_logits(logits) if self.normalized else logits

    def loss(self, theta: Tensor) -> Tensor:
        with torch.no_grad():
            return sum_of(self._sum(theta, *chunk) for chunk in self._chunks())

    def gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        total, gradient = self.theta.new_zeros(()), torch.zeros_like(self.theta)
        for chunk in self._chunks():
            at = theta.detach().requires_grad_(True)
            loss = self._sum(at, *chunk)
            gradient += torch.autograd.grad(loss, at)[0]
            total += loss.detach()
        return total, gradient

    def correct(self, theta: Tensor) -> Tensor:
        """Return which samples are right at a point, bool (N,)."""
        with torch.no_grad():
            return torch.cat([self.logits(theta, x).argmax(1) == y for x, y in self._chunks()])

    def hessian(self, vector: Tensor) -> Tensor:
        """Return the product of the Hessian at the weights with a vector: the gradient of g^T v, g the gradient."""

        def product(images: Tensor, labels: Tensor) -> Tensor:
            at = self.theta.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self._sum(at, images, labels), at, create_graph=True)
            return torch.autograd.grad(gradient, at, vector)[0]

        return sum_of(product(*chunk) for chunk in self._chunks())

    def gauss_newton(self, vector: Tensor) -> Tensor:
        """Return the product of the generalized Gauss-Newton matrix J^T H J with a vector, H that of the loss in the
        logits. J v is the derivative of J^T u, which is linear in u, by u."""

        def product(images: Tensor, labels: Tensor) -> Tensor:
            at = self.theta.detach().requires_grad_(True)
            z = self.logits(at, images)
            u = torch.zeros_like(z, requires_grad=True)
            (pulled,) = torch.autograd.grad(z, at, u, create_graph=True)
            (moved,) = torch.autograd.grad(pulled, u, vector, retain_graph=True)
            p = z.detach().softmax(1)
            curved = p * (moved - (p * moved).sum(1, keepdim=True)) / len(self.labels)
            return torch.autograd.grad(z, at, curved)[0]

        return sum_of(product(*chunk) for chunk in self._chunks())

    def _sum(self, theta: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Return what these samples add to the mean over all."""
        return F.cross_entropy(self.logits(theta, images), labels, reduction="sum") / len(self.labels)

    def _chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        size = min(LARGEST_CHUNK, max(1, CHUNK_VALUES // self.images[0].numel()))
        yield from zip(self.images.split(size), self.labels.split(size), strict=True)


def normalize_logits(logits: Tensor) -> Tensor:
    """Return logits (n, classes), centered and of l2 norm 1 a sample: the scale of the last layer has no effect.

    References:
        Andriushchenko et al. 2023, arXiv 2302.07011.
    """
    centered = logits - logits.mean(1, keepdim=True)
    return centered / centered.norm(dim=1, keepdim=True).clamp_min(torch.finfo(logits.dtype).tiny)


def sum_of(terms: Iterator[Tensor]) -> Tensor:
    """Return the sum of one tensor or more."""
    total = next(terms).clone()
    for term in terms:
        total += term
    return total
