"""The oracle: a closure that owns BatchNorm, precision, weight decay, accumulation and counting."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sambench.benchmarks.precision import Diverged, GradientOverflow
from sambench.benchmarks.training.batch import Batch, sample_scores
from sambench.benchmarks.training.batch_norm import RunningStatistics
from sambench.benchmarks.training.classification import ClassificationOracle
from sambench.variants import LossHook, create


def network(norm=True, dropout=False, dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(5, 8), nn.BatchNorm1d(8) if norm else nn.Tanh(), nn.Tanh()]
        layers += [nn.Dropout(0.5)] if dropout else []
        return nn.Sequential(*layers, nn.Linear(8, 3)).to(dtype)


def batch(count=12, weights=None, dtype=torch.float32):
    rng = torch.Generator().manual_seed(3)
    return Batch(
        torch.randn(count, 5, generator=rng).to(dtype), torch.arange(count) % 3, torch.arange(count) + 100, weights
    )


def bound(model, data, **settings):
    oracle = ClassificationOracle(model, **settings)
    oracle.bind(data, epoch=0, step=0)
    return oracle


def gradients(model):
    return [p.grad.clone() for p in model.parameters()]


def test_called_plainly_it_is_an_ordinary_closure():
    model, data = network(), batch()
    loss = bound(model, data)()
    found = gradients(model)
    other = network()
    expected = F.cross_entropy(other(data.images), data.labels)
    expected.backward()
    assert torch.equal(loss, expected.detach())
    assert all(map(torch.equal, found, gradients(other)))


@pytest.mark.parametrize(("policy", "moves"), [("first", 1), ("all", 3), ("last", 1)])
def test_running_statistics_move_in_the_declared_passes(policy, moves):
    model = network()
    statistics = model[1]
    oracle = bound(model, batch(), bn_update=policy)
    passes = []
    for shift in (0.0, 0.5, 1.0):
        with torch.no_grad():
            model[0].bias.add_(shift)
        oracle()
        passes.append(model[0](oracle.batch.images).mean(0).detach())
    assert int(statistics.num_batches_tracked) == moves
    if policy == "all":
        return
    expected = 0.1 * passes[0 if policy == "first" else 2]
    assert torch.allclose(statistics.running_mean, expected, atol=1e-6)


def test_a_frozen_layer_is_the_same_function():
    model, data = network(), batch()
    bound(model, data)()
    plain = gradients(model)
    frozen = RunningStatistics(model)
    before = [b.clone() for b in model.buffers()]
    with frozen.frozen():
        with frozen.frozen():
            pass
        model.zero_grad()
        F.cross_entropy(model(data.images), data.labels).backward()
        assert not torch.equal(model[1].running_mean, before[0])
    assert all(map(torch.equal, gradients(model), plain))
    assert all(map(torch.equal, model.buffers(), before))


def _other_data(model):
    model[1].running_mean.data = model[1].running_mean.clone()


def _to_double(model):
    model[1].running_mean.data = model[1].running_mean.double()


def _with_gaps(model):
    model[1].running_mean.data = torch.rand(2 * len(model[1].running_mean))[::2]


CHANGES = [nn.Module.double, nn.Module.half, nn.Module.bfloat16, _to_double, _with_gaps, _other_data]


def _filled(model):
    """Give buffers values that a shorter type rounds, one of them no number; return copies of all."""
    for buffer in model.buffers():
        buffer.copy_(torch.rand(buffer.shape, dtype=torch.float64) * 1e6)
    model[1].running_var[0] = torch.nan
    return [buffer.clone() for buffer in model.buffers()]


def _as_before(model, before):
    pairs = zip(model.buffers(), before, strict=True)
    return all(torch.equal(b.double().nan_to_num(-1), was.double().nan_to_num(-1)) for b, was in pairs)


def _moved(model):
    for buffer in model.buffers():
        buffer.add_(1).mul_(3)


@pytest.mark.parametrize("change", CHANGES)
def test_buffers_of_any_type_and_in_any_memory_are_put_back(change):
    model = network()
    statistics = RunningStatistics(model)
    with statistics.frozen():
        pass
    change(model)
    if change in CHANGES[:3]:  # these make other buffers, the others give the same ones other data
        statistics = RunningStatistics(model)
    before = _filled(model)
    for _ in range(2):
        with statistics.frozen():
            _moved(model)
        assert _as_before(model, before)


@pytest.mark.parametrize("change", CHANGES[3:])
@pytest.mark.parametrize("nested", [False, True])
def test_buffers_that_get_other_data_in_a_block_are_put_back(change, nested):
    model = network()
    statistics = RunningStatistics(model)
    before = _filled(model)
    for _ in range(2):
        with statistics.frozen():
            _moved(model)
            change(model)
            if nested:
                inside = [buffer.clone() for buffer in model.buffers()]
                with statistics.frozen():
                    _moved(model)
                assert _as_before(model, inside)
            _moved(model)
        assert _as_before(model, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_buffers_of_odd_lengths_are_put_back_after_they_got_other_data(dtype):
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 5))
    model = nn.Sequential(normed, nn.BatchNorm1d(5).to(dtype), nn.BatchNorm1d(7).to(dtype))
    statistics = RunningStatistics(model)
    before = _filled(model)
    with statistics.frozen():
        _other_data(model)
        _moved(model)
    assert _as_before(model, before)


def test_other_layers_that_follow_the_passes_move_in_one_of_them():
    model = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Conv1d(5, 4, 1)),
        nn.InstanceNorm1d(4, track_running_stats=True),
        *(nn.Flatten(), nn.Linear(12, 3)),
    )
    for vector in [*model[0].buffers()]:  # spectral_norm itself comes near the fixed point of its iteration
        vector.copy_(nn.functional.normalize(torch.arange(1.0, 1 + len(vector)), dim=0))
    data = Batch(torch.randn(6, 5, 3), torch.arange(6) % 3, torch.arange(6))
    oracle = bound(model, data)
    start = [b.clone() for b in model.buffers()]
    oracle()
    once = [b.clone() for b in model.buffers()]
    moved = [not torch.equal(a, b) for a, b in zip(once, start, strict=True)]
    assert moved == [True] * 4 + [False], "InstanceNorm never counts its batches"
    oracle()
    assert all(map(torch.equal, model.buffers(), once))


def test_vectors_of_one_kind_are_put_back_too():
    model = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4))
    for vector in model.buffers():  # its own may be the fixed point of its iteration already
        vector.copy_(nn.functional.normalize(torch.arange(1.0, 1 + len(vector)), dim=0))
    start = [b.clone() for b in model.buffers()]
    with RunningStatistics(model).frozen():
        model(torch.randn(6, 5))
        assert not all(map(torch.equal, model.buffers(), start))
    assert all(map(torch.equal, model.buffers(), start))


class _Pull(LossHook):
    """Pulls the first logit of a sample to 0, the more the greater its label is."""

    name = "pull"
    summary = "a term of the labels"

    def targets(self, run, batch):
        return (batch.labels.to(torch.float64),)

    def term(self, logits, targets):
        return targets[0] * logits[:, 0] ** 2


@pytest.mark.parametrize("weights", [None, torch.linspace(0.5, 2, 12, dtype=torch.float64)])
def test_the_term_of_a_loss_hook_is_added_to_the_loss_of_every_sample(weights):
    model, data = network(dtype=torch.float64), batch(weights=weights, dtype=torch.float64)
    oracle = ClassificationOracle(model)
    oracle.attach(_Pull(model, data.ids, 3, {}), None)
    oracle.bind(data, epoch=0, step=0)
    loss = oracle()
    other = network(dtype=torch.float64)
    logits = other(data.images)
    losses = F.cross_entropy(logits, data.labels, reduction="none") + data.labels * logits[:, 0] ** 2
    expected = (losses * (1 if weights is None else weights)).mean()
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=0)
    for found, right in zip(gradients(model), gradients(other), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-12)


def test_every_pass_of_a_step_has_the_same_dropout():
    model = network(norm=False, dropout=True)
    oracle = bound(model, batch())
    first, second = oracle(), oracle()
    assert torch.equal(first, second)
    oracle.bind(batch(), epoch=0, step=1)
    assert not torch.equal(oracle(), first)


def test_accumulation_equals_the_whole_batch():
    whole, parts = network(norm=False, dtype=torch.float64), network(norm=False, dtype=torch.float64)
    data = batch(11, dtype=torch.float64)
    a, b = bound(whole, data), bound(parts, data, accumulate=4)
    assert torch.allclose(a(), b(), rtol=1e-6)
    for x, y in zip(gradients(whole), gradients(parts), strict=True):
        assert torch.allclose(x, y, rtol=1e-12, atol=1e-14)
    assert torch.allclose(a.logits, b.logits)
    assert b.counters.gradient_evaluations == 1.0


def test_weights_scale_every_sample_in_every_pass():
    weights = torch.linspace(0.2, 2.0, 12)
    model, data = network(norm=False), batch(weights=weights)
    oracle = bound(model, data)
    loss = oracle()
    expected = (F.cross_entropy(model(data.images), data.labels, reduction="none") * weights).mean()
    assert torch.allclose(loss, expected)
    model.zero_grad()
    expected.backward()
    reference = gradients(model)
    oracle()
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(gradients(model), reference, strict=True))


def test_weight_decay_in_the_loss_is_part_of_every_gradient():
    model, data = network(norm=False, dtype=torch.float64), batch(dtype=torch.float64)
    bound(model, data, weight_decay=0.01)()
    found = gradients(model)
    model.zero_grad()
    decay = sum(p.square().sum() for p in model.parameters())
    (F.cross_entropy(model(data.images), data.labels) + 0.005 * decay).backward()
    for a, b in zip(found, gradients(model), strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-14)


def test_weight_decay_modes_differ_for_sam_only_in_the_perturbation():
    """For SGD both modes are one update; for SAM the decay enters direction, norm and the perturbed gradient."""

    def trained(variant, mode):
        model = network(norm=False, dtype=torch.float64)
        decay = 0.1
        optimizer = create(variant, model, lr=0.1, weight_decay=decay if mode == "base" else 0.0)
        oracle = ClassificationOracle(model, weight_decay=decay if mode == "in_loss" else 0.0)
        for step in range(3):
            oracle.bind(batch(dtype=torch.float64), epoch=0, step=step)
            optimizer.step(oracle)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.allclose(trained("sgd", "base"), trained("sgd", "in_loss"), rtol=1e-12, atol=1e-14)
    assert (trained("sam", "base") - trained("sam", "in_loss")).abs().max() > 1e-6


def test_a_subset_costs_its_share_and_gives_its_mean():
    model, data = network(norm=False), batch()
    oracle = bound(model, data)
    at = torch.tensor([1, 4, 7])
    loss = oracle(subset=at)
    assert torch.allclose(loss, F.cross_entropy(model(data.images[at]), data.labels[at]))
    assert oracle.counters.gradient_evaluations == 0.25
    assert oracle.logits.shape == (3, 3)


def test_losses_cost_a_forward_evaluation_and_leave_buffers_alone():
    model, data = network(), batch()
    oracle = bound(model, data)
    before = [b.clone() for b in model.buffers()]
    found = oracle.losses()
    assert all(map(torch.equal, model.buffers(), before))
    assert oracle.counters.forward_evaluations == 1.0
    assert oracle.counters.gradient_evaluations == 0.0
    assert torch.allclose(found, F.cross_entropy(oracle.logits, data.labels, reduction="none"))


def test_a_cotangent_replaces_the_derivative_of_the_loss():
    model, data = network(norm=False, dtype=torch.float64), batch(dtype=torch.float64)
    oracle = bound(model, data)
    oracle()
    plain, cotangent = gradients(model), oracle.cotangent()
    oracle(cotangent=cotangent)
    for a, b in zip(gradients(model), plain, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)
    assert oracle.counters.gradient_evaluations == 2.0


def test_scores_come_from_the_last_pass_for_nothing():
    model, data = network(norm=False), batch()
    oracle = bound(model, data)
    oracle()
    assert torch.allclose(oracle.scores("loss"), F.cross_entropy(oracle.logits, data.labels, reduction="none"))
    assert oracle.counters.forward_evaluations == 0.0


def test_the_gradient_norm_score_is_the_norm_of_the_loss_by_the_logits():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    F.cross_entropy(logits, labels, reduction="sum").backward()
    assert torch.allclose(sample_scores("grad_norm", logits.detach(), labels), logits.grad.norm(dim=1), atol=1e-6)


def test_an_overflow_skips_the_whole_step_and_halves_the_scale():
    model, data = network(norm=False), batch()
    optimizer = create("sam", model, lr=0.1, momentum=0.9)
    oracle = bound(model, data, precision="fp16")
    assert oracle.scale.scale == 2.0**16
    optimizer.step(oracle)
    oracle.finish_step()
    before = [p.detach().clone() for p in model.parameters()]
    momentum = [s["momentum_buffer"].clone() for s in optimizer.state.values()]
    calls = 0
    forward = oracle._forward

    def overflow_in_the_second_pass(images):
        nonlocal calls
        calls += 1
        return forward(images) * (float("inf") if calls == 2 else 1.0)

    oracle._forward = overflow_in_the_second_pass
    oracle.bind(data, epoch=0, step=1)
    with pytest.raises(GradientOverflow):
        optimizer.step(oracle)
    oracle.skip_step()
    assert calls == 2
    assert all(map(torch.equal, model.parameters(), before))
    assert all(map(torch.equal, [s["momentum_buffer"] for s in optimizer.state.values()], momentum))
    assert optimizer.steps == 1
    assert oracle.scale.scale == 2.0**15
    assert oracle.counters.skipped_steps == 1


def test_fp16_scaling_leaves_the_gradient_unscaled():
    model, data = network(norm=False), batch()
    bound(model, data, precision="fp16")()
    half = gradients(model)
    bound(model, data)()
    for a, b in zip(half, gradients(model), strict=True):
        assert torch.allclose(a, b, atol=2e-3)


def test_a_gradient_that_overflows_at_every_scale_ends_training():
    oracle = bound(network(norm=False), batch(), precision="fp16")
    oracle.scale.scale = 2.0**-28
    for _ in range(3):
        oracle.skip_step()
    with pytest.raises(Diverged, match="even at loss scale"):
        oracle.skip_step()


@pytest.mark.parametrize("factor", [1.0, 1e-6])
def test_a_small_cotangent_is_scaled_before_it_is_halved(factor):
    model, data = network(norm=False), batch()
    oracle = bound(model, data, precision="fp16")
    oracle()
    plain = gradients(model)
    oracle(cotangent=factor * oracle.cotangent())
    for a, b in zip(gradients(model), plain, strict=True):
        assert torch.allclose(a / factor, b, rtol=0.05, atol=2e-3)


def test_counters_survive_saving():
    oracle = bound(network(), batch())
    oracle()
    other = ClassificationOracle(network())
    other.load_state_dict(oracle.state_dict())
    assert other.counters == oracle.counters
    assert other.counters.samples == 12
