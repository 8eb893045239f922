"""Large batches end at sharp minima."""

from ...results.statistics.verdicts import every, falls
from ..studying.evidence import Evidence, log_ratio
from ..studying.registry import Finding, Part, study
from .large_batch import LARGE, SETTING, SMALL

LABELS = {
    "lambda_max[samples=512]": "lambda_max",
    "worst_case[scale=plain,rho=0.1,samples=512]": "worst-case sharpness",
}
"""Measure -> what it is called here."""
MARGIN = 10.0


@study(
    "large_batch_minima",
    "SGD with large batches ends where the training loss is sharper than where it ends with small ones.",
    papers=("Keskar et al. 2016, arXiv 1609.04836",),
    setting=f"{SETTING} Measured on 512 training images.",
    departs="Keskar et al. maximize the loss in a box around the weights, of networks that fit, trained by Adam; these "
    "networks are not at equal training loss, nor at one weight decay, as both were tuned: SGD with batch 256 ends at "
    "3.4 times the loss of SGD with batch 32, with a fifth of its decay.",
    suite="large-batch",
    rule="Both measures of SGD are more than 10 percent lower with the smaller batch by the t-interval within the seed "
    "at 1 - .05/2; one that falls by less contradicts.",
    unit="percent",
    measures="lambda_max:samples=512,worst_case:scale=plain:rho=0.1:samples=512",
)
def large_batch_minima(evidence: Evidence) -> Finding:
    """Judge SGD by both measures; show SAM."""
    parts = [
        Part(
            f"fall of {name} from batch {LARGE} to {SMALL}, {variant.upper()}",
            falls(
                log_ratio(*(evidence.measured(label, variant, batch_size=size) for size in (LARGE, SMALL))),
                MARGIN,
                level=1 - 0.05 / len(LABELS),
            ),
        )
        for variant in ("sgd", "sam")
        for label, name in LABELS.items()
    ]
    return Finding(every([part.verdict.outcome for part in parts[: len(LABELS)]]), tuple(parts))
