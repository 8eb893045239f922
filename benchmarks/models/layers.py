"""The two choices that all convolutional families share: how they normalize and how they start."""

from collections.abc import Callable

from torch import nn

from ...errors import unknown

NORMS = ("batch", "group")
MAX_GROUPS = 32


def group_count(channels: int) -> int:
    """Return the largest number of groups up to 32 that divides the channels.

    Example:
        >>> [group_count(channels) for channels in (16, 64, 80, 7)]
        [16, 32, 20, 7]
    """
    return max(groups for groups in range(1, MAX_GROUPS + 1) if channels % groups == 0)


def norm_layer(norm: str) -> Callable[[int], nn.Module]:
    """Return the constructor ``channels -> layer`` of a normalization.

    ``"batch"`` is BatchNorm with torch's momentum 0.1 and epsilon 1e-5; ``"group"`` is GroupNorm with
    :func:`group_count` groups, whose output for one image does not depend on the others in the batch.

    Raises:
        ConfigError: the name is not one of :data:`NORMS`.

    References:
        Ioffe & Szegedy 2015 (arXiv:1502.03167); Wu & He 2018 (arXiv:1803.08494, 32 groups).
    """
    if norm == "batch":
        return nn.BatchNorm2d
    if norm == "group":
        return lambda channels: nn.GroupNorm(group_count(channels), channels)
    raise unknown("normalization", norm, NORMS)


def conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Return a square convolution without bias, padded to keep the extent at stride 1."""
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


def initialize(model: nn.Module) -> None:
    """Draw convolutions from the He normal distribution N(0, 2 / fan_out) and set linear biases to 0.

    Linear weights keep torch's U(-1/sqrt(fan_in), 1/sqrt(fan_in)); norms keep scale 1 and shift 0. Draws come
    from the default CPU generator, which :func:`sambench.benchmarks.models.build` seeds and then restores. Weights on
    the meta device, which are only counted, are left alone: torch imports its compiler to draw from a normal there.

    References:
        He et al. 2015 (arXiv:1502.01852); fan_out as in the code of Zagoruyko & Komodakis 2016.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
