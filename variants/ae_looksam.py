"""AE-LookSAM: AE-SAM that reuses LookSAM's direction on the steps it makes without a second gradient."""

from typing import Any

from torch import Tensor

from .ae_sam import AESAM, PAPER, POLICY, expected_cost
from .info import Identity
from .looksam import LookSAM
from .registry import Hyper, register


@register(
    "ae_looksam",
    summary="SAM where the gradient is unusually long; elsewhere the gradient plus LookSAM's stored direction",
    paper=PAPER,
    gradients=expected_cost,
    state=1,
    transient=3,
    cost="adaptive",
    synchronizes=True,
    needs=("clock",),
    hyper={
        "rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "alpha": Hyper(
            0.7, "length of the reused direction, in units of the gradient's norm", low=0, search=(0.5, 0.7, 1.0)
        ),
        **POLICY,
    },
    neutral={"rho": 0.0, "alpha": 0.0},
    identities=(
        Identity({"lam1": -1e9, "lam2": -1e9, "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"lam1": 1e9, "lam2": 1e9}, "sgd"),
        Identity({"alpha": 0.0, "rho": 0.1}, "ae_sam", {"rho": 0.1}),
    ),
    status="reimplementation, unverified",
    notes=(
        "delta, lam1, lam2 and alpha are not confirmed by a source. The cost depends on the gradients, as AE-SAM's "
        "does; every step waits for the device. Before the first SAM step there is no direction to reuse."
    ),
)
class AELookSAM(LookSAM, AESAM):
    r"""Adaptive policy to employ SAM, with LookSAM's correction.

    .. math::
        w_{t+1} = \mathrm{base}(w_t, g_s) \text{ if } \|g\|^2 \ge \mu_t + c_t \sigma_t, \qquad
        \mathrm{base}\big(w_t,\; g + \alpha\, \tfrac{\|g\|}{\|g_v\|}\, g_v\big) \text{ otherwise}

    with the threshold of :class:`~sambench.variants.ae_sam.AESAM`, and :math:`g_s`, :math:`g_v` of the last SAM step as
    in :class:`~sambench.variants.looksam.LookSAM`.

    References:
        Jiang et al., ICLR 2023, arXiv 2304.14647; no code of the authors was found.
    """

    def update(self, closure: Any) -> Tensor:
        return AESAM.update(self, closure)
