"""Residual networks whose norm and ReLU come before each convolution: Wide ResNets and PreActResNet-18."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import ConfigError
from .layers import conv, initialize, norm_layer


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions: x -> shortcut + conv2(relu(norm2(conv1(relu(norm1(x)))))).

    The shortcut is x itself where the shape stays, and a 1x1 convolution of relu(norm1(x)) where it changes.

    Shapes:
        (n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = conv(inputs, outputs, 3, stride)
        self.norm2 = norm(outputs)
        self.conv2 = conv(outputs, outputs, 3)
        self.shortcut = None if inputs == outputs and stride == 1 else conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        skip = x if self.shortcut is None else self.shortcut(active)
        return skip + self.conv2(F.relu(self.norm2(self.conv1(active))))


class PreActivationNet(nn.Module):
    """A 3x3 stem, stages of pre-activation blocks, then norm, ReLU, global average and a linear classifier.

    Every stage after the first halves the extent in its first block.

    Args:
        stem: channels after the first convolution.
        widths: number of channels of each stage.
        blocks: number of residual blocks in each stage.
        classes: number of logits of the output layer.
        channels: number of channels of the images.
        norm: kind of the normalization layers, ``"batch"`` or ``"group"``.

    Shapes:
        (n, channels, h, w) -> (n, classes).
    """

    def __init__(self, stem: int, widths: Sequence[int], blocks: int, classes: int, channels: int, norm: str) -> None:
        super().__init__()
        layer = norm_layer(norm)
        self.stem = conv(channels, stem, 3)
        stages: list[nn.Module] = []
        inputs = stem
        for stage, outputs in enumerate(widths):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(PreActivationBlock(inputs, outputs, stride, layer))
                inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.norm = layer(inputs)
        self.head = nn.Linear(inputs, classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.blocks(self.stem(x))))
        return self.head(torch.mean(x, dim=(2, 3)))


def wide_resnet(depth: int, width: int, classes: int, channels: int, norm: str) -> PreActivationNet:
    """Build WRN-depth-width: three stages of (depth - 4) / 6 blocks, 16, 32 and 64 channels times the width.

    No dropout, as in the published CIFAR results with crop and flip.

    Args:
        depth: convolutions on the longest path, shortcuts not counted: 6n + 4 with n >= 1.
        width: factor on the channels of the stages, at least 1; the stem always has 16.
        classes: number of logits of the output layer.
        channels: number of channels of the images.
        norm: kind of the normalization layers, ``"batch"`` or ``"group"``.

    Raises:
        ConfigError: no such depth; the message names the nearest.

    References:
        Zagoruyko & Komodakis 2016 (arXiv:1605.07146), code: szagoruyko/wide-residual-networks.
    """
    blocks, remainder = divmod(depth - 4, 6)
    if remainder or blocks < 1:
        below = 6 * blocks + 4
        nearest = f"{below} and {below + 6}" if blocks >= 1 else "10"
        raise ConfigError(
            f"model 'wrn{depth}_{width}': depth must be 6n + 4 with n >= 1 (10, 16, 22, 28, ...), "
            f"got {depth}; nearest valid: {nearest}"
        )
    return PreActivationNet(16, [16 * width, 32 * width, 64 * width], blocks, classes, channels, norm)


def preactresnet18(classes: int, channels: int, norm: str) -> PreActivationNet:
    """Build PreActResNet-18 for small images: four stages of two blocks, 64 to 512 channels, a 3x3 stem.

    The first block adds the raw output of the stem, as the PyTorch implementations in the SAM literature do;
    the original normalizes and rectifies it before the two paths split.

    References:
        He et al. 2016, Identity Mappings in Deep Residual Networks (arXiv:1603.05027).
    """
    return PreActivationNet(64, [64, 128, 256, 512], 2, classes, channels, norm)
