"""MESA: a loss term that keeps the outputs close to those of an average of past weights."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ..hyper import Value
from .averages import create_average
from .hooks import HOOKS, LossHook, Samples, Targets, TrainingProgress
from .info import Identity
from .registry import Hyper, register
from .saf import SAF, divergence
from .sgd import SGD


@HOOKS.register
class MESA(LossHook):
    r"""Memory-efficient sharpness-aware training.

    .. math::
        h(z_i, \tau_i) = \lambda\, T^2\, \mathrm{KL}\big(\sigma(\tau_i / T) \,\|\, \sigma(z_i / T)\big), \qquad
        \sigma = \mathrm{softmax}

    with :math:`\tau_i` the logits of the same image under the exponential moving average of the weights
    (:class:`~sambench.variants.ema.EMA`, with warm-up), in evaluation mode; no term before the share ``mesa_start`` of
    the run's steps. The teacher's logits of a batch are computed once, before the first pass.

    Departs from the original code, where the start is an epoch (5, of 200 on CIFAR) and the average has no warm-up and
    starts from the initial weights: 10 / (1 - decay) steps later the two are the same. There the logarithm is taken of
    a softmax, which underflows.

    References:
        Du et al., NeurIPS 2022, arXiv 2205.14083; code: AngusDujw/SAF, ``MESA_train.py`` (README: weight 0.8,
        temperature 5; decay 0.9998 by default).
    """

    name = "mesa"
    summary = "distillation loss: stay close to the outputs of an average of past weights"
    paper = SAF.paper
    hyper: ClassVar[Mapping[str, Hyper]] = {
        "mesa_weight": Hyper(0.8, "weight lambda of the term", low=0, search=(0.1, 1.0, "log")),
        "mesa_temperature": Hyper(5.0, "temperature T", low=0, above=True),
        "mesa_decay": Hyper(0.9998, "weight of the past in the average", low=0, high=1, search=(0.99, 0.999, 0.9998)),
        "mesa_start": Hyper(0.025, "share of the run before the term", low=0, high=1, search=(0.025, 0.3)),
    }

    def __init__(self, model: nn.Module, ids: Tensor, classes: int, hyper: Mapping[str, Value]):
        super().__init__(model, ids, classes, hyper)
        self.teacher = create_average("ema", model, ema_decay=hyper["mesa_decay"])

    @staticmethod
    def declared_forwards(hyper: Mapping[str, Any]) -> float:
        return 1.0 - hyper["mesa_start"] if hyper["mesa_weight"] else 0.0

    def targets(self, run: TrainingProgress, batch: Samples) -> Targets | None:
        if self.settings["mesa_weight"] == 0.0 or run.step < float(self.settings["mesa_start"]) * run.total_steps:
            return None
        with self.teacher.applied():
            return (run.infer(batch.images),)

    def term(self, logits: Tensor, targets: Targets) -> Tensor:
        (teacher,) = targets
        found = divergence(logits, teacher, float(self.settings["mesa_temperature"]))
        return float(self.settings["mesa_weight"]) * found

    def observe(self, run: TrainingProgress, batch: Samples, logits: Tensor, seen: Tensor) -> None:
        self.teacher.update()

    def copies(self) -> list[Tensor]:
        return self.teacher.copies()

    def state_dict(self) -> dict[str, Any]:
        return {"teacher": self.teacher.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.teacher.load_state_dict(state["teacher"])


@register(
    "mesa",
    summary="the base optimizer on a loss that keeps outputs close to those of an average of past weights",
    paper=MESA.paper,
    gradients=1,
    forwards=MESA.declared_forwards,
    state=1,
    needs=("hook",),
    hook="mesa",
    hyper=MESA.hyper,
    neutral={"mesa_weight": 0.0},
    brief={"mesa_start": 0.0},
    identities=(Identity({"mesa_weight": 0.0}, "sgd"),),
    defaults={name: {"mesa_weight": 0.8, "mesa_temperature": 5.0} for name in ("cifar10", "cifar100")},
    notes=(
        "Weight 0.8 and temperature 5 are the README's values for any data set, not those of a CIFAR run. During the "
        "teacher's pass a further copy of the weights is held. The loss that step() returns includes the term. The "
        "decay is meant for long runs: in the first 10 / (1 - decay) steps the warm-up sets it. --hook mesa adds the "
        "term to any other variant, in all of its passes."
    ),
)
class MESAOnBase(SGD):
    r"""The base optimizer with the loss hook ``mesa``.

    .. math::
        w_{t+1} = \mathrm{base}\Big(w_t, \nabla_w \frac{1}{B} \sum_{i \in S} \ell(z_i, y_i) + h(z_i, \tau_i)\Big)
    """
