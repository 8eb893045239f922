"""A line of a figure: a step rule with its step sizes; and the sample streams that all lines share."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...seeding import derive_seed
from ...variants import get_info
from .problems import Problem
from .sampling import Floats, Integers, Sampling, Unweighted, make_sampling
from .step_sizes import STEP_SIZES, Constants, StepSize, fixed, lam_values

SAM_FAMILY = {"sgd": 0.0, "usam": 0.0, "sam": 1.0, "unified_sam": None}
"""The step rules of the batched path, with the lambda of Unified SAM that each is equal to."""


@dataclass(frozen=True)
class Method:
    """A registered step rule with its step sizes.

    Args:
        variant: name in the registry of variants.
        step: a step size, or the name of one.
        constants: constants of problem and sampling that the step size is computed from.
        lam: lambda of ``unified_sam``: a number in [0, 1], ``"1/t"`` or ``"1-1/t"``; the other rules fix their own.
        label: name in figures and tables.
        hyper: further hyper-parameters of the step rule (the looped path only).

    Example:
        >>> c = Constants(mu=0.1, L=1.0, A=1.0, B=0.0, C=0.0, horizon=10)
        >>> gamma, rho, lam = Method("sam", "theorem-3.2", c).schedule(np.arange(2.0))
        >>> gamma.tolist(), rho.tolist(), lam.tolist()
        ([0.0125, 0.0125], [0.25, 0.25], [1.0, 1.0])
    """

    variant: str
    step: StepSize | str
    constants: Constants
    lam: float | str | None = None
    label: str = ""
    hyper: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The step rule without the prefix that says how batches are sampled."""
        return self.variant.removeprefix("is_")

    def schedule(self, t: Floats) -> tuple[Floats, Floats, Floats]:
        """Return gamma_t, rho_t and lambda_t at the steps t = 0, 1, ...

        Raises:
            ConfigError: a lambda for a rule that has none, or none for the rule that needs it.
        """
        own = SAM_FAMILY.get(self.family, 0.0)
        lam = self.lam if own is None else own
        if lam is None or (own is not None and self.lam is not None):
            raise ConfigError(
                f"variant {self.variant!r} with lam={self.lam!r}: only 'unified_sam' takes (and needs) a lam"
            )
        values = lam_values(lam, t)
        rule = STEP_SIZES.get(self.step) if isinstance(self.step, str) else self.step
        gamma, rho = rule(self.constants, t, values)
        return gamma, np.zeros_like(rho) if self.family == "sgd" else rho, values

    def check_sampling(self, sampling: Sampling) -> None:
        """Refuse a sampling that is not the one this variant is defined with.

        Raises:
            ConfigError: an importance-sampled variant on another sampling.
        """
        if get_info(self.variant).sampler == "importance" and not sampling.name.startswith("importance"):
            raise ConfigError(
                f"variant {self.variant!r} is defined by importance sampling and was given {sampling.name!r}; "
                f"use 'importance', or the variant {self.family!r}"
            )


def takes_lam(variant: str) -> bool:
    """Tell whether a variant leaves lambda open."""
    return SAM_FAMILY.get(variant.removeprefix("is_"), 0.0) is None


def number_or_text(text: str) -> float | str:
    """Return the number that a text is, or the text."""
    with suppress(ValueError):
        return float(text)
    return text


def read_step_size(text: str, variant: str) -> StepSize:
    """Return a step size by name, or from a number, which is a constant gamma, with the variant's default rho.

    Raises:
        ConfigError: no such step size; the message lists them. Or a number that no step can have.
    """
    rule, declared = number_or_text(text), get_info(variant).hyper
    if isinstance(rule, str):
        return STEP_SIZES.get(rule)
    if not 0 < rule < math.inf:
        raise ConfigError(f"step size {text!r} is not valid: a constant gamma is a number above 0")
    return fixed(rule, float(declared["rho"].default) if "rho" in declared else 0.0)


def make_method(
    problem: Problem,
    sampling: Sampling,
    variant: str,
    step_size: str | StepSize,
    steps: int,
    *,
    lam: float | str | None = None,
    rho: float | None = None,
    hyper: Mapping[str, float | str] | None = None,
    label: str = "",
) -> Method:
    """Make a method for a problem and a sampling.

    Args:
        problem, sampling: where its constants come from.
        variant: a registered variant.
        step_size: a step size, its name, or a number as text, the constant gamma; then rho is the variant's default.
        steps: length of the run, which some step sizes depend on.
        lam: lambda of ``unified_sam``, a number, ``"1/t"`` or ``"1-1/t"``.
        rho: constant rho, instead of the step size's own.
        hyper: further hyper-parameters of the variant.
        label: name of the line.

    Raises:
        ConfigError: an unknown name, a value out of range, or ``lam`` or ``rho`` among ``hyper``.
    """
    info, hyper = get_info(variant), dict(hyper or {})
    for name in {"rho"} | ({"lam"} if takes_lam(variant) else set()):
        if name in hyper:
            raise ConfigError(f"--set {name}={hyper[name]}: give --{name}, which the bound can follow")
    if rho is not None and "rho" not in info.hyper:
        raise ConfigError(f"variant {variant!r} has no rho; leave --rho out")
    own = read_step_size(step_size, variant) if isinstance(step_size, str) else step_size
    # The biased sampling has no constants of its own: it takes those of the one that it imitates.
    fair = sampling if sampling.unbiased else make_sampling("importance", problem)

    def step(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
        gamma, radius = own(c, t, lam)
        return gamma, radius if rho is None else np.full_like(t, rho)

    method = Method(variant, step, Constants.of(problem, fair, steps), lam, label, hyper)
    method.schedule(np.zeros(1))  # refuses an impossible lambda before the run
    return method


def make_methods(
    problem: Problem,
    sampling: Sampling,
    step_size: str | StepSize,
    steps: int,
    lam: Sequence[float | str] | None,
    default: Sequence[float | str],
    *,
    variant: str = "unified_sam",
    rho: float | None = None,
    hyper: Mapping[str, float | str] | None = None,
) -> list[Method]:
    """Make the lines of a panel: one for each lambda of ``unified_sam``, a single one of any other variant.

    Args:
        lam: the lambdas; ``default`` if ``None``.
        problem, sampling, step_size, steps, variant, rho, hyper: as in :func:`make_method`.
    """
    lambdas = lam or (default if takes_lam(variant) else (None,))
    return [
        make_method(
            *(problem, sampling, variant, step_size, steps),
            lam=one,
            rho=rho,
            hyper=hyper,
            label=variant if one is None else f"λ = {one:g}" if isinstance(one, float) else f"λ = {one}",
        )
        for one in lambdas
    ]


Stream = Callable[[int], tuple[Integers, Floats]]
"""Function from a number of steps to the components and factors of the next steps of a trial, (steps, width) each."""


def sample_stream(sampling: Sampling, seed: int, trial: int) -> Stream:
    """Return the sample stream of a trial; it depends on seed and trial only.

    All methods use the same samples in a trial, so that their differences are not sampling noise.
    """
    return partial(sampling.draw, np.random.default_rng(derive_seed("theory-samples", seed, trial)))


def replayed(rng: np.random.RandomState, sampling: Sampling) -> Callable[[int], Stream]:
    """Return streams that draw as the authors' code does: one ``choice`` a step, from one generator for all in turn."""

    def stream(steps: int) -> tuple[Integers, Floats]:
        p = sampling.p if isinstance(sampling, Unweighted) else None
        return rng.choice(sampling.n, size=steps, p=p)[:, None], np.ones((steps, 1))

    return lambda trial: stream


def record_grid(steps: int, count: int = 100, log: bool = True) -> NDArray[np.int64]:
    """Return at most ``count`` + 1 steps at which f is recorded, from 0 to ``steps``, log- or evenly spaced.

    Example:
        >>> record_grid(1000, 4).tolist()
        [0, 1, 10, 100, 1000]
    """
    inner = np.geomspace(1, steps, count) if log else np.linspace(0, steps, count + 1)
    return np.unique(np.concatenate(([0], np.round(inner)))).astype(np.int64)
