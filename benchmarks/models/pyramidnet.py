"""PyramidNets: residual networks whose channels grow a little in every block, for small images."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import ConfigError
from .layers import conv, initialize
from .registry import Task, register_model

STEM = 16
EXPANSION = 4
"""Channels that a bottleneck block puts out, over those of its 3x3 convolution."""


class PyramidBlock(nn.Module):
    """A norm first and last, convolutions with norm and ReLU between them, and a shortcut without parameters.

    The shortcut is x itself, averaged over 2x2 pixels at stride 2, with zeros for the new channels; no ReLU follows.

    Args:
        inputs: channels of x.
        width: channels of the 3x3 convolutions.
        stride: of the first 3x3 convolution, 1 or 2.
        bottleneck: whether a 1x1 convolution stands before the 3x3 one and another one, which widens, after it; else
            there are two 3x3 convolutions.

    Shapes:
        (n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride)).
    """

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        self.outputs = width * EXPANSION if bottleneck else width
        kinds = (
            [(inputs, 1, 1), (width, 3, stride), (width, 1, 1)] if bottleneck else [(inputs, 3, stride), (width, 3, 1)]
        )
        ends = [width] * (len(kinds) - 1) + [self.outputs]
        self.convs = nn.ModuleList(conv(start, end, *rest) for (start, *rest), end in zip(kinds, ends, strict=True))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in (inputs, *ends))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        skip = F.avg_pool2d(x, 2, ceil_mode=True) if self.stride == 2 else x
        branch = self.norms[0](x)
        for number, (convolution, norm) in enumerate(zip(self.convs, list(self.norms)[1:], strict=True)):
            branch = norm(convolution(F.relu(branch) if number else branch))
        return branch + F.pad(skip, (0, 0, 0, 0, 0, self.outputs - skip.shape[1]))


class PyramidNet(nn.Module):
    """A 3x3 stem with norm, three stages of blocks, then norm, ReLU, global average and a linear classifier.

    Over N blocks the width grows from 16 to 16 + alpha, by alpha / N in each, rounded where a block needs it.

    Args:
        blocks: number of blocks in each stage.
        alpha: channels that are added over the whole depth.
        bottleneck: kind of the blocks.
        task: classes and channels.

    Shapes:
        (n, channels, h, w) -> (n, classes).
    """

    def __init__(self, blocks: int, alpha: int, bottleneck: bool, task: Task) -> None:
        super().__init__()
        self.stem, self.stem_norm = conv(task.channels, STEM, 3), nn.BatchNorm2d(STEM)
        stages: list[nn.Module] = []
        inputs = STEM
        for number in range(3 * blocks):
            width = round(STEM + alpha * (number + 1) / (3 * blocks))
            block = PyramidBlock(inputs, width, 2 if number in (blocks, 2 * blocks) else 1, bottleneck)
            stages.append(block)
            inputs = block.outputs
        self.blocks = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(inputs)
        self.head = nn.Linear(inputs, task.classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem_norm(self.stem(x)))
        return self.head(torch.mean(F.relu(self.norm(x)), dim=(2, 3)))


def _build(task: Task, depth: str, alpha: str, bottleneck: bool) -> PyramidNet:
    per_block = 9 if bottleneck else 6
    blocks, remainder = divmod(int(depth) - 2, per_block)
    if remainder or blocks < 1:
        below = per_block * max(blocks, 1) + 2
        name = f"pyramidnet{depth}_{alpha}" + "_bottleneck" * bottleneck
        raise ConfigError(
            f"model {name!r}: depth must be {per_block}n + 2 with n >= 1, got {depth}; nearest valid: {below} and "
            f"{below + per_block}"
        )
    return PyramidNet(blocks, int(alpha), bottleneck, task)


@register_model(
    "pyramidnet{depth}_{alpha}",
    "PyramidNet of basic blocks: depth 6n + 2, channels from 16 to 16 + alpha",
    paper="Han, Kim & Kim 2017, arXiv:1610.02915",
    examples=("pyramidnet110_48", "pyramidnet110_84", "pyramidnet110_270"),
)
def pyramidnet(task: Task, depth: str, alpha: str) -> PyramidNet:
    """Build the additive PyramidNet of basic blocks, without ShakeDrop.

    Args:
        task: classes and channels.
        depth: convolutions on the longest path and the classifier: 6n + 2 with n >= 1.
        alpha: channels that are added over the depth.

    Raises:
        ConfigError: no such depth; the message names the nearest.

    References:
        Han, Kim & Kim 2017, Deep Pyramidal Residual Networks (arXiv:1610.02915).
    """
    return _build(task, depth, alpha, bottleneck=False)


@register_model(
    "pyramidnet{depth}_{alpha}_bottleneck",
    "PyramidNet of bottleneck blocks: depth 9n + 2, widths from 16 to 16 + alpha, four times as many channels",
    paper="Han, Kim & Kim 2017, arXiv:1610.02915",
    examples=("pyramidnet164_270_bottleneck", "pyramidnet272_200_bottleneck", "pyramidnet110_84_bottleneck"),
)
def pyramidnet_bottleneck(task: Task, depth: str, alpha: str) -> PyramidNet:
    """Build the additive PyramidNet of bottleneck blocks, without ShakeDrop.

    With depth 272 and alpha 200 it is the network of the CIFAR results of SAM's paper, which adds ShakeDrop.

    Args:
        task: classes and channels.
        depth: convolutions on the longest path and the classifier: 9n + 2 with n >= 1.
        alpha: widths that are added over the depth.

    Raises:
        ConfigError: no such depth; the message names the nearest.

    References:
        Han, Kim & Kim 2017, Deep Pyramidal Residual Networks (arXiv:1610.02915).
    """
    return _build(task, depth, alpha, bottleneck=True)
