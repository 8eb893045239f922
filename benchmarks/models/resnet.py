"""ResNets with norm and ReLU after each convolution, for small images: ResNet-18 and the CIFAR family."""

from collections.abc import Callable, Sequence

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


class ResNet(nn.Module):
    """A 3x3 stem of stride 1 without max-pooling, stages of basic blocks, global average and a linear classifier.

    Every stage that widens halves the extent in its first block.

    Args:
        widths: number of channels of each stage; the stem has that of the first.
        blocks: number of residual blocks in each stage.
        classes: number of logits of the output layer.
        channels: number of channels of the images.
        norm: kind of the normalization layers, ``"batch"`` or ``"group"``.
        projected: whether shortcuts that change the shape have parameters.

    Shapes:
        (n, channels, h, w) -> (n, classes).
    """

    def __init__(
        self, widths: Sequence[int], blocks: int, classes: int, channels: int, norm: str, projected: bool = True
    ) -> None:
        super().__init__()
        layer = norm_layer(norm)
        inputs = widths[0]
        self.stem, self.norm = conv(channels, inputs, 3), layer(inputs)
        stages: list[nn.Module] = []
        for outputs in widths:
            for _ in range(blocks):
                stages.append(BasicBlock(inputs, outputs, 1 if inputs == outputs else 2, layer, projected))
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
def resnet8(task: Task) -> ResNet:
    """Build the smallest ResNet of the CIFAR experiments, whose depth is 6n + 2, for images of any size.

    References:
        He et al. 2016, Deep Residual Learning for Image Recognition (arXiv:1512.03385), section 4.2.
    """
    return ResNet((16, 32, 64), 1, task.classes, task.channels, task.norm, projected=False)


@register_model(
    "resnet18",
    "ResNet-18 with the stem for small images: 3x3, stride 1, no max-pooling",
    paper="He et al. 2016, arXiv:1512.03385",
    norms=NORMS,
)
def resnet18(task: Task) -> ResNet:
    """Build the network for images of any size; those of 32x32 pixels reach 4x4, not 1x1.

    References:
        He et al. 2016, Deep Residual Learning for Image Recognition (arXiv:1512.03385).
    """
    return ResNet((64, 128, 256, 512), 2, task.classes, task.channels, task.norm)
