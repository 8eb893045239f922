"""The registry of models: from a name to a network whose initial weights depend on a seed and on nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from ...errors import ConfigError
from ...registry import Registry, has_parameters
from ...seeding import derive_seed
from .layers import norm_layer

if TYPE_CHECKING:
    from ..spec import RunSpec


@dataclass(frozen=True)
class Task:
    """What a model is built for.

    Attributes:
        classes: number of logits of the output layer.
        channels: number of channels of the images.
        image_size: height and width of the images, in pixels.
        norm: kind of the normalization layers, ``"batch"`` or ``"group"``.
    """

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
class ModelInfo:
    """What is declared about a model, or a family of models.

    Attributes:
        name: what :func:`build` takes; with parameters (``wrn{depth}_{width}``) it stands for a family.
        summary: one line.
        function: given the task and the parameters of the name, as text, returns the module.
        paper: authors, year and arXiv number or address; None where there is nothing to cite.
        examples: names of the family; a model that is none has itself.
        norms: the values of ``norm`` that it takes. What has no choice takes ``"batch"``, the default, and keeps
            whatever norms it defines.
    """

    name: str
    summary: str
    function: Callable[..., nn.Module]
    paper: str | None
    examples: tuple[str, ...]
    norms: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, int]:
        """The number of parameters of each example for CIFAR-10: 10 classes, 3 channels, 32x32 pixels."""
        return {name: parameters_of(name, classes=10) for name in self.examples}


MODELS: Registry[ModelInfo] = Registry("model", __name__.rpartition(".")[0])

Function = TypeVar("Function", bound=Callable[..., nn.Module])


def register_model(
    name: str,
    summary: str,
    *,
    paper: str | None = None,
    examples: tuple[str, ...] = (),
    norms: tuple[str, ...] = ("batch",),
) -> Callable[[Function], Function]:
    """Register the function below, ``(task, *parameters) -> module``; the arguments are those of :class:`ModelInfo`.

    Raises:
        ConfigError: the name is taken, or it has parameters and there are no examples.
    """
    if has_parameters(name) and not examples:
        raise ConfigError(f"model {name!r} is a family: name some of its members, examples=(...)")

    def add(function: Function) -> Function:
        MODELS.add(name, ModelInfo(name, summary, function, paper, examples or (name,), norms))
        return function

    return add


def build(
    name: str, *, classes: int, channels: int = 3, image_size: int = 32, norm: str = "batch", seed: int
) -> nn.Module:
    """Build a model by name, in training mode, on the CPU.

    The initial weights are a function of the arguments: they come from the stream ``"initialization"`` of the
    seed, drawn on the CPU whatever the training device is. Every random state stays as it was.

    Args:
        name: a name that fits one of :data:`MODELS`.
        classes: number of logits of the output layer.
        channels: number of channels of the images.
        image_size: height and width of the images, in pixels.
        norm: kind of the normalization layers, ``"batch"`` or ``"group"``.
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
    task = Task(classes, channels, image_size, norm)
    with _private_stream(derive_seed("initialization", seed)), torch.device("cpu"):
        return _construct(name, task)


def build_for(spec: "RunSpec", shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build the network of a run, in its memory layout, for images of this shape (C, H, W)."""
    channels, size, width = shape
    if size != width:
        _check_takes(spec, shape, classes)
    network = build(spec.model, classes=classes, channels=channels, image_size=size, norm=spec.norm, seed=spec.seed)
    layout = torch.channels_last if spec.channels_last else torch.contiguous_format
    return network.to(memory_format=layout)  # pyright: ignore[reportCallIssue]


def _check_takes(spec: "RunSpec", shape: tuple[int, int, int], classes: int) -> None:
    """Make sure that a network takes images that are not square; nothing is computed for it.

    Raises:
        ConfigError: it does not.
    """
    with _private_stream(0), torch.device("meta"), torch.no_grad():
        try:
            _construct(spec.model, Task(classes, *shape[:2], spec.norm)).eval()(torch.empty(1, *shape))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ConfigError(
                f"model {spec.model!r} takes square images, and those of {spec.dataset!r} are {shape[1]} x {shape[2]}: "
                f"bring them to one size with augment='resize:{min(shape[1:])}', or take another model"
            ) from error


@cache
def parameters_of(name: str, *, classes: int, channels: int = 3, image_size: int = 32, norm: str = "batch") -> int:
    """Count the parameters of a model without allocating them; arguments and errors as :func:`build`.

    Example:
        >>> f"{parameters_of('wrn28_10', classes=10) / 1e6:.1f} M"
        '36.5 M'
    """
    task = Task(classes, channels, image_size, norm)
    with _private_stream(0), torch.device("meta"):
        return sum(parameter.numel() for parameter in _construct(name, task).parameters())


@cache
def state_bytes_of(name: str, *, classes: int, channels: int = 3, image_size: int = 32, norm: str = "batch") -> int:
    """Count the bytes of parameters and buffers of a model without allocating them; arguments as :func:`build`."""
    with _private_stream(0), torch.device("meta"):
        state = _construct(name, Task(classes, channels, image_size, norm)).state_dict()
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


@cache
def activation_bytes_of(
    name: str, *, batch: int, classes: int, channels: int = 3, image_size: int = 32, norm: str = "batch"
) -> int:
    """Count the float32 bytes that a forward pass keeps for its backward pass, without computing it; as :func:`build`.

    Args:
        batch: number of images of the pass.
    """
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with _private_stream(0), torch.device("meta"):
        network = _construct(name, Task(classes, channels, image_size, norm))
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = network(torch.zeros(batch, channels, image_size, image_size))
            nn.functional.cross_entropy(logits, torch.zeros(batch, dtype=torch.long))
    own = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
    return sum(storage.nbytes() for key, storage in kept.items() if key not in own)


@cache
def forward_flops_of(name: str, *, classes: int, channels: int = 3, image_size: int = 32, norm: str = "batch") -> int:
    """Count the floating-point operations of matrix products and convolutions in a forward pass over one image."""
    from torch.utils.flop_counter import FlopCounterMode

    with _private_stream(0), torch.device("meta"), FlopCounterMode(display=False) as counter:
        _construct(name, Task(classes, channels, image_size, norm))(torch.zeros(2, channels, image_size, image_size))
    return counter.get_total_flops() // 2


def _construct(name: str, task: Task) -> nn.Module:
    info, parameters = MODELS.resolve(name)
    if task.norm not in info.norms:
        raise ConfigError(
            f"model {name!r} defines its own norms and cannot be built with norm={task.norm!r}; "
            "leave it at 'batch', or choose a model that has that norm (such as timm:resnet50_gn)"
        )
    return info.function(task, *parameters)


@contextmanager
def _private_stream(seed: int) -> Iterator[None]:
    """Seed the default CPU generator, from which every constructor of torch and timm draws, then restore it.

    ``torch.manual_seed`` would reseed every accelerator as well, and nothing would restore those.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
