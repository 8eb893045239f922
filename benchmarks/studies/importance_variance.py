"""Importance sampling lowers the variance of the gradient."""

from ...results.statistics.verdicts import every, falls
from ..studying.evidence import Evidence, log_ratio
from ..studying.registry import Finding, Part, study
from .importance_sampling import SETTING, UNIFORM, WEIGHTED

MARGIN = 10.0


@study(
    "importance_variance",
    "Drawing samples by the norm of their gradients lowers the variance of the gradient of a batch.",
    papers=("Katharopoulos and Fleuret 2018, arXiv 1803.00942", "Needell et al. 2014, arXiv 1310.5715"),
    setting=f"{SETTING} The variance is that of batches of 128 out of 1,024 training images, at the weights where each "
    "run ends.",
    departs="The papers bound the variance, or measure it along the training; here it is measured where training ends, "
    "with scores of those very weights and three tenths of the draws uniform.",
    suite="importance-sampling",
    rule="At the ends of SGD with uniform batches both policies have a variance more than 10 percent below that of "
    "uniform draws by the t-interval within the seed at 1 - .05/2; one that is lower by less contradicts.",
    unit="percent",
    measures="gradient_variance,gradient_variance:sampler=importance,gradient_variance:sampler=presample",
)
def importance_variance(evidence: Evidence) -> Finding:
    """Judge both policies at the ends of SGD; show them at those of SAM."""
    parts = []
    for variant in ("sgd", "sam"):
        uniform = evidence.measured("gradient_variance", variant, **UNIFORM)
        for sampler, source in WEIGHTED.items():
            drawn = evidence.measured(f"gradient_variance[sampler={sampler}]", variant, **UNIFORM)
            case = f"fall of the variance by drawing from {source}, at the ends of {variant.upper()}"
            parts.append(Part(case, falls(log_ratio(uniform, drawn), MARGIN, level=1 - 0.05 / len(WEIGHTED))))
    return Finding(every([part.verdict.outcome for part in parts[: len(WEIGHTED)]]), tuple(parts))
