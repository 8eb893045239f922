"""SAM on importance-sampled batches."""

from .info import Paper
from .registry import get_declared, register
from .sam import SAM


@register(
    "is_sam",
    summary="SAM on batches drawn with p_i by loss or gradient bound, weighted by 1/(N p_i)",
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
        "Even an unbiased gradient gives a biased perturbation here, since SAM normalizes; USAM is the clean case."
    ),
    **get_declared("sam"),
)
class ImportanceSampledSAM(SAM):
    r"""SAM whose batch S comes from the sampling policy ``importance``.

    .. math:: \nabla f_S(w) = \frac{1}{B} \sum_{i \in S} \frac{1}{N p_i} \nabla f_i(w)

    The step rule is :class:`~sambench.variants.sam.SAM` unchanged; the policy draws
    the batch and its weights, which are the same in both evaluations.

    References:
        Oikonomou and Loizou, ICLR 2025, arXiv 2503.02225, whose released code draws by importance without
        the weights; Katharopoulos and Fleuret 2018, arXiv 1803.00942.
    """
