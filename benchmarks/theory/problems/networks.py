r"""Networks that interpolate their data, with PL and smoothness constants proven on a ball around the start.

Both fit :math:`f(x) = \frac1n \sum_i \frac12 \|r_i(x)\|^2`, whose gradient is :math:`\frac1n J^\top r`.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from ....errors import ConfigError
from ....seeding import derive_seed
from .base import Problem, matmul, matvec
from .matrices import with_condition
from .registry import PROBLEMS

LEAST_SLOPE = 0.5


def activation(u: Tensor) -> Tensor:
    """A smooth leaky ReLU, ``(1+c)/2 u + (1-c)/2 log cosh u``, whose slope stays in (c, 1) with c = 1/2."""
    c = LEAST_SLOPE
    log_cosh = torch.logaddexp(u, -u) - np.log(2.0)
    return (1 + c) / 2 * u + (1 - c) / 2 * log_cosh


def activation_slope(u: Tensor) -> Tensor:
    """The derivative of :func:`activation`."""
    return (1 + LEAST_SLOPE) / 2 + (1 - LEAST_SLOPE) / 2 * u.tanh()


class TwoLayer(Problem):
    r"""A two-layer network whose hidden layer is trained.

    .. math:: r_i(W) = \frac{1}{\sqrt m} \sum_{k=1}^m s_k \phi(w_k^\top z_i) - y_i

    The signs :math:`s_k = \pm 1` are fixed. The kernel is :math:`K = J J^\top = (Z Z^\top) \circ M` with
    :math:`M_{ij} = \frac1m \sum_k \phi'(w_k^\top z_i) \phi'(w_k^\top z_j)`, and Schur's product theorem gives
    :math:`\lambda_{\min}(K) \ge \lambda_{\min}(Z Z^\top) c^2` *everywhere*, because :math:`M_{ii} \ge c^2`. So with at
    least as many inputs as samples, :math:`\mu = c^2 \lambda_{\min}(Z Z^\top) / n` on all of space, although f is not
    convex. The Hessian of a residual is at most :math:`\frac{1-c}{2 \sqrt m} \|z_i\|^2`, so smoothness needs bounded
    residuals: within ``radius`` D of the start :math:`|r_i| \le |r_i(x_0)| + \|z_i\| D =: R_i` and
    :math:`L_i = \|z_i\|^2 (1 + R_i \frac{1-c}{2 \sqrt m})`.

    Args:
        inputs: inputs Z of the network, (n, inputs) with n <= inputs.
        targets: values y to fit, (n,).
        signs: fixed output weights s, +1 or -1, (m,).
        x0: start of the solvers, W flattened, (m * inputs,).
        radius: distance D from ``x0`` within which the smoothness constants hold.

    Raises:
        ConfigError: more samples than inputs.
    """

    def __init__(self, name: str, inputs: Tensor, targets: Tensor, signs: Tensor, x0: Tensor, radius: float):
        if len(inputs) > inputs.shape[1]:
            raise ConfigError(
                f"two-layer problem {name!r} has {len(inputs)} samples and {inputs.shape[1]} inputs: "
                "its PL constant is only proven for at least as many inputs as samples"
            )
        self.inputs, self.targets, self.signs = inputs, targets, signs
        gram = torch.linalg.eigvalsh(inputs @ inputs.T)
        n, m = len(inputs), len(signs)
        squared = inputs.square().sum(-1)
        bend = (1 - LEAST_SLOPE) / (2 * sqrt(m)) * (self.residuals(x0).abs() + squared.sqrt() * radius)
        super().__init__(
            name=name,
            x0=x0,
            mu=LEAST_SLOPE**2 * float(gram[0]) / n,
            L=float(gram[-1] / n + (squared * bend).mean()),
            L_i=squared * (1 + bend),
            minimum=0.0,
            component_minima=torch.zeros(n, dtype=torch.float64),
            minimizer=_interpolate(self.residuals, x0),
            radius=radius,
        )

    def residuals(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        """Return r_i(x), (..., k)."""
        z, y = (self.inputs, self.targets) if index is None else (self.inputs[index], self.targets[index])
        return self.outputs(x, z, self.signs) - y

    @staticmethod
    def outputs(x: Tensor, z: Tensor, signs: Tensor) -> Tensor:
        """Return the network's outputs at hidden weights x (..., m * inputs) for inputs z (..., k, inputs)."""
        return matvec(activation(_preactivation(x, z, len(signs))), signs) / sqrt(len(signs))

    def losses(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        return self.residuals(x, index).square() / 2

    def gradient(self, x: Tensor, index: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        if index is None or weight is None:
            index = torch.arange(self.n).expand(len(x), -1)
            weight = torch.full_like(index, 1 / self.n, dtype=x.dtype)
        z = self.inputs[index]
        slope = activation_slope(_preactivation(x, z, len(self.signs))) * self.signs / sqrt(len(self.signs))
        pull = (weight * self.residuals(x, index))[..., None] * slope
        return matmul(pull.mT, z).flatten(1)


def _preactivation(x: Tensor, z: Tensor, hidden: int) -> Tensor:
    return matmul(z, x.unflatten(-1, (hidden, -1)).mT)


class DeepLinear(Problem):
    r"""A deep linear network with square layers: :math:`r_i(x) = W_N \cdots W_1 z_i - y_i`, started at the identity.

    Within ``radius`` D < 1 of the start every layer has singular values in [1-D, 1+D]. Each layer's gradient is the
    product's, multiplied by the other layers from both sides, so
    :math:`\mu = N (1-D)^{2(N-1)} \lambda_{\min}(Z Z^\top) / n`. With :math:`S = N (1+D)^{2(N-1)}`,
    :math:`T = (N-1)(1+D)^{N-2}` and :math:`R_i = \|r_i(x_0)\| + \sqrt S \|z_i\| D`,
    :math:`L_i = S \|z_i\|^2 + T R_i \|z_i\|`.

    Args:
        inputs: inputs z_i of the network as rows, (n, p) with n >= p.
        targets: vectors y_i to fit as rows, (n, p).
        depth: number N of layers.
        radius: distance D from the start, in the Frobenius norm over all layers, within which the constants hold.
    """

    def __init__(self, name: str, inputs: Tensor, targets: Tensor, depth: int, radius: float):
        self.inputs, self.targets, self.depth = inputs, targets, depth
        n, p = inputs.shape
        x0 = torch.eye(p, dtype=torch.float64).repeat(depth, 1, 1).flatten()
        covariance = torch.linalg.eigvalsh(inputs.T @ inputs) / n
        norms = inputs.square().sum(-1).sqrt()
        stretch = depth * (1 + radius) ** (2 * (depth - 1))
        far = self.residuals(x0).norm(dim=-1) + sqrt(stretch) * norms * radius
        bend = (depth - 1) * (1 + radius) ** (depth - 2) * far * norms
        super().__init__(
            name=name,
            x0=x0,
            mu=depth * (1 - radius) ** (2 * (depth - 1)) * float(covariance[0]),
            L=float(stretch * covariance[-1] + bend.mean()),
            L_i=stretch * norms.square() + bend,
            minimum=0.0,
            component_minima=torch.zeros(n, dtype=torch.float64),
            minimizer=_interpolate(lambda x: self.residuals(x).flatten(), x0),
            radius=radius,
        )

    def residuals(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        """Return r_i(x), (..., k, p)."""
        z, y = (self.inputs, self.targets) if index is None else (self.inputs[index], self.targets[index])
        for layer in self._layers(x):
            z = matmul(z, layer.mT)
        return z - y

    def losses(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        return self.residuals(x, index).square().sum(-1) / 2

    def gradient(self, x: Tensor, index: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        if index is None or weight is None:
            index = torch.arange(self.n).expand(len(x), -1)
            weight = torch.full_like(index, 1 / self.n, dtype=x.dtype)
        layers = self._layers(x)
        signals = [self.inputs[index]]
        for layer in layers:
            signals.append(matmul(signals[-1], layer.mT))
        back = weight[..., None] * (signals[-1] - self.targets[index])
        slopes: list[Tensor] = []
        for layer, signal in zip(reversed(layers), reversed(signals[:-1]), strict=True):
            slopes.append(matmul(back.mT, signal))
            back = matmul(back, layer)
        return torch.stack(slopes[::-1], 1).flatten(1)

    def _layers(self, x: Tensor) -> list[Tensor]:
        p = self.inputs.shape[-1]
        return list(x.unflatten(-1, (self.depth, p, p)).unbind(-3))


def _interpolate(residuals: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Find a zero of the residuals near x by Gauss-Newton steps of least norm.

    Raises:
        ConfigError: the network does not fit its data.
    """
    for _ in range(100):
        r = residuals(x)
        if r.norm() < 1e-13:
            return x
        slopes = jacobian(residuals, x)
        assert isinstance(slopes, Tensor)  # one input, one output
        x = x - torch.linalg.pinv(slopes) @ r
    raise ConfigError(f"no interpolating point found (residual {float(residuals(x).norm()):.1e}); widen the network")


@PROBLEMS.named("two-layer")
def two_layer(n: int = 6, inputs: int = 8, hidden: int = 12, radius: float = 3.0, seed: int = 0) -> TwoLayer:
    """An over-parametrized two-layer network, PL on all of space and smooth on a ball."""
    rng = np.random.default_rng(derive_seed("theory-problem:two-layer", seed))
    z = torch.from_numpy(with_condition(n, inputs, 3.0, rng))
    signs = torch.from_numpy(np.resize([1.0, -1.0], hidden))
    start = torch.from_numpy(rng.standard_normal(hidden * inputs))
    outputs = TwoLayer.outputs(start, z, signs)
    targets = outputs + 0.3 * torch.from_numpy(rng.standard_normal(n))
    return TwoLayer("two-layer", z, targets, signs, start, radius)


@PROBLEMS.named("deep-linear")
def deep_linear(n: int = 8, width: int = 3, depth: int = 3, radius: float = 0.3, seed: int = 0) -> DeepLinear:
    """A deep linear network near the identity, PL and smooth on a ball."""
    rng = np.random.default_rng(derive_seed("theory-problem:deep-linear", seed))
    z = torch.from_numpy(with_condition(n, width, 2.0, rng))
    change = torch.from_numpy(with_condition(width, width, 2.0, rng))
    return DeepLinear("deep-linear", z, z + 0.1 * z @ change, depth, radius)
