"""VGG-16 with batch normalization, for small images."""

import torch
from torch import Tensor, nn

from .layers import NORMS, initialize, norm_layer
from .registry import Task, register_model

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each stage: configuration D of the paper."""


class VGG(nn.Module):
    """Stages of 3x3 convolutions, each with norm and ReLU, and a 2x2 max-pooling; global average, linear classifier.

    One linear layer takes the place of the three of the paper, as is usual where 32x32 pixels end as one. Convolutions
    keep their biases, as in torchvision's network, though the norms make them idle. Odd extents are rounded up.

    Shapes:
        (n, channels, h, w) -> (n, classes).
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        layer = norm_layer(task.norm)
        layers: list[nn.Module] = []
        inputs = task.channels
        for outputs, count in STAGES:
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), layer(outputs), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, task.classes)
        initialize(self)
        for module in self.features:
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.mean(self.features(x), dim=(2, 3)))


@register_model(
    "vgg16_bn",
    "VGG-16 with batch normalization and one linear layer, for small images",
    paper="Simonyan & Zisserman 2015, arXiv:1409.1556",
    norms=NORMS,
)
def vgg16_bn(task: Task) -> VGG:
    """Build VGG-16 for images of any size; those of 32x32 pixels reach 1x1.

    References:
        Simonyan & Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition (arXiv:1409.1556),
        configuration D; batch normalization is Ioffe & Szegedy's (arXiv:1502.03167).
    """
    return VGG(task)
