"""SGD ends at bad minima from an initialization that fits random labels; SAM leaves them."""

from ...results.statistics.verdicts import every, exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = 1.0


@study(
    "bad_global_minima",
    "From an initialization that fits random labels plain SGD ends at minima that generalize badly; SAM ends at better "
    "ones.",
    papers=("Liu, Papailiopoulos and Achlioptas 2020, arXiv 1906.02613", "Foret et al. 2020, arXiv 2010.01412"),
    setting="WRN-10-1 on 500 images of digits, 60 epochs without momentum, weight decay or augmentation, ten seeds, "
    "nothing tuned, radius .1; before, 60 epochs of SGD on random labels of the same images.",
    departs="Liu et al. train residual and other networks on CIFAR and larger images, from random labels of several "
    "blanked copies of each image; what leads SGD out of bad minima there is momentum, weight decay and augmentation. "
    "That SAM does is inferred here from its claim to avoid sharp minima.",
    suite="bad-global-minima",
    rule="Two t-intervals within the seed at 1 - .05/2: the initialization costs SGD more than 1 point of test error, "
    "and from it SAM is more than 1 point better; one whose whole interval fails contradicts. Epochs are equal.",
)
def bad_global_minima(evidence: Evidence) -> Finding:
    """Judge what the initialization costs SGD and what SAM gains from there; show what it costs SAM."""
    level = 1 - 0.05 / 2
    (drawn, bad), (of_sam, from_bad) = (
        [evidence.errors(variant, init=init) for init in (None, "adversarial")] for variant in ("sgd", "sam")
    )
    parts = (
        Part("what the initialization costs SGD", exceeds(within_seed((1, bad), (-1, drawn)), MARGIN, level)),
        Part("gain of SAM over SGD from there", exceeds(within_seed((1, bad), (-1, from_bad)), MARGIN, level)),
        Part("what the initialization costs SAM", exceeds(within_seed((1, from_bad), (-1, of_sam)), MARGIN, level)),
    )
    return Finding(every([part.verdict.outcome for part in parts[:2]]), parts)
