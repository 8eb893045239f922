"""Frobenius and spectral norms of the linear and convolutional layers, the spectral ones of the whole linear map."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from ..measuring.registry import Found, NotApplicable, measure
from ..measuring.subject import Subject


def conv_spectral_norm(kernel: Tensor, height: int, width: int) -> float:
    """Return the largest singular value of a convolution with circular padding and stride 1 on height x width images.

    The Fourier transform makes it block diagonal: one (outputs, inputs) matrix a frequency. With a stride of more than
    1 the norm is at most this one. With padding by zeros it is at most the largest over all frequencies, of which
    these are a grid: it can lie somewhat above as well as below.

    Args:
        kernel: (outputs, inputs, kh, kw).
        height: of the images, at least kh.
        width: of the images, at least kw.

    References:
        Sedghi, Gupta, Long 2018, arXiv 1805.10408.
    """
    blocks = torch.fft.fft2(kernel.double(), (height, width)).permute(2, 3, 0, 1)
    return float(torch.linalg.matrix_norm(blocks, 2).max())


def _inputs(subject: Subject) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Return the layers with weights and the shapes of what they are given, in the order of a forward pass."""
    found: list[tuple[nn.Module, tuple[int, ...]]] = []
    hooks = [
        module.register_forward_pre_hook(lambda layer, given: found.append((layer, tuple(given[0].shape))))
        for module in subject.network.modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    try:
        subject.predict(subject.part("train")[0][:1])  # pyright: ignore[reportOptionalSubscript]
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _log_of_squares(norms: list[float]) -> float:
    return sum(2 * math.log(norm) for norm in norms) if all(norms) else -math.inf


@measure(
    "weight_norms",
    "Frobenius and spectral norms of linear and convolutional layers",
    group="norms",
    settings={},
    values={
        "log_product_spectral": "sum of log ||W||_2^2 over the layers",
        "log_product_frobenius": "sum of log ||W||_F^2 over the layers",
        "sum_spectral": "sum of ||W||_2^2",
        "sum_frobenius": "sum of ||W||_F^2",
        "stable_rank": "mean of ||W||_F^2 / ||W||_2^2, the Frobenius norm that of the whole linear map",
        "layers": "number of layers",
        "spectral": "||W||_2 of each layer, in the order of a forward pass",
    },
    paper="Neyshabur et al. 2017, arXiv 1706.08947; Sedghi et al. 2018, arXiv 1805.10408; Jiang et al. 2019, "
    "arXiv 1912.02178",
)
def weight_norms(subject: Subject) -> Found:
    """Measure the norms of every layer; BatchNorm is not folded into the weights, so that its scale is left out.

    Convolutions are taken with circular padding: the exact norm then, an approximation with zero padding.
    """
    layers = list(dict.fromkeys(_inputs(subject)))
    spectral, frobenius, ranks = [], [], []
    for layer, shape in layers:
        weight = layer.get_parameter("weight").detach().double()
        places = 1
        if isinstance(layer, nn.Conv2d):
            if layer.groups > 1 or layer.dilation != (1, 1):
                raise NotApplicable("spectral norms are not defined here for grouped or dilated convolutions")
            height, width = max(shape[2], weight.shape[2]), max(shape[3], weight.shape[3])
            spectral.append(conv_spectral_norm(weight, height, width))
            places = height * width
        else:
            spectral.append(float(torch.linalg.matrix_norm(weight, 2)))
        frobenius.append(float(weight.norm()))
        ranks.append(places * frobenius[-1] ** 2 / spectral[-1] ** 2 if spectral[-1] else 0.0)
    if not layers:
        raise NotApplicable("the network has no linear or convolutional layer")
    return {
        "log_product_spectral": _log_of_squares(spectral),
        "log_product_frobenius": _log_of_squares(frobenius),
        "sum_spectral": sum(norm**2 for norm in spectral),
        "sum_frobenius": sum(norm**2 for norm in frobenius),
        "stable_rank": float(np.mean(ranks)),
        "layers": len(layers),
        "spectral": spectral,
    }
