"""ResNet-18 with norm and ReLU after each convolution, and the stem that small images need."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import conv, initialize, norm_layer


class BasicBlock(nn.Module):
    """Two 3x3 convolutions: x -> relu(shortcut + norm2(conv2(relu(norm1(conv1(x)))))).

    The shortcut is x itself where the shape stays, and a 1x1 convolution with norm where it changes.

    Shapes:
        (n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, stride)
        self.norm1 = norm(outputs)
        self.conv2 = conv(outputs, outputs, 3)
        self.norm2 = norm(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        branch = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(self.shortcut(x) + branch)


class ResNet18(nn.Module):
    """ResNet-18 with a 3x3 stem of stride 1 and no max-pooling, so that 32x32 images reach 4x4, not 1x1.

    Args:
        classes: number of logits of the output layer.
        channels: number of channels of the images.
        norm: kind of the normalization layers, ``"batch"`` or ``"group"``.

    Shapes:
        (n, channels, h, w) -> (n, classes).

    References:
        He et al. 2016, Deep Residual Learning for Image Recognition (arXiv:1512.03385).
    """

    def __init__(self, classes: int, channels: int, norm: str) -> None:
        super().__init__()
        layer = norm_layer(norm)
        self.stem = conv(channels, 64, 3)
        self.norm = layer(64)
        blocks: list[nn.Module] = []
        inputs = 64
        for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [BasicBlock(inputs, outputs, stride, layer), BasicBlock(outputs, outputs, 1, layer)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.head(torch.mean(x, dim=(2, 3)))
