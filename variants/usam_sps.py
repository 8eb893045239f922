"""USAM-SPS: unnormalized SAM with a stochastic Polyak step size."""

from .registry import Hyper, register
from .sam_sps import SAMSPS
from .usam import USAM


@register(
    "usam_sps",
    summary="unnormalized SAM that sets its own step size by Polyak's rule; needs no learning rate",
    paper=SAMSPS.info.paper,
    gradients=2,
    transient=2,
    synchronizes=True,
    hyper={
        **SAMSPS.info.hyper,
        "rho": Hyper(0.1, "ratio of perturbation to gradient", low=0, search=(0.01, 1.0, "log")),
    },
    neutral=None,
    notes=SAMSPS.info.notes,
)
class USAMSPS(SAMSPS, USAM):
    r"""USAM with the stochastic Polyak scheduler.

    .. math:: e_t = w_t + \rho\, \nabla f_S(w_t)

    and from there as :class:`~sambench.variants.sam_sps.SAMSPS`. For smooth convex losses and rho at most 1/L, the
    paper says, the numerator of the step size cannot be negative.

    References:
        Oikonomou and Loizou, ICML 2026; code: dimitris-oik/sam_sps, package sam-sps (``lambd=0``).
    """
