"""SWA: the mean of the weights at the ends of the last epochs, which a high learning rate keeps apart."""

from collections.abc import Mapping
from typing import ClassVar

from . import published
from .averages import AVERAGES, WeightAverage
from .info import Identity, Paper
from .registry import Hyper, register
from .sgd import SGD


def swa_factor(progress: float, start: float, ratio: float) -> float:
    """Return the factor on the peak learning rate at a share of the run: constant, linear, constant.

    Args:
        progress: share of the run that is over, in [0, 1].
        start: share after which weights are averaged, greater than 0.
        ratio: learning rate of the averaged part over the peak, in [0, 1].

    Example:
        >>> [round(swa_factor(p, 0.8, 0.5), 3) for p in (0.0, 0.4, 0.56, 0.72, 1.0)]
        [1.0, 1.0, 0.75, 0.5, 0.5]
    """
    way = min(max((progress / start - 0.5) / 0.4, 0.0), 1.0)
    return 1.0 - (1.0 - ratio) * way


@AVERAGES.register
class SWA(WeightAverage):
    r"""Stochastic weight averaging.

    .. math::
        a = \frac{1}{n} \sum_{e} w^{(e)}, \qquad
        e = e_0 + 1,\ e_0 + 1 + c,\ e_0 + 1 + 2c, \dots \le E, \qquad e_0 = \mathrm{round}(\text{start} \cdot E)

    over the weights :math:`w^{(e)}` at the ends of epochs e of E. The learning rate stays at its peak for half of the
    way to the start, falls linearly to ``swa_lr`` times the peak until 0.9 of it, and stays there: this takes the place
    of the run's schedule, warm-up excepted; ``swa_lr=0`` keeps it. Before the average is evaluated, BatchNorm's
    statistics are recomputed over the training set at the averaged weights: one epoch of forward passes, counted once
    for the final measurement.

    Departs from the original code in nothing but the unit of ``swa_start``, a share of the run instead of an epoch.
    ``torch.optim.swa_utils`` averages alike; its ``SWALR`` is another schedule.

    References:
        Izmailov et al., UAI 2018, arXiv 1803.05407; code: timgaripov/swa (epoch 161 of 200, lr 0.05 for a peak of 0.1).
    """

    name = "swa"
    summary = "mean of the weights at the ends of the last epochs; brings its own learning-rate schedule"
    statistics = "recomputed"
    paper = Paper(
        "Izmailov, Podoprikhin, Garipov, Vetrov, Wilson",
        2018,
        "1803.05407",
        "Averaging Weights Leads to Wider Optima and Better Generalization",
        "timgaripov/swa",
    )
    hyper: ClassVar[Mapping[str, Hyper]] = {
        "swa_start": Hyper(
            0.8,
            "share of the run after which epochs are averaged; 1: none",
            low=0,
            high=1,
            above=True,
            search=(0.5, 0.8),
        ),
        "swa_every": Hyper(1, "epochs between two that are averaged", low=1),
        "swa_lr": Hyper(
            0.5, "their learning rate, as a share of the peak; 0: that of the run", low=0, high=1, search=(0.1, 0.5)
        ),
    }

    def share(self, step: int) -> float | None:
        epoch, within = divmod(step, self.steps_per_epoch)
        epochs = self.total_steps // self.steps_per_epoch
        late = epoch - round(float(self.settings["swa_start"]) * epochs) - 1
        due = within == 0 and late >= 0 and late % int(self.settings["swa_every"]) == 0
        return 1.0 / (self.count + 1) if due else None

    def schedule(self, progress: float) -> float | None:
        ratio = float(self.settings["swa_lr"])
        return swa_factor(progress, float(self.settings["swa_start"]), ratio) if ratio else None


@register(
    "swa",
    summary="the base optimizer, evaluated at the mean of the weights at the ends of the last epochs",
    paper=SWA.paper,
    gradients=1,
    state=1,
    needs=("average",),
    average="swa",
    hyper=SWA.hyper,
    neutral={"swa_start": 1.0, "swa_lr": 0.0},
    brief={"swa_start": 0.05},
    identities=(Identity({"swa_start": 1.0, "swa_lr": 0.0}, "sgd"),),
    defaults={
        "cifar10": {"swa_start": 0.8, "swa_every": 1, "swa_lr": 0.5},
        "cifar100": {"swa_start": 0.8, "swa_every": 1, "swa_lr": 0.5},
    },
    published=(
        published.SWA_CIFAR10.result(96.45, 0.11, swa_start=0.8, swa_lr=0.5),
        published.SWA_CIFAR100.result(81.46, 0.23, swa_start=0.8, swa_lr=0.5),
        published.SWA_LONG_CIFAR10.result(96.79, 0.05, swa_lr=0.5),
        published.SWA_LONG_CIFAR100.result(82.15, 0.27, swa_lr=0.5),
    ),
    notes=(
        "Beside the declared gradients it costs one epoch of forward passes, once, to recompute BatchNorm's statistics "
        "for the final measurement; on a model without BatchNorm it costs nothing. Curves show the average from its "
        "first epoch on. --average swa evaluates any other variant in the same way, and changes its schedule."
    ),
)
class SWAOfBase(SGD):
    r"""The base optimizer with the weight average ``swa``.

    .. math:: w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t)), \qquad \text{evaluated at } a
    """
