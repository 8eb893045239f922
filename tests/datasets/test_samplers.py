"""Sampling policies: unbiased by exact enumeration, uniform for equal scores, resumable."""

import itertools
import math

import pytest
import torch

from sambench.datasets import samplers
from sambench.datasets.samplers import SAMPLERS, Importance, Presample, SamplingPolicy, systematic
from sambench.errors import ConfigError
from sambench.hyper import resolve

POLICIES = [policy.name for policy in SAMPLERS.all()]


def make(name, count=24, batch=6, seed=0, **hyper):
    policy = SAMPLERS.get(name)
    return policy(count, batch, seed, False, resolve(name, policy.hyper, hyper))


def by_position(positions, kind):
    return (positions.float() + 1.0) ** 2


def equal(positions, kind):
    return torch.full((len(positions),), 0.7)


def offsets_by_interval(probabilities, count):
    """Every outcome of a systematic draw: (length of the interval of offsets, positions) with total length 1."""
    edges = torch.cat([torch.zeros(1, dtype=torch.float64), probabilities.cumsum(0)])
    jumps = sorted({float((edge - k / count) % 1.0) for edge in edges[:-1] for k in range(count)} | {0.0, 1.0})
    for low, high in itertools.pairwise(jumps):
        if high - low > 1e-13:
            yield high - low, systematic(probabilities, (low + high) / 2, count)


def gradients(count, size=5):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def enumerated(monkeypatch):
    """Capture the distribution a policy hands to `systematic`, so that a test can enumerate instead of sample."""
    seen = []

    def capture(probabilities, offset, count):
        seen.append(probabilities)
        return systematic(probabilities, offset, count)

    monkeypatch.setattr(samplers, "systematic", capture)
    return seen


def importance_bias(weighted, enumerated):
    """Largest error of the expected batch gradient of the importance policy, over every outcome and batch."""
    count, batch = 12, 4
    policy = make("importance", count, batch)
    policy.begin_epoch(0, by_position)
    order = torch.randperm(count, generator=samplers.generator("order", 0, 1))
    policy.begin_epoch(1, by_position)
    (probabilities,) = enumerated
    weights = torch.empty(count, dtype=torch.float64)
    weights[order] = 1.0 / (count * probabilities)
    assert torch.allclose(policy.weights.double(), weights, rtol=1e-6, atol=0)
    g = gradients(count)
    expected = torch.zeros(count, g.shape[1], dtype=torch.float64)
    for share, drawn in offsets_by_interval(probabilities, count):
        at = order[drawn]
        scale = weights[at] if weighted else torch.ones(count, dtype=torch.float64)
        expected += share * scale[:, None] * g[at]
    # every single draw is unbiased, so every batch of every shuffle of the draws is
    return float((expected - g.mean(0)).abs().max())


def test_importance_is_unbiased_by_enumeration(enumerated):
    assert importance_bias(True, enumerated) < 1e-10


def test_unweighted_importance_fails_the_same_enumeration(enumerated):
    assert importance_bias(False, enumerated) > 1e-2


def presample_bias(weighted, enumerated):
    """Expected batch gradient of presampling over every permutation of a tiny data set and every offset."""
    count, batch, presample = 4, 1, 2
    g = gradients(count)
    expected = torch.zeros(g.shape[1], dtype=torch.float64)
    permutations = list(itertools.permutations(range(count)))
    for permutation in permutations:
        policy = make("presample", count, batch, presample=presample)
        policy.epoch, policy.order = 0, torch.tensor(permutation)
        enumerated.clear()
        policy.draw(1, by_position)
        (q,) = enumerated
        candidates = policy.order.roll(-batch)[: presample * batch]
        for share, chosen in offsets_by_interval(q, batch):
            scale = 1.0 / (len(candidates) * q[chosen]) if weighted else torch.ones(batch, dtype=torch.float64)
            expected += share * (scale[:, None] * g[candidates[chosen]]).mean(0) / len(permutations)
    return float((expected - g.mean(0)).abs().max())


def test_presample_is_unbiased_by_enumeration(enumerated):
    assert presample_bias(True, enumerated) < 1e-10


def test_unweighted_presample_fails_the_same_enumeration(enumerated):
    assert presample_bias(False, enumerated) > 1e-3


def test_weights_belong_to_the_drawn_positions():
    policy = make("importance")
    policy.begin_epoch(0, by_position)
    policy.begin_epoch(1, by_position)
    scores = by_position(torch.arange(24), "")
    p = 0.3 / 24 + 0.7 * scores.double() / scores.double().sum()
    for step in range(policy.steps):
        draw = policy.draw(step, by_position)
        assert torch.allclose(draw.weights.double(), 1 / (24 * p[draw.positions]), rtol=1e-6)
        assert float(draw.weights.max()) <= 1 / 0.3 + 1e-6


@pytest.mark.parametrize("step", [0, 2])
def test_weights_of_a_presample_belong_to_its_candidates(step):
    policy = make("presample", presample=2)
    policy.begin_epoch(0, by_position)
    draw = policy.draw(step, by_position)
    candidates = torch.cat([policy.order, policy.order])[6 * step : 6 * step + 12]
    scores = by_position(candidates, "").double()
    q = dict(zip(candidates.tolist(), (0.3 / 12 + 0.7 * scores / scores.sum()).tolist(), strict=True))
    assert len(draw.positions) == 6
    torch.testing.assert_close(draw.weights, torch.tensor([1 / (12 * q[at]) for at in draw.positions.tolist()]))


@pytest.mark.parametrize("name", POLICIES)
def test_equal_scores_give_exactly_the_uniform_stream(name):
    uniform, other = make("uniform"), make(name)
    for epoch in range(3):
        uniform.begin_epoch(epoch, equal)
        other.begin_epoch(epoch, equal)
        for step in range(other.steps):
            draw = other.draw(step, equal)
            assert draw.weights is None
            assert torch.equal(draw.positions, uniform.draw(step, equal).positions)


def test_uniform_visits_everything_once_an_epoch():
    policy = make("uniform", count=25, batch=6)
    policy.begin_epoch(0, equal)
    drawn = torch.cat([policy.draw(step, equal).positions for step in range(policy.steps)])
    assert policy.steps == 5
    assert torch.equal(drawn.sort().values, torch.arange(25))


def test_a_point_on_an_edge_belongs_to_what_follows():
    assert systematic(torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64), 0.0, 4).tolist() == [0, 0, 1, 2]


def test_systematic_draws_come_up_in_proportion():
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    counts = torch.bincount(systematic(p, 0.123, 1000), minlength=3)
    assert (counts - 1000 * p).abs().max() <= 1


def test_the_last_position_has_all_that_rounding_leaves_of_the_sum():
    tenths = torch.full((10,), 0.1, dtype=torch.float64)
    assert tenths.cumsum(0)[-1] < 1
    assert systematic(tenths, math.nextafter(1.0, 0.0), 2).tolist() == [9, 4]


def test_small_scores_count_by_their_shares():
    found = samplers.mixture(torch.tensor([0.125, 0.375]), 0.5)
    torch.testing.assert_close(found, torch.tensor([0.375, 0.625], dtype=torch.float64), rtol=1e-15, atol=0)


def test_the_draws_of_an_epoch_are_made_once():
    policy = make("importance")
    for epoch in range(2):
        policy.begin_epoch(epoch, by_position)
    assert len({policy.draw(step, by_position).weights.untyped_storage().data_ptr() for step in range(4)}) == 1


@pytest.mark.parametrize("name", POLICIES)
def test_a_resumed_policy_draws_the_same(name):
    whole, rest = make(name), make(name)
    for epoch in range(2):
        whole.begin_epoch(epoch, by_position)
    saved = whole.state_dict()
    expected = [whole.draw(step, by_position) for step in range(2, whole.steps)]
    rest.load_state_dict(saved)
    rest.begin_epoch(1, equal)  # in a resumed epoch scores come from the state, not from a new scoring pass
    found = [rest.draw(step, by_position) for step in range(2, rest.steps)]
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(a.positions, b.positions)
        assert (a.weights is None) == (b.weights is None)
        assert a.weights is None or torch.equal(a.weights, b.weights)


def test_scores_from_training_are_used_in_the_next_epoch_without_cost():
    policy = make("importance", refresh=0)

    def never(positions, kind):
        raise AssertionError("no scoring pass is due")

    policy.begin_epoch(0, never)
    for step in range(policy.steps):
        draw = policy.draw(step, never)
        policy.observe(draw, lambda kind, at=draw.positions: by_position(at, kind))
    policy.begin_epoch(1, never)
    assert torch.equal(policy.scores, by_position(torch.arange(24), ""))
    assert SamplingPolicy.declared_forwards({}) == Importance.declared_forwards({"refresh": 0}) == 0
    assert Importance.declared_forwards({"refresh": 2}) == 0.5
    assert Presample.declared_forwards({"presample": 3}) == 3


def test_a_scoring_pass_is_made_when_it_is_due():
    policy, asked = make("importance", refresh=2), []

    def score(positions, kind):
        asked.append((len(positions), kind))
        return by_position(positions, kind)

    for epoch in range(5):
        policy.begin_epoch(epoch, score)
        assert (policy.weights is None) == (epoch < 2)
        assert len(asked) == epoch // 2
    assert set(asked) == {(24, "grad_norm")}


def test_a_last_short_batch_is_drawn_where_candidates_need_no_fixed_number():
    assert [make(name, count=25).steps for name in ("uniform", "importance", "presample")] == [5, 5, 4]
    assert SamplingPolicy(25, 6, 0, True, {}).steps == 4
    assert SamplingPolicy(24, 24, 0, True, {}).steps == 1


def test_defaults_and_bounds_of_the_settings():
    assert resolve("importance", Importance.hyper, {}) == {"score": "grad_norm", "mix": 0.3, "refresh": 1}
    assert resolve("presample", Presample.hyper, {}) == {"score": "grad_norm", "mix": 0.3, "presample": 3}
    assert make("presample", presample=4).settings["presample"] == 4  # all samples are candidates
    assert make("presample", presample=1, mix=1.0).settings["presample"] == 1


@pytest.mark.parametrize("scores", [torch.zeros(4), torch.tensor([1.0, float("nan"), 1.0, 1.0])])
def test_useless_scores_give_uniform_probabilities(scores):
    assert torch.equal(samplers.mixture(scores, 0.5), torch.full((4,), 0.25, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "hyper", "message"),
    [
        ("importance", {"mix": 0.0}, "mix=0.0 is not valid"),
        ("importance", {"mix": 1.1}, "mix=1.1 is not valid"),
        ("importance", {"score": "los"}, "one of 'loss', 'grad_norm'"),
        ("presample", {"presample": 9}, "needs 54 candidates"),
    ],
)
def test_bad_settings_are_refused_with_the_valid_ones(name, hyper, message):
    with pytest.raises(ConfigError, match=message):
        make(name, **hyper)


def test_bad_names_and_sizes():
    with pytest.raises(ConfigError, match="did you mean 'importance'"):
        SAMPLERS.get("importence")
    with pytest.raises(ConfigError, match="batch_size=30 exceeds the 24"):
        SamplingPolicy(24, 30, 0, True, {})
