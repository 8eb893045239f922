"""Sampling policies: which samples make the next batch, and with which weights.

The batch of an (epoch, step) is a function of the seed, the epoch and the policy's scores only. Its weights make the
weighted mean over the batch an unbiased estimate of the mean over the data set,

    E[ (1/B) sum_{i in S} w_i f_i ] = (1/N) sum_i f_i ,      w_i = 1 / (N p_i)

so that all gradient evaluations of a step use one batch with its weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import ConfigError
from ..hyper import Hyper, Value
from ..registry import Registry
from ..seeding import generator
from .dataset import send

Score = Callable[[Tensor, str], Tensor]
"""Function from positions (n,) and kind of score to scores (n,); its owner runs the network and counts the cost."""


@dataclass(frozen=True)
class Draw:
    """One batch: positions in the training set, int64 (B,), and weights, float32 (B,), or None where all are 1."""

    positions: Tensor
    weights: Tensor | None = None


SAMPLERS: "Registry[type[SamplingPolicy]]" = Registry("sampler")
"""The sampling policies by name; ``@SAMPLERS.register`` adds a class."""


def systematic(probabilities: Tensor, offset: float, count: int) -> Tensor:
    """Draw ``count`` positions so that every draw has exactly the given marginal distribution.

    The points ``(offset + k/count) mod 1`` are looked up in the cumulative distribution. With ``offset`` uniform on
    [0, 1) every single point is uniform, so draw k is i with probability p_i; together they are evenly spaced, so i is
    drawn ``count * p_i`` times, rounded up or down.

    Args:
        probabilities: float64 (n,), with sum 1.
        offset: shift of the evenly spaced points, in [0, 1).
        count: number of positions to draw.

    Returns:
        int64 (count,), in the order of k.

    Example:
        >>> systematic(torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64), 0.1, 4).tolist()
        [0, 0, 1, 2]
    """
    points = (offset + torch.arange(count, dtype=torch.float64) / count) % 1.0
    edges = torch.cumsum(probabilities, 0)
    return torch.searchsorted(edges / edges[-1], points, right=True)


def mixture(scores: Tensor, mix: float) -> Tensor:
    """Turn scores into probabilities: ``p_i = mix/n + (1-mix) s_i / sum_j s_j``, so that no weight exceeds ``1/mix``.

    The probabilities are uniform if the scores are all zero or not all finite.
    """
    count = len(scores)
    total = scores.double().sum()
    if not bool(torch.isfinite(total)) or float(total) <= 0:
        return torch.full((count,), 1.0 / count, dtype=torch.float64)
    return mix / count + (1.0 - mix) * scores.double() / total


@SAMPLERS.register
class SamplingPolicy:
    """Uniform sampling: a random permutation an epoch, cut into batches of weight 1; the base of the other policies.

    Args:
        count: number of training samples N.
        batch_size: number of samples B of a batch.
        seed: seed of the permutations and draws.
        drop_last: whether a last incomplete batch is left out.
        hyper: resolved hyper-parameters of the policy.
    """

    name: ClassVar[str] = "uniform"
    summary: ClassVar[str] = "a fresh permutation each epoch, every weight 1"
    hyper: ClassVar[Mapping[str, Hyper]] = {}
    device = torch.device("cpu")
    """Where draws are needed: that of the batches."""
    weights: Tensor | None = None
    """Weight of each sample, float32 (count,), on the CPU as all state here; None where all are 1."""
    _placed: tuple[Tensor, Draw] | None = None

    def __init__(self, count: int, batch_size: int, seed: int, drop_last: bool, hyper: Mapping[str, Value]):
        self.count, self.batch_size, self.seed, self.settings = count, batch_size, seed, dict(hyper)
        self.steps = count // batch_size if drop_last else -(-count // batch_size)
        if self.steps == 0:
            raise ConfigError(f"batch_size={batch_size} exceeds the {count} training samples; choose a smaller one")

    @staticmethod
    def declared_forwards(hyper: Mapping[str, Any]) -> float:
        """Return the forward-only evaluations per step that scoring costs, on average over a long training."""
        return 0.0

    def begin_epoch(self, epoch: int, score: Score) -> None:
        """Prepare an epoch (0, 1, ...); it may call ``score`` for any samples."""
        self.epoch = epoch
        self.order = torch.randperm(self.count, generator=generator("order", self.seed, epoch))

    def draw(self, step: int, score: Score) -> Draw:
        """Return the batch of a step of the epoch; the same step always gives the same batch."""
        whole, part = self._epoch(), slice(step * self.batch_size, (step + 1) * self.batch_size)
        return Draw(whole.positions[part], None if whole.weights is None else whole.weights[part])

    def known(self) -> Tensor | None:
        """Return the positions of the whole epoch, in the order of its batches; None where steps decide on them."""
        return self._epoch().positions

    def _epoch(self) -> Draw:
        """All draws of the epoch, which go to the device once, so that no step waits for them."""
        if self._placed is None or self._placed[0] is not self.order:
            weights = None if self.weights is None else send(self.weights[self.order], self.device)
            self._placed = self.order, Draw(send(self.order, self.device), weights)
        return self._placed[1]

    def observe(self, draw: Draw, score_of_batch: Callable[[str], Tensor]) -> None:
        """Update scores after a step: ``score_of_batch(kind)`` returns scores (B,) at no further cost.

        They come from each sample's first pass in the step; the score of a sample that the step did not use is NaN.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return the state that draws depend on beside seed, epoch and step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""


_SCORE = Hyper(
    "grad_norm",
    "what p_i follows: the loss, or the last-layer gradient norm ||softmax(z) - y||",
    choices=("loss", "grad_norm"),
)
_MIX = Hyper(0.3, "share of uniform sampling in p_i; bounds the weights by 1/mix", low=0, high=1, above=True)


@SAMPLERS.register
class Importance(SamplingPolicy):
    r"""Importance sampling from a table of scores.

    .. math:: p_i = \kappa / N + (1 - \kappa) \, s_i / \textstyle\sum_j s_j, \qquad w_i = 1 / (N p_i)

    Scores do not change within an epoch. They come from a scoring pass over the training set every ``refresh`` epochs
    (forward only, without augmentation, running statistics in BatchNorm; counted), or with ``refresh=0`` from the
    training passes themselves. Epoch 0 is uniform. An epoch's draws are :func:`systematic` over its permutation, in an
    order that is shuffled once more; equal scores give exactly the batches of the uniform policy.

    References:
        Katharopoulos and Fleuret 2018, arXiv 1803.00942 (the gradient-norm bound); Needell, Srebro and Ward 2014,
        arXiv 1310.5715 (the mixture).
    """

    name = "importance"
    summary = "p_i from a table of scores of all samples, weights 1/(N p_i)"
    hyper: ClassVar[Mapping[str, Hyper]] = {
        "score": _SCORE,
        "mix": _MIX,
        "refresh": Hyper(1, "epochs between scoring passes; 0: only what training saw", low=0),
    }

    def __init__(self, count: int, batch_size: int, seed: int, drop_last: bool, hyper: Mapping[str, Value]):
        super().__init__(count, batch_size, seed, drop_last, hyper)
        self.scores = torch.ones(count)
        self.seen = self.scores.clone()
        self.scored_epoch = 0
        self._noted: list[tuple[Tensor, Tensor]] = []
        """Positions and scores of steps, on the device: they are copied once an epoch, so that no step waits."""

    @staticmethod
    def declared_forwards(hyper: Mapping[str, Any]) -> float:
        return 1.0 / hyper["refresh"] if hyper["refresh"] else 0.0

    def begin_epoch(self, epoch: int, score: Score) -> None:
        super().begin_epoch(epoch, score)
        refresh = int(self.settings["refresh"])
        if epoch > self.scored_epoch:  # not when a run resumes within an epoch
            if refresh and epoch % refresh == 0:
                self.scores = score(torch.arange(self.count), str(self.settings["score"])).float().cpu()
            elif not refresh:
                self.scores = self._take_in().clone()
            self.scored_epoch = epoch
        self.weights = None
        if not bool((self.scores == self.scores[0]).all()):
            p = mixture(self.scores, float(self.settings["mix"]))
            rng = generator("importance", self.seed, epoch)
            offset = torch.rand((), generator=rng, dtype=torch.float64).item()
            drawn = self.order[systematic(p[self.order], offset, self.count)]
            self.order = drawn[torch.randperm(self.count, generator=rng)]
            self.weights = (1.0 / (self.count * p)).float()

    def observe(self, draw: Draw, score_of_batch: Callable[[str], Tensor]) -> None:
        if not self.settings["refresh"]:
            self._noted.append((draw.positions, score_of_batch(str(self.settings["score"])).float()))

    def _take_in(self) -> Tensor:
        """Return what training saw last of each sample: the score of a later step overwrites that of an earlier one."""
        for positions, scores in self._noted:
            at, found = positions.cpu(), scores.cpu()
            known = found.isfinite()
            self.seen[at[known]] = found[known]
        self._noted.clear()
        return self.seen

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores, "seen": self._take_in(), "scored_epoch": self.scored_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scores, self.seen = state["scores"].clone(), state["seen"].clone()
        self._noted.clear()
        self.scored_epoch = int(state["scored_epoch"])


@SAMPLERS.register
class Presample(SamplingPolicy):
    r"""Importance sampling within a larger uniform sample.

    Each step takes M = ``presample`` * B candidates, drawn uniformly without replacement, scores them by a forward
    pass (counted), and draws the batch from them:

    .. math:: q_j = \kappa / M + (1 - \kappa) \, s_j / \textstyle\sum_k s_k, \qquad w_j = 1 / (M q_j)

    The first B candidates are the batch of the uniform policy; equal scores choose exactly those.

    References:
        Katharopoulos and Fleuret 2018, arXiv 1803.00942; code: idiap/importance-sampling. Differs from it by
        the mixture, by systematic draws, and by starting at the first step instead of above a variance threshold.
    """

    name = "presample"
    summary = "scores a larger uniform sample each step and draws the batch from it"
    hyper: ClassVar[Mapping[str, Hyper]] = {
        "score": _SCORE,
        "mix": _MIX,
        "presample": Hyper(3, "candidates per sample of the batch", low=1),
    }

    def __init__(self, count: int, batch_size: int, seed: int, drop_last: bool, hyper: Mapping[str, Value]):
        super().__init__(count, batch_size, seed, True, hyper)  # a short last batch has no fixed number of candidates
        if (wanted := int(self.settings["presample"]) * batch_size) > count:
            raise ConfigError(
                f"presample={self.settings['presample']} needs {wanted} candidates and there are {count} training "
                f"samples; lower it, or the batch size {batch_size}"
            )

    @staticmethod
    def declared_forwards(hyper: Mapping[str, Any]) -> float:
        return float(hyper["presample"])

    def known(self) -> None:
        return None

    def draw(self, step: int, score: Score) -> Draw:
        count = int(self.settings["presample"]) * self.batch_size
        candidates = self.order.roll(-step * self.batch_size)[:count]
        scores = score(candidates, str(self.settings["score"])).float().cpu()
        if bool((scores == scores[0]).all()):
            return Draw(candidates[: self.batch_size])
        q = mixture(scores, float(self.settings["mix"]))
        offset = torch.rand((), generator=generator("presample", self.seed, self.epoch, step), dtype=torch.float64)
        chosen = systematic(q, offset.item(), self.batch_size)
        return Draw(candidates[chosen], (1.0 / (count * q[chosen])).float())
