"""EMA: an exponential moving average of the weights."""

from collections.abc import Mapping
from typing import ClassVar

from .averages import AVERAGES, WeightAverage
from .info import Identity, Paper
from .registry import Hyper, register
from .sgd import SGD


@AVERAGES.register
class EMA(WeightAverage):
    r"""Exponential moving average, over every step.

    .. math::
        a_t = d_t\, a_{t-1} + (1 - d_t)\, w_t, \quad a_1 = w_1, \qquad
        d_t = \min\big(d, \tfrac{1 + t}{10 + t}\big)

    Without warm-up :math:`d_t = d`: after t steps the first weights still have the share :math:`d^{t-1}`, 82 % after
    200 steps at d = 0.999. BatchNorm's running statistics are averaged like the weights.

    ``torch.optim.swa_utils.AveragedModel`` with ``get_ema_multi_avg_fn(d)`` and ``use_buffers=True`` is this without
    warm-up; ``timm.utils.ModelEmaV3`` starts from the weights before the first step.

    References:
        Polyak and Juditsky 1992 (averaging); Tarvainen and Valpola 2017, arXiv 1703.01780 (an exponential one of a
        network's weights); there is no original code to depart from. The warm-up is that of TensorFlow's
        ExponentialMovingAverage.
    """

    name = "ema"
    summary = "exponential moving average of the weights and of BatchNorm's statistics, over every step"
    paper = Paper(
        "Tarvainen, Valpola",
        2017,
        "1703.01780",
        "Mean teachers are better role models: Weight-averaged consistency targets improve semi-supervised learning",
    )
    hyper: ClassVar[Mapping[str, Hyper]] = {
        "ema_decay": Hyper(0.999, "weight d of the past", low=0, high=1, search=(0.99, 0.999, 0.9999)),
        "ema_warmup": Hyper(True, "start with a small d and let it grow to its value"),
    }

    def share(self, step: int) -> float:
        decay = float(self.settings["ema_decay"])
        return 1.0 - (min(decay, (1 + step) / (10 + step)) if self.settings["ema_warmup"] else decay)


@register(
    "ema",
    summary="the base optimizer, evaluated at an exponential moving average of its weights",
    paper=EMA.paper,
    gradients=1,
    state=1,
    needs=("average",),
    average="ema",
    hyper=EMA.hyper,
    neutral={"ema_decay": 0.0},
    identities=(Identity({"ema_decay": 0.0}, "sgd"),),
    notes=(
        "The decay has no published value for CIFAR: 0.999 to 0.9999 are in use. Training is that of the base "
        "optimizer, step for step; --average ema evaluates any other variant in the same way."
    ),
)
class EMAOfBase(SGD):
    r"""The base optimizer with the weight average ``ema``.

    .. math:: w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t)), \qquad \text{evaluated at } a_t
    """
