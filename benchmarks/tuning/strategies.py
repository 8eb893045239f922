"""What to try next: Halton's sequence, or Optuna. Both are functions of what was tried, so that a search resumes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...errors import ConfigError
from ...hyper import Value
from ...registry import Registry
from ...seeding import derive_seed
from .space import Axis, rounded

Settings = dict[str, Value]


@dataclass(frozen=True)
class Tried:
    """A setting and the score it got: the accuracy on held-out images, 0 where training came to no end."""

    settings: Settings
    score: float


class SearchStrategy(Protocol):
    """A way to propose settings; made with the number of trials of a method, the default setting among them."""

    name: str
    summary: str
    sequential: bool  # whether a proposal depends on the scores of the ones before it

    def propose(self, axes: Sequence[Axis], number: int, tried: Sequence[Tried]) -> Settings:
        """Return setting ``number`` (1, 2, ...) of a method; ``tried`` holds those before it."""
        ...


STRATEGIES: Registry[Callable[[int], SearchStrategy]] = Registry("search strategy")
"""The search strategies, by name, each made with the trials of a method; ``@STRATEGIES.register`` adds a class."""


@STRATEGIES.register
class Halton:
    """Scrambled Halton points: they fill the space evenly, and every method gets the same ones.

    The scrambling is fixed. Axis j of the space is coordinate j of the point, so that trial n has the same learning
    rate and weight decay for every method.

    References:
        Halton 1960; Owen 2017, arXiv 1706.02808 (the scrambling of ``scipy.stats.qmc``).
    """

    name, summary = "halton", "scrambled Halton points: even, the same for every method"
    sequential = False

    def __init__(self, trials: int) -> None:
        pass

    def propose(self, axes: Sequence[Axis], number: int, tried: Sequence[Tried]) -> Settings:
        from scipy.stats import qmc  # when it is needed: it takes a second

        engine = qmc.Halton(len(axes), scramble=True, rng=derive_seed("tuning", 0))
        point = engine.random(number)[-1]
        return {axis.name: axis.at(float(share)) for axis, share in zip(axes, point, strict=True)}


@STRATEGIES.register
class Optuna:
    """The tree-structured Parzen estimator of Optuna: after some settings at random, the neighbourhood of good ones.

    The study is built anew for every proposal from what was tried, with a seed of its own: a search that was
    interrupted goes on as if it had not been. For Optuna's dashboard trials are kept by ``optuna_study``.

    References:
        Bergstra et al., NeurIPS 2011; Akiba et al., KDD 2019, arXiv 1907.10902.
    """

    name, summary = "optuna", "Optuna's tree-structured Parzen estimator: near the good ones of what was tried"
    sequential = True

    def __init__(self, trials: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise ConfigError(
                "--strategy optuna needs the package optuna: pip install 'sambench[tune]'; --strategy halton needs "
                "nothing"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.optuna, self.trials = optuna, trials

    def propose(self, axes: Sequence[Axis], number: int, tried: Sequence[Tried]) -> Settings:
        spaces = {axis.name: self._distribution(axis) for axis in axes}
        sampler = self.optuna.samplers.TPESampler(
            seed=derive_seed("tuning", number) % 2**32, n_startup_trials=max(2, self.trials // 3)
        )
        study = self.optuna.create_study(direction="maximize", sampler=sampler)
        for at, past in enumerate(tried):
            params = past.settings
            if at:  # whole epochs, and four digits, may lie just outside of a range; a default anywhere
                params = {axis.name: axis.nearest(params[axis.name]) for axis in axes}
            if all(axis.holds(params[axis.name]) for axis in axes):
                made = self.optuna.trial.create_trial(params=params, distributions=spaces, value=past.score)
                study.add_trial(made)
        asked = study.ask(spaces).params
        return {axis.name: asked[axis.name] if axis.values else rounded(asked[axis.name]) for axis in axes}

    def _distribution(self, axis: Axis) -> Any:
        kinds = self.optuna.distributions
        if axis.values:
            return kinds.CategoricalDistribution(axis.values)
        return kinds.FloatDistribution(axis.low, axis.high, log=axis.scale == "log")
