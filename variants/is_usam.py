"""USAM on importance-sampled batches."""

from .info import Paper
from .registry import get_declared, register
from .usam import USAM


@register(
    "is_usam",
    summary="USAM on batches drawn with p_i by loss or gradient bound, weighted by 1/(N p_i)",
    paper=Paper(
        "Oikonomou, Loizou",
        2025,
        "2503.02225",
        "Sharpness-Aware Minimization: General Analysis and Improved Rates",
        "dimitris-oik/unifiedsam",
    ),
    sampler="importance",
    notes=(
        "The paper's theory takes p_i proportional to smoothness constants, which networks do not have; losses or "
        "gradient-norm bounds stand in for them (Katharopoulos and Fleuret 2018). "
        "The case that the theory covers cleanly: the perturbation is linear in the unbiased gradient."
    ),
    **get_declared("usam"),
)
class ImportanceSampledUSAM(USAM):
    r"""USAM whose batch S comes from the sampling policy ``importance``.

    .. math:: \nabla f_S(w) = \frac{1}{B} \sum_{i \in S} \frac{1}{N p_i} \nabla f_i(w)

    The step rule is :class:`~sambench.variants.usam.USAM` unchanged; the policy draws
    the batch and its weights, which are the same in both evaluations.

    References:
        Oikonomou and Loizou, ICLR 2025, arXiv 2503.02225, whose released code draws by importance without
        the weights; Katharopoulos and Fleuret 2018, arXiv 1803.00942.
    """
