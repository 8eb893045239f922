"""SAM on importance-sampled batches."""

from .importance import PAPER, PROBABILITIES
from .registry import get_declared, register
from .sam import SAM


@register(
    "is_sam",
    summary="SAM on batches drawn with p_i by loss or gradient bound, weighted by 1/(N p_i)",
    paper=PAPER,
    sampler="importance",
    notes=PROBABILITIES
    + "Even an unbiased gradient gives a biased perturbation here, since SAM normalizes; USAM is the clean case.",
    **get_declared("sam"),
)
class ImportanceSampledSAM(SAM):
    r"""SAM whose batch S comes from the sampling policy ``importance``.

    .. math::
        \nabla f_S(w) = \frac{1}{B} \sum_{i \in S} \frac{1}{N p_i} \nabla f_i(w), \qquad
        p_i = \kappa / N + (1 - \kappa)\, s_i / \textstyle\sum_j s_j

        \hat w_t = w_t + \rho\, g_t / \|g_t\|, \quad g_t = \nabla f_S(w_t), \qquad
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(\hat w_t))

    over the N training samples, B of them in a batch; the scores s_i are losses or bounds on gradient norms, and kappa
    is the policy's ``mix``. A scoring pass over the training set, forward only, every ``refresh`` epochs is counted
    beside the cost declared here, which is the step's.

    The step rule is :class:`~sambench.variants.sam.SAM` unchanged, with one batch S and one set of weights in both
    evaluations. The gradients are unbiased; the perturbation is not, since the norm is that of the weighted batch.

    Departs from the original code, which draws by importance without the weights 1 / (N p_i) and so minimizes another
    function, the sum of p_i f_i. Equal scores give the very batches of the uniform policy, hence SAM.

    References:
        Oikonomou and Loizou, ICLR 2025, arXiv 2503.02225; code: dimitris-oik/unifiedsam (NumPy experiments);
        Katharopoulos and Fleuret, ICML 2018, arXiv 1803.00942; code: idiap/importance-sampling.
    """
