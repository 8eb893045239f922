"""Numbers that others published: what a variant is said to reach, where, how it was trained, and who says so.

They are quoted, never ranked: protocols differ from source to source by more than variants do within one. What is
quoted was read in the source that is named. Variants declare them, and nothing else stores them: pages, listings and
the leaderboard all read what is declared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ..errors import ConfigError
from ..hyper import Value


@dataclass(frozen=True)
class Published:
    """One published test accuracy.

    Args:
        value: test accuracy in percent; errors are written as 100 minus the error.
        dataset: name of the data set, as in specs.
        network: name of the network, as the source writes it.
        protocol: how it was trained, as far as the source says.
        source: publication or repository, and the place in it.
        deviation: standard deviation over seeds in percentage points, where the source gives one.
        hyper: the variant's setting, as far as the source says.
        decimals: digits after the point that the source gives.
    """

    value: float
    dataset: str
    network: str
    protocol: str
    source: str
    deviation: float | None = None
    hyper: Mapping[str, Value] = field(default_factory=dict)
    decimals: int = 2

    def __post_init__(self) -> None:
        if not 1.0 < self.value < 100.0:
            raise ConfigError(f"published value {self.value} is not valid: a test accuracy in percent, as in 95.9")
        if not (self.dataset and self.network and self.protocol and self.source):
            raise ConfigError(f"published value {self.value} must name its data set, network, protocol and source")
        object.__setattr__(self, "hyper", MappingProxyType(dict(self.hyper)))

    def accuracy(self) -> str:
        """Write the number with the digits that its source gives.

        Example:
            >>> Published(95.9, "cifar10", "WRN-28-10", "200 epochs", "a README", deviation=0.08).accuracy()
            '95.90 ± 0.08'
        """
        spread = "" if self.deviation is None else f" ± {self.deviation:.{self.decimals}f}"
        return f"{self.value:.{self.decimals}f}{spread}"


@dataclass(frozen=True)
class Study:
    """One source's experiment, in which several variants were compared: its numbers share everything but the method.

    Example:
        >>> Study("cifar10", "ResNet-20", "200 epochs", "a README").result(93.5, rho=0.05).hyper["rho"]
        0.05
    """

    dataset: str
    network: str
    protocol: str
    source: str
    decimals: int = 2

    def result(self, value: float, deviation: float | None = None, /, **hyper: Value) -> Published:
        """Return the accuracy (percent) that the study gives for a variant at this setting."""
        about = (self.dataset, self.network, self.protocol, self.source)
        return Published(value, *about, deviation, hyper, self.decimals)


UNIFIED_SAM = Study(
    "cifar10",
    "WRN-28-10",
    "momentum 0.9, weight decay 5e-4, 3 seeds; epochs, batch size and augmentation are not stated",
    "Oikonomou and Loizou 2025, Table 2; dimitris-oik/unifiedsam",
)
FRIENDLY_SAM = Study(
    "cifar100",
    "ResNet-18",
    "200 epochs, batch 128, lr 0.05, cosine, weight decay 1e-3, Cutout with probability 0.5, last epoch, 1 seed",
    "nblt/F-SAM, training logs",
)
DAVDA54 = Study(
    "cifar10",
    "WRN-16-8",
    "200 epochs, batch 128, lr 0.1 in steps, weight decay 5e-4, Cutout, label smoothing 0.1 over the other 9 classes "
    "(0.1111 over all 10)",
    "davda54/sam, README",
)
ASAM_ISSUE = Study("cifar10", "WRN-16-8", "that of davda54/sam's README", "davda54/sam issue 37, by an author of ASAM")
SAM_ISSUE = Study(
    "cifar10",
    "WRN of a size that is not stated",
    "200 epochs (SGD: 200 and 400), batch 256 on 4 GPUs, lr 0.1, cosine, Nesterov, weight decay 5e-4",
    "google-research/sam issue 8, a user's runs",
)
SAM_PYTORCH_RESNET20 = Study(
    "cifar10", "ResNet-20", "that of its example cifar10.py", "moskomule/sam.pytorch, README", decimals=1
)
SAM_PYTORCH_WRN28_2 = replace(SAM_PYTORCH_RESNET20, network="WRN-28-2")
SAM_PYTORCH_RESNEXT29 = replace(SAM_PYTORCH_RESNET20, network="ResNeXt-29")
GIUNG2_CIFAR10 = Study("cifar10", "ResNet-20x4", "200 epochs, batch 256", "cs-giung/giung2-dev, projects/sam")
GIUNG2_CIFAR100 = replace(GIUNG2_CIFAR10, dataset="cifar100")
BAYESIAN_SAM = Study(
    "cifar10",
    "ResNet-18",
    "prior precision 25, lr 0.03 (its README's commands); SAM with the batch split into 8",
    "team-approx-bayes/bayesian-sam, README",
)
BAYESIAN_SAM_PRIOR_10 = replace(
    BAYESIAN_SAM, protocol="prior precision 10 (README of commit 09f81c6), 32 models drawn from the posterior averaged"
)
BAYESIAN_SAM_PRIOR_40 = replace(
    BAYESIAN_SAM, protocol="prior precision 40 (README of commit 936eec1), 32 models drawn from the posterior averaged"
)
BAYESIAN_SAM_CIFAR100_PRIOR_10 = replace(
    BAYESIAN_SAM, dataset="cifar100", protocol="prior precision 10 (README of commit 09f81c6), “around”", decimals=1
)
BAYESIAN_SAM_CIFAR100_PRIOR_40 = replace(
    BAYESIAN_SAM, dataset="cifar100", protocol="prior precision 40 (README of commit 936eec1), “around”", decimals=1
)
TEMPERON = Study(
    "cifar100",
    "not stated",
    "100 epochs, 5 seeds; SGD first, then SAM on another base optimizer (Muon) in the tail",
    "temperon 0.1.1, package description",
)
SWA_CIFAR10 = Study("cifar10", "WRN-28-10", "200 epochs, lr 0.1, weight decay 5e-4", "timgaripov/swa, README")
SWA_CIFAR100 = replace(SWA_CIFAR10, dataset="cifar100")
SWA_LONG_CIFAR10 = replace(SWA_CIFAR10, protocol="300 epochs, start at 161, lr 0.1, weight decay 5e-4")
SWA_LONG_CIFAR100 = replace(SWA_LONG_CIFAR10, dataset="cifar100")
