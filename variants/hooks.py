"""Loss hooks: a term that is added to the loss of every pass of training, or images in place of its own."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from ..hyper import Hyper, Value, resolve
from ..registry import Registry
from .info import Paper, check_plugin

HOOKS: "Registry[type[LossHook]]" = Registry("loss hook", __package__ or "sambench.variants")
"""The loss hooks, by name: ``@HOOKS.register`` adds a class."""

Targets = tuple[Tensor, ...]
"""What the term of a batch compares with: tensors (B, ...), one row a sample."""


class Samples(Protocol):
    """What a hook may ask of a batch of B samples."""

    @property
    def images(self) -> Tensor:
        """What the network is given, (B, ...)."""
        ...

    @property
    def labels(self) -> Tensor:
        """int64 (B,)."""
        ...

    @property
    def ids(self) -> Tensor:
        """Identities of the samples in the data set, int64 (B,)."""
        ...


class TrainingProgress(Protocol):
    """What a hook may ask of the run: how far it is, and outputs of the network."""

    @property
    def epoch(self) -> int:
        """Epochs completed before this one."""
        ...

    @property
    def step(self) -> int:
        """Optimizer steps completed before this one."""
        ...

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        ...

    @property
    def seed(self) -> int:
        """Of the run's random streams."""
        ...

    @property
    def normalization(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation that pixels in [0, 1] were normalized by, (C, 1, 1), or () for all channels."""
        ...

    def infer(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of the present weights in evaluation mode; costs a forward evaluation."""
        ...

    def image_gradient(self, images: Tensor, batch: Samples) -> Tensor:
        """Return the derivatives of the summed losses of a batch by other images of it, (B, ...), at the present
        weights in training mode; running statistics stay as they are. Costs a gradient evaluation."""
        ...


@HOOKS.register
class LossHook:
    r"""No term. The base of all loss hooks, whose objective is

    .. math:: f_S(w) = \frac{1}{B} \sum_{i \in S} \omega_i \big(\ell(z_i, y_i) + h(z_i, \tau_i)\big)

    with logits z, importance weights :math:`\omega` (1 without importance sampling), and targets :math:`\tau`. These,
    and the images that the logits are of where a hook moves them, are computed once for a batch, before its first
    pass: all passes of a step are evaluations of one function.

    A hook changes its state in :meth:`observe` alone, which is called when a step has been made: a step that raises
    leaves it as it was.

    Args:
        model: the network that is trained.
        ids: identities of the training samples, int64 (N,).
        classes: number of classes.
        hyper: the hook's own resolved hyper-parameters. Their names start with the hook's: they stand beside those of
            the variant and its other plug-ins.
    """

    name: ClassVar[str] = "none"
    summary: ClassVar[str] = "the loss as it is"
    paper: ClassVar[Paper | None] = None
    hyper: ClassVar[Mapping[str, Hyper]] = {}
    status: ClassVar[str] = "reference"

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        check_plugin(cls)

    def __init__(self, model: nn.Module, ids: Tensor, classes: int, hyper: Mapping[str, Value]):
        self.model, self.classes, self.settings = model, classes, dict(hyper)

    @staticmethod
    def declared_forwards(hyper: Mapping[str, Any]) -> float:
        """Forward-only evaluations per batch, the mean over a run."""
        return 0.0

    @staticmethod
    def declared_gradients(hyper: Mapping[str, Any]) -> float:
        """Gradient evaluations per batch beside those of the step rule, the mean over a run."""
        return 0.0

    def images(self, run: TrainingProgress, batch: Samples) -> Tensor | None:
        """Return what all passes of this batch look at, (B, ...), or None for its images as they are."""
        return None

    def targets(self, run: TrainingProgress, batch: Samples) -> Targets | None:
        """Return what the term of this batch compares with, or None while there is no term."""
        return None

    def term(self, logits: Tensor, targets: Targets) -> Tensor:
        """Return h (B,), from logits in at least float32 and the targets of the same samples; it is differentiated."""
        raise NotImplementedError(f"{type(self).__name__} returns targets and defines no term")

    def observe(self, run: TrainingProgress, batch: Samples, logits: Tensor, seen: Tensor) -> None:
        """Update the hook's state from a step, after it was made.

        Args:
            run: how far it was in the step.
            batch: the samples of the step, B of them.
            logits: outputs of each sample's first pass in the step, detached (B, classes).
            seen: whether a sample had a pass in the step, bool (B,).
        """

    def copies(self) -> list[Tensor]:
        """Return the copies of the model's parameters that the hook keeps."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """What the rest of the run depends on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""


def create_hook(name: str, model: nn.Module, *, ids: Tensor, classes: int, **hyper: Any) -> LossHook:
    """Create a loss hook for a run.

    Args:
        name: a registered loss hook, as `sambench list hooks` has it.
        model: the network that is trained.
        ids: identities of the training samples, int64 (N,).
        classes: number of classes.
        **hyper: hyper-parameters of the hook, by name; those left out take their defaults.

    Raises:
        ConfigError: an unknown name or hyper-parameter, or a value out of range.
    """
    cls = HOOKS.get(name)
    return cls(model, ids, classes, resolve(f"loss hook {name!r}", cls.hyper, hyper))
