"""ResNets with norm and ReLU after each convolution, for small images: ResNet-18 and the CIFAR family."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import NORMS, conv, initialize, norm_layer
from .registry import Task, register_model


class Padded(nn.Module):
    """Every stride-th pixel, and zeros for so many new channels: a shortcut without parameters."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions: x -> relu(shortcut + norm2(conv2(relu(norm1(conv1(x)))))).

    The shortcut is x itself where the shape stays. Where it changes, it is a 1x1 convolution with norm, or, not
    projected, every stride-th pixel with zeros for the new channels.

    Shapes:
        (n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride)).
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module], projected: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, stride)
        self.norm1 = norm(outputs)
        self.conv2 = conv(outputs, outputs, 3)
        self.norm2 = norm(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            wider = nn.Sequential(conv(inputs, outputs, 1, stride), norm(outputs))
            self.shortcut = wider if projected else Padded(outputs - inputs, stride)

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


class CifarResNet(nn.Module):
    """The ResNet of the CIFAR experiments, of depth 6n + 2: n blocks each with 16, 32 and 64 channels.

    Args:
        blocks: number n of blocks of a stage.
        classes: number of logits of the output layer.
        channels: number of channels of the images.
        norm: kind of the normalization layers, ``"batch"`` or ``"group"``.

    Shapes:
        (n, channels, h, w) -> (n, classes).

    References:
        He et al. 2016, Deep Residual Learning for Image Recognition (arXiv:1512.03385), section 4.2.
    """

    def __init__(self, blocks: int, classes: int, channels: int, norm: str) -> None:
        super().__init__()
        layer = norm_layer(norm)
        self.stem, self.norm = conv(channels, 16, 3), layer(16)
        stages: list[nn.Module] = []
        inputs = 16
        for outputs in (16, 32, 64):
            for _ in range(blocks):
                stages.append(BasicBlock(inputs, outputs, outputs // inputs, layer, projected=False))
                inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.head(torch.mean(x, dim=(2, 3)))


@register_model(
    "resnet8",
    "ResNet-8 of the CIFAR family (6n + 2, n = 1): 16, 32, 64 channels, shortcuts without parameters",
    paper="He et al. 2016, arXiv:1512.03385",
    norms=NORMS,
)
def resnet8(task: Task) -> CifarResNet:
    """Build the network; it takes images of any size."""
    return CifarResNet(1, task.classes, task.channels, task.norm)


@register_model(
    "resnet18",
    "ResNet-18 with the stem for small images: 3x3, stride 1, no max-pooling",
    paper="He et al. 2016, arXiv:1512.03385",
    norms=NORMS,
)
def resnet18(task: Task) -> ResNet18:
    """Build the network; it takes images of any size."""
    return ResNet18(task.classes, task.channels, task.norm)
