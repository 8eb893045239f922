"""SAF: a loss term that keeps the outputs close to those of some epochs ago, instead of SAM's second gradient."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..hyper import Value
from .averages import wide
from .hooks import HOOKS, LossHook, Samples, Targets, TrainingProgress
from .info import Identity, Paper
from .registry import Hyper, register
from .sgd import SGD


def divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    r"""Return :math:`T^2\, \mathrm{KL}(\mathrm{softmax}(\tau/T) \,\|\, \mathrm{softmax}(z/T))` of each sample, (B,).

    Example:
        >>> divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]), 5.0)
        tensor([0.])
    """
    ours, theirs = (F.log_softmax(z / temperature, dim=1) for z in (logits, teacher.to(logits.dtype)))
    return temperature**2 * F.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)


@HOOKS.register
class SAF(LossHook):
    r"""Sharpness-aware training for free.

    .. math::
        h(z_i, \tau_i) = \lambda\, T^2\, \mathrm{KL}\big(\sigma(\tau_i / T) \,\|\, \sigma(z_i / T)\big), \qquad
        \sigma = \mathrm{softmax}

    with :math:`\tau_i` the logits of the same sample, in another augmentation, ``saf_delay`` epochs ago; no term for a
    sample that was not drawn then, and none before the share ``saf_start`` of the run's steps.

    Departs from the original code, where the start is an epoch (5, of 200 on CIFAR), and a sample that was left out
    of a batch keeps logits that are older, or zero. There the logarithm is taken of a softmax, which underflows.

    References:
        Du et al., NeurIPS 2022, arXiv 2205.14083; code: AngusDujw/SAF, ``SAF_train.py`` (README: weight 0.3,
        temperature 5, delay 2 or 3).
    """

    name = "saf"
    summary = "trajectory loss: stay close to the outputs of some epochs ago"
    paper = Paper("Du, Zhou, Feng, Tan, Zhou", 2022, "2205.14083", "Sharpness-Aware Training for Free", "AngusDujw/SAF")
    hyper: ClassVar[Mapping[str, Hyper]] = {
        "saf_weight": Hyper(0.3, "weight lambda of the term", low=0, search=(0.1, 1.0, "log")),
        "saf_temperature": Hyper(5.0, "temperature T", low=0, above=True),
        "saf_delay": Hyper(3, "epochs between the outputs that are compared", low=1, search=(2, 3)),
        "saf_start": Hyper(0.025, "share of the run before the term", low=0, high=1, search=(0.025, 0.3)),
    }

    def __init__(self, model: nn.Module, ids: Tensor, classes: int, hyper: Mapping[str, Value]):
        super().__init__(model, ids, classes, hyper)
        self.delay = int(hyper["saf_delay"])
        slots = self.delay + 1
        self.ids = ids.sort().values
        kind = wide(next(model.parameters())).dtype
        self.past = torch.zeros(len(ids), slots, classes, dtype=kind, device=ids.device)
        self.epochs = torch.full((len(ids), slots), -1, device=ids.device)

    def targets(self, run: TrainingProgress, batch: Samples) -> Targets | None:
        weight, start = float(self.settings["saf_weight"]), float(self.settings["saf_start"])
        then = run.epoch - self.delay
        if weight == 0.0 or then < 0 or run.step < start * run.total_steps:
            return None
        at, slot = self._rows(batch.ids), then % (self.delay + 1)
        return self.past[at, slot], self.epochs[at, slot] == then

    def term(self, logits: Tensor, targets: Targets) -> Tensor:
        past, known = targets
        found = divergence(logits, past, float(self.settings["saf_temperature"]))
        return float(self.settings["saf_weight"]) * found * known

    def observe(self, run: TrainingProgress, batch: Samples, logits: Tensor, seen: Tensor) -> None:
        ids, logits = batch.ids, logits.to(self.past.dtype)
        slot, order = run.epoch % (self.delay + 1), torch.arange(len(ids), device=ids.device)
        # a sample that importance sampling drew twice: its last pass, whatever order the device writes in
        last = ((ids[:, None] == ids[None, :]) * seen * (order + 1)).amax(1) - 1
        at, known = self._rows(ids), last >= 0
        self.past[at, slot] = torch.where(known[:, None], logits[last], self.past[at, slot])
        self.epochs[at, slot] = torch.where(known, run.epoch, self.epochs[at, slot])

    def _rows(self, ids: Tensor) -> Tensor:
        return torch.searchsorted(self.ids, ids)

    def state_dict(self) -> dict[str, Any]:
        return {"past": self.past, "epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.past.copy_(state["past"])
        self.epochs.copy_(state["epochs"])


@register(
    "saf",
    summary="the base optimizer on a loss that keeps outputs close to those of some epochs ago",
    paper=SAF.paper,
    gradients=1,
    needs=("hook",),
    hook="saf",
    hyper=SAF.hyper,
    neutral={"saf_weight": 0.0},
    brief={"saf_delay": 1, "saf_start": 0.0},
    identities=(Identity({"saf_weight": 0.0}, "sgd"),),
    defaults={name: {"saf_weight": 0.3, "saf_temperature": 5.0, "saf_delay": 3} for name in ("cifar10", "cifar100")},
    notes=(
        "Weight 0.3, temperature 5 and delay 3 are the README's values for any data set, not those of a CIFAR run. "
        "Keeps N x classes x (delay + 1) logits in single precision: 80 MB for CIFAR-100, 20 GB for ImageNet. The "
        "loss that step() returns includes the term. --hook saf adds it to any other variant, in all of its passes."
    ),
)
class SAFOnBase(SGD):
    r"""The base optimizer with the loss hook ``saf``.

    .. math::
        w_{t+1} = \mathrm{base}\Big(w_t, \nabla_w \frac{1}{B} \sum_{i \in S} \ell(z_i, y_i) + h(z_i, \tau_i)\Big)
    """
