"""SAM against SGD at equal cost, with the strongest settings that a search finds for both."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = 0.5


@study(
    "equal_cost",
    "SAM beats SGD that has twice the epochs and the best of early stopping and weight decay.",
    papers=("Foret et al. 2020, arXiv 2010.01412, section 3.1", "against early stopping too: asked here"),
    setting="An MLP on 4,000 pictures of clothes with 40 % wrong labels; learning rate, weight decay, radius and the "
    "share of the budget that is used are tuned for both (16 trials, 3 finalists), ten fresh seeds.",
    departs="The paper trains WideResNets on CIFAR with right labels; it tunes rate and weight decay on SGD, and lets "
    "SGD choose between once and twice the epochs, never fewer. The search may use less than the budget: SGD "
    "chose 8 of its 20 epochs, 248 of 620 gradient evaluations (at equal epochs 7 of 10), and SAM all of its 10, 620.",
    suite="clothes-noise",
    rule="95 % t-interval of the difference within the seed at equal gradient evaluations, against the margin of 0.5 "
    "points.",
)
def equal_cost(evidence: Evidence) -> Finding:
    """Judge the gain at equal gradient evaluations; show it at equal epochs too."""
    parts = [
        Part(
            f"gain of SAM over SGD, {words}",
            exceeds(within_seed((1, evidence.errors("sgd", track)), (-1, evidence.errors("sam", track))), MARGIN),
        )
        for track, words in (("G", "equal budget of gradient evaluations"), ("E", "equal budget of epochs"))
    ]
    return Finding(parts[0].verdict.outcome, tuple(parts))
