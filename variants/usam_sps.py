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

    .. math::
        e_t = w_t + \rho\, g, \quad g = \nabla f_S(w_t), \quad g_e = \nabla f_S(e_t), \qquad
        \gamma_t = \min\Big\{ \frac{[f_S(e_t) - f^* - \langle g_e, e_t - w_t \rangle]_+}{\|g_e\|^2},\; \gamma_b \Big\}

        w_{t+1} = w_t - \gamma_t\, (g_e + \delta w_t)

    with the weight decay :math:`\delta` of the base optimizer, which makes this step with :math:`\gamma_t` for its
    learning rate: :class:`~sambench.variants.sam_sps.SAMSPS` but for the perturbation, rho times the gradient. For
    smooth convex losses and rho at most 1/L, the paper says, the numerator of the step size cannot be negative.

    Departs from the original code by returning the loss at w_t, and by undoing the perturbation from a copy.
    ``sam_sps.SAM_SPS`` (1.0.0) with ``lambd=0`` makes the same steps, to the rounding of its float32 sums.

    References:
        Oikonomou and Loizou, ICML 2026; code: dimitris-oik/sam_sps, package sam-sps (``lambd=0``).
    """
