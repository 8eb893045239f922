"""A small network written twice: as a PyTorch module, and in NumPy by hand, with its derivative.

The NumPy half is what the transcriptions of check 7 are given as their gradient, so that a transcription and the
variant that it checks share neither automatic differentiation nor the oracle.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]

INPUTS, HIDDEN, CLASSES = 5, 7, 3
NORM_EPS = 1e-5


class Network(nn.Module):
    """Linear, LayerNorm, tanh, Linear in float64: weights, biases and a normalization layer, every kind of owner."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(INPUTS, HIDDEN, dtype=torch.float64)
        self.norm = nn.LayerNorm(HIDDEN, eps=NORM_EPS, dtype=torch.float64)
        self.out = nn.Linear(HIDDEN, CLASSES, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.norm(self.hidden(x))))


SHAPES: dict[str, tuple[int, ...]] = {
    "hidden.weight": (HIDDEN, INPUTS),
    "hidden.bias": (HIDDEN,),
    "norm.weight": (HIDDEN,),
    "norm.bias": (HIDDEN,),
    "out.weight": (CLASSES, HIDDEN),
    "out.bias": (CLASSES,),
}
"""Parameters in the order of ``Network().named_parameters()``."""
REGISTRIES = {name: "LayerNorm" if name.startswith("norm") else "Linear" for name in SHAPES}
"""Class name of the module that owns each parameter."""


def _slices() -> dict[str, slice]:
    found, start = {}, 0
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        found[name] = slice(start, start + size)
        start += size
    return found


SLICES = _slices()
"""Where each parameter lies in the flat vector of all of them."""
DIMENSION = max(at.stop for at in SLICES.values())


def flatten(model: nn.Module) -> Array:
    """Return a model's parameters as one float64 vector (d,)."""
    return np.concatenate([p.detach().double().numpy().ravel() for p in model.parameters()])


def write(model: nn.Module, w: Array) -> None:
    """Copy a flat vector (d,) into a model's parameters."""
    flat = torch.from_numpy(np.ascontiguousarray(w))
    with torch.no_grad():
        start = 0
        for p in model.parameters():
            p.copy_(flat[start : start + p.numel()].view_as(p))
            start += p.numel()


def softmax(z: Array) -> Array:
    """Softmax over the last axis of (B, classes)."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Samples:
    """The network on one batch, in NumPy: its logits, losses and derivatives at any flat weight vector.

    Args:
        x: inputs (B, INPUTS).
        y: labels (B,), integers.
        weights: of the samples' losses in the mean (B,), all 1 without importance sampling.
    """

    def __init__(self, x: Array, y: NDArray[np.int64], weights: Array | None = None):
        self.x, self.y = x, y
        self.weights = np.ones(len(y)) if weights is None else weights
        self.one_hot = np.eye(CLASSES)[y]

    def _forward(self, w: Array, x: Array) -> tuple[Array, ...]:
        part = {name: w[SLICES[name]].reshape(SHAPES[name]) for name in SHAPES}
        a = x @ part["hidden.weight"].T + part["hidden.bias"]
        deviation = np.sqrt(a.var(axis=1, keepdims=True) + NORM_EPS)
        normal = (a - a.mean(axis=1, keepdims=True)) / deviation
        h = np.tanh(normal * part["norm.weight"] + part["norm.bias"])
        return h @ part["out.weight"].T + part["out.bias"], h, normal, deviation

    def logits(self, w: Array) -> Array:
        """Return the logits (B, CLASSES)."""
        return self._forward(w, self.x)[0]

    def losses(self, w: Array) -> Array:
        """Return the cross-entropy of each sample (B,), without weights."""
        z = self.logits(w)
        top = z.max(axis=1)
        return np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - z[np.arange(len(self.y)), self.y]

    def loss_cotangent(self, w: Array) -> Array:
        """Return the derivative of the mean loss by the logits, (B, CLASSES)."""
        return (softmax(self.logits(w)) - self.one_hot) * (self.weights / len(self.y))[:, None]

    def vjp(self, w: Array, cotangent: Array) -> Array:
        """Return J(w)^T cotangent (d,), J the derivative of the logits by the weights."""
        _, h, normal, deviation = self._forward(w, self.x)
        out = w[SLICES["out.weight"]].reshape(SHAPES["out.weight"])
        scale = w[SLICES["norm.weight"]]
        pre = (cotangent @ out) * (1.0 - h**2)  # by the input of tanh
        unit = pre * scale  # by the normalized activations
        a = (unit - unit.mean(axis=1, keepdims=True) - normal * (unit * normal).mean(axis=1, keepdims=True)) / deviation
        parts = {
            "hidden.weight": a.T @ self.x,
            "hidden.bias": a.sum(axis=0),
            "norm.weight": (pre * normal).sum(axis=0),
            "norm.bias": pre.sum(axis=0),
            "out.weight": cotangent.T @ h,
            "out.bias": cotangent.sum(axis=0),
        }
        return np.concatenate([parts[name].ravel() for name in SHAPES])

    def evaluate(self, w: Array) -> tuple[float, Array]:
        """Return the (weighted) mean loss and its gradient (d,)."""
        return float((self.losses(w) * self.weights).mean()), self.vjp(w, self.loss_cotangent(w))

    def at(self, positions: NDArray[np.int64]) -> "Samples":
        """Return the samples at these positions of the batch."""
        return Samples(self.x[positions], self.y[positions], self.weights[positions])
