"""Each rule of the universal class lowers what it is made to lower."""

from ...results.statistics.verdicts import every, falls
from ..studying.evidence import Evidence, log_ratio
from ..studying.registry import Finding, Part, study

LABELS = {
    "trace_sam": ("trace[samples=512]", "the trace"),
    "det_sam": ("log_determinant[samples=512]", "the log determinant"),
    "frob_sam": ("frobenius[samples=512]", "the Frobenius norm"),
}
"""Rule -> label of what it is made to lower, and what that is called here."""
MARGIN = 10.0


@study(
    "universal_class",
    "Rules that are made to lower the trace, the determinant or the Frobenius norm of the Hessian lower it.",
    papers=("Tahmasebi et al. 2024, arXiv 2406.03682",),
    setting="An MLP on 4,000 pictures of clothes with right labels, 30 epochs, fifteen seeds, nothing tuned, the three "
    "rules at their published settings; trace and Frobenius norm of the Hessian, and the logarithm of the "
    "determinant of I + G / 0.1, G the Gauss-Newton matrix, on 512 training images. Epochs are equal.",
    departs="The paper trains residual networks on CIFAR, and the settings are those of ResNet-18, which has ninety "
    "times as many weights to perturb; it takes the determinant of the Hessian, which is zero where there are more "
    "weights than the data decide on. Here G stands in the place of the Hessian, and I in that of its zeros.",
    suite="universal-class",
    rule="Each of the three rules has its own quantity more than 10 percent below that of SGD by the t-interval within "
    "the seed at 1 - .05/3; one that is lower by less contradicts.",
    unit="percent",
    measures="trace:samples=512,log_determinant:samples=512,frobenius:samples=512",
)
def universal_class(evidence: Evidence) -> Finding:
    """Judge each rule by its own quantity; show every other rule, and SAM, by all of them."""

    def fall(quantity: str, variant: str) -> Part:
        label, name = LABELS[quantity]
        values = log_ratio(evidence.measured(label, "sgd"), evidence.measured(label, variant))
        return Part(f"fall of {name} from SGD to {variant}", falls(values, MARGIN, level=1 - 0.05 / len(LABELS)))

    own = [fall(rule, rule) for rule in LABELS]
    others = [fall(quantity, rule) for quantity in LABELS for rule in (*LABELS, "sam") if rule != quantity]
    return Finding(every([part.verdict.outcome for part in own]), (*own, *others))
