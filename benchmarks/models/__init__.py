"""Models by name: small-image classifiers whose initial weights depend on a seed and on nothing else."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from ...errors import ConfigError, unknown
from ...seeding import derive_seed
from .layers import NORMS, norm_layer
from .mlp import MLP
from .preact_resnet import preactresnet18, wide_resnet
from .resnet import ResNet18
from .timm_models import timm_model

__all__ = ["ModelInfo", "build", "list_models", "parameters_of"]


@dataclass(frozen=True)
class ModelInfo:
    """What the command line says about a family of models.

    Attributes:
        name: the name, with what the user fills in standing in braces (``wrn{depth}_{width}``).
        examples: names of the family that :func:`build` accepts.
        summary: one line.
        paper: authors, year and arXiv number or address; None where there is nothing to cite.
        norms: the values of ``norm`` that the family takes. Families without a choice take ``"batch"``, the
            default, and keep whatever norms they define.
    """

    name: str
    examples: tuple[str, ...]
    summary: str
    paper: str | None
    norms: tuple[str, ...] = NORMS

    @property
    def parameters(self) -> dict[str, int]:
        """The number of parameters of each example for CIFAR-10: 10 classes, 3 channels, 32x32 pixels."""
        return {name: parameters_of(name, classes=10) for name in self.examples}


@dataclass(frozen=True)
class _Task:
    """What a family is told besides its name."""

    classes: int
    channels: int
    image_size: int
    norm: str

    def __post_init__(self) -> None:
        for field in ("classes", "channels", "image_size"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field} must be at least 1, got {getattr(self, field)}")
        norm_layer(self.norm)


@dataclass(frozen=True)
class _Family:
    info: ModelInfo
    pattern: re.Pattern[str]
    construct: Callable[[re.Match[str], _Task], nn.Module]


_FAMILIES = (
    _Family(
        ModelInfo(
            "wrn{depth}_{width}",
            ("wrn28_10", "wrn16_8", "wrn16_1", "wrn16_4", "wrn40_4"),
            "Wide ResNet: depth 6n + 4, channels (16, 32, 64) times the width",
            "Zagoruyko & Komodakis 2016, arXiv:1605.07146",
        ),
        re.compile(r"wrn([1-9]\d*)_([1-9]\d*)"),
        lambda match, task: wide_resnet(int(match[1]), int(match[2]), task.classes, task.channels, task.norm),
    ),
    _Family(
        ModelInfo(
            "preactresnet18",
            ("preactresnet18",),
            "ResNet-18 with pre-activation blocks and the stem for small images",
            "He et al. 2016, arXiv:1603.05027",
        ),
        re.compile("preactresnet18"),
        lambda _, task: preactresnet18(task.classes, task.channels, task.norm),
    ),
    _Family(
        ModelInfo(
            "resnet18",
            ("resnet18",),
            "ResNet-18 with the stem for small images: 3x3, stride 1, no max-pooling",
            "He et al. 2016, arXiv:1512.03385",
        ),
        re.compile("resnet18"),
        lambda _, task: ResNet18(task.classes, task.channels, task.norm),
    ),
    _Family(
        ModelInfo("mlp", ("mlp",), "two hidden ReLU layers of 128 units, no norms", None, norms=("batch",)),
        re.compile("mlp"),
        lambda _, task: MLP(task.channels * task.image_size**2, task.classes),
    ),
    _Family(
        ModelInfo(
            "timm:NAME",
            ("timm:resnet18",),
            "any architecture of timm, from scratch, with its own norms and initialization",
            "Wightman 2019, github.com/huggingface/pytorch-image-models",
            norms=("batch",),
        ),
        re.compile(r"timm:(.*)"),
        lambda match, task: timm_model(match[1], task.classes, task.channels, task.image_size),
    ),
)


def list_models() -> list[ModelInfo]:
    """List the families that :func:`build` knows, in the order of the documentation."""
    return [family.info for family in _FAMILIES]


def build(
    name: str, *, classes: int, channels: int = 3, image_size: int = 32, norm: str = "batch", seed: int
) -> nn.Module:
    """Build a model by name, in training mode, on the CPU.

    The initial weights are a function of the arguments: they come from the stream ``"initialization"`` of the
    seed, drawn on the CPU whatever the training device is. Every random state stays as it was.

    Args:
        name: a name that fits one of :func:`list_models`.
        classes: number of logits.
        channels: channels of the images.
        image_size: height and width of the images, in pixels.
        norm: ``"batch"`` or ``"group"``.
        seed: the seed of the run.

    Returns:
        A module (n, channels, image_size, image_size) -> logits (n, classes).

    Raises:
        ConfigError: an unknown name or norm, a depth that does not exist, a combination the family refuses.

    Example:
        >>> model = build("wrn16_1", classes=10, channels=1, image_size=8, seed=0)
        >>> model(torch.zeros(4, 1, 8, 8)).shape
        torch.Size([4, 10])
    """
    task = _Task(classes, channels, image_size, norm)
    with _private_stream(derive_seed("initialization", seed)), torch.device("cpu"):
        return _construct(name, task)


@cache
def parameters_of(name: str, *, classes: int, channels: int = 3, image_size: int = 32, norm: str = "batch") -> int:
    """Count the parameters of a model without allocating them; arguments and errors as :func:`build`.

    Example:
        >>> f"{parameters_of('wrn28_10', classes=10) / 1e6:.1f} M"
        '36.5 M'
    """
    task = _Task(classes, channels, image_size, norm)
    with _private_stream(0), torch.device("meta"):
        return sum(parameter.numel() for parameter in _construct(name, task).parameters())


def _construct(name: str, task: _Task) -> nn.Module:
    for family in _FAMILIES:
        if match := family.pattern.fullmatch(name):
            if task.norm not in family.info.norms:
                raise ConfigError(
                    f"model {name!r} defines its own norms and cannot be built with norm={task.norm!r}; "
                    "leave it at 'batch', or choose a model that has that norm (such as timm:resnet50_gn)"
                )
            return family.construct(match, task)
    valid = {example for family in _FAMILIES for example in family.info.examples}
    raise unknown("model", name, valid | {family.info.name for family in _FAMILIES})


@contextmanager
def _private_stream(seed: int) -> Iterator[None]:
    """Seed the default CPU generator, from which every constructor of torch and timm draws, then restore it.

    ``torch.manual_seed`` would reseed every accelerator as well, and nothing would restore those.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
