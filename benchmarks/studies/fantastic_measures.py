"""Measures of sharpness order networks better than norms do."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ...results.statistics.rank_correlation import granulated_tau, one_setting_apart
from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence
from ..studying.registry import Finding, Part, study

SHARPNESS = {
    "worst_case[samples=512]": ("worst-case sharpness", 1),
    "average_case[draws=20,samples=512]": ("average-case sharpness", 1),
    "pac_bayes[draws=5,samples=512]": ("noise that costs accuracy", -1),
    "sam_gap[samples=512]": ("gap of one step of SAM", 1),
    "gradient_norm[samples=512]": ("norm of the gradient", 1),
    "lambda_max[samples=512]": ("largest eigenvalue", 1),
    "trace[draws=30,samples=512]": ("trace", 1),
    "frobenius[draws=20,samples=512]": ("Frobenius norm of the Hessian", 1),
}
NORMS = {
    "distance": ("distance to initialization", 1),
    "path_norm": ("path norm", 1),
    "weight_norms": ("product of spectral norms", 1),
    "margin": ("margin", -1),
}
"""Measure -> what it is called here, and whether more of it is to go with more error (1) or with less (-1)."""
PARTLY = {"pac_bayes[draws=5,samples=512]"}
"""What a network may lack that guesses: no noise costs it a tenth of its accuracy."""
METHODS: tuple[dict[str, Any], ...] = ({"variant": "sgd"}, {"variant": "sam", "rho": 0.1})
MARGIN = 0.1
MEASURES = (
    "worst_case:samples=512,average_case:draws=20:samples=512,pac_bayes:draws=5:samples=512,sam_gap:samples=512,"
    "gradient_norm:samples=512,lambda_max:samples=512,trace:draws=30:samples=512,frobenius:draws=20:samples=512,"
    "distance,path_norm,weight_norms,margin"
)
"""The same as ``sambench measure --what`` takes them."""


@study(
    "fantastic_measures",
    "Measures of sharpness order networks of many settings by their generalization better than norms do.",
    papers=("Jiang et al. 2019, arXiv 1912.02178", "against it: Dziugaite et al. 2020, arXiv 2010.11924"),
    setting="An MLP on 4,000 pictures of clothes with right labels, 20 epochs, eight seeds, 24 settings: SGD and SAM, "
    "three learning rates, two batch sizes, two weight decays. Eight measures of sharpness on 512 training images "
    "against three norms and the margin.",
    departs="Jiang et al. compare forty measures over thousands of convolutional networks on CIFAR-10 and SVHN that "
    "differ in seven settings, depth and width among them, stop at one training loss, and order by the gap of training "
    "and test accuracy; here it is the test error, at unequal training losses. All networks have all measures.",
    suite="many-settings",
    rule="95 % t-interval over seeds of the granulated tau within the seed, the mean of the eight measures of "
    "sharpness less that of the four others, against .1. The tau compares settings that differ in one thing.",
    unit="tau",
    measures=MEASURES,
)
def fantastic_measures(evidence: Evidence) -> Finding:
    """Judge the difference of the means; show the tau of each measure."""
    return sharpness_against_norms(evidence, settings((0.02, 0.05, 0.1), (32, 128), (5e-4, 5e-3)))


def settings(rates: Sequence[float], batches: Sequence[int], decays: Sequence[float]) -> list[dict[str, Any]]:
    """List the settings of a grid, both methods at each."""
    return [
        {**method, "lr": lr, "batch_size": batch, "weight_decay": decay}
        for method, lr, batch, decay in product(METHODS, rates, batches, decays)
    ]


def sharpness_against_norms(evidence: Evidence, grid: Sequence[dict[str, Any]]) -> Finding:
    """Judge by how much the tau of measures of sharpness, their mean, exceeds that of the others over some settings."""
    labels = {**SHARPNESS, **NORMS}
    errors = [evidence.errors(**setting) for setting in grid]
    values = {
        label: [(evidence.measured_in_part if label in PARTLY else evidence.measured)(label, **one) for one in grid]
        for label in labels
    }
    taus: dict[str, list[float]] = {label: [] for label in labels}
    there = 0
    for seed in sorted(set.intersection(*map(set, errors))):
        kept = [i for i in range(len(grid)) if all(seed in values[label][i] for label in labels)]
        groups = one_setting_apart([_in_words(grid[i]) for i in kept])
        there += len(kept)
        for label, (_, sign) in labels.items():
            found = [sign * values[label][i][seed] for i in kept], [errors[i][seed] for i in kept]
            taus[label].append(float(granulated_tau(*found, groups)))
    sharpness, norms = (np.mean([taus[label] for label in kind], axis=0) for kind in (SHARPNESS, NORMS))
    alone = np.mean([taus[label] for label in NORMS if label != "margin"], axis=0)
    all_of = len(grid) * len(taus["margin"])
    told = f", {there} of {all_of} networks" if there < all_of else ""
    parts = [
        Part(f"tau of sharpness less that of three norms and the margin{told}", exceeds(sharpness - norms, MARGIN)),
        Part("tau of sharpness less that of the three norms", exceeds(sharpness - alone, MARGIN)),
    ]
    parts += [Part(f"tau of {name}", exceeds(taus[label], 0)) for label, (name, _) in labels.items()]
    return Finding(parts[0].verdict.outcome, tuple(parts))


def _in_words(setting: dict[str, Any]) -> dict[str, str]:
    """Return a setting as text; the radius, which SGD lacks, goes with the variant."""
    return {key: str(value) for key, value in setting.items() if key != "rho"}
