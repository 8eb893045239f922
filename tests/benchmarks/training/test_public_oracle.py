"""The oracle in anybody's loop: every variant on three kinds of networks, equal to the harness where both apply."""

import copy
from collections import namedtuple
from dataclasses import dataclass

import oracle_steps
import pytest
import torch
import torch.nn.functional as F
from process_pair import together
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from sambench.benchmarks.distributed.process_group import ProcessGroup
from sambench.benchmarks.precision import best_precision
from sambench.benchmarks.training.batch import Batch
from sambench.benchmarks.training.classification import ClassificationOracle
from sambench.benchmarks.training.oracle import Oracle
from sambench.benchmarks.training.pytree import count_samples, map_tensors
from sambench.errors import ConfigError
from sambench.seeding import derive_seed
from sambench.variants import LossHook, create, create_average, create_hook, get_info, list_variants

VOCABULARY, LENGTH, WIDTH, COUNT, STEPS = 11, 6, 16, 8, 3
NAMES = [info.name for info in list_variants()]
QUICK = ("sgd", "sam", "m_sam", "is_unified_sam", "esam", "bsam", "sampa")
SETTINGS = {("sam_on", "lstm"): {"layers": "all"}}
"""An LSTM has no normalization layers."""
MIXED = {"accumulate": 4, "clip": 0.5}
PRECISION = {"transformer": "bf16", "conv": "bf16", "lstm": best_precision(torch.device("cpu"))}
"""torch has an LSTM in bf16 only on processors that multiply it."""


class Transformer(nn.Module):
    """Logits of the next token; the output matrix is the embedding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.block = nn.TransformerEncoderLayer(WIDTH, 2, 24, dropout=0.1, batch_first=True)
        self.out = nn.Linear(WIDTH, VOCABULARY)
        self.out.weight = self.embedding.weight

    def forward(self, tokens):
        return self.out(self.block(self.embedding(tokens))[:, -1])


class Recurrent(nn.Module):
    """Logits of the next token, from the last state of an LSTM."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.out = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens):
        return self.out(self.lstm(self.embedding(tokens))[0][:, -1])


def convolutional():
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(4)),
        *(nn.Flatten(), nn.Linear(4, VOCABULARY)),
    )


NETWORKS = {"transformer": Transformer, "lstm": Recurrent, "conv": convolutional}


def network(kind):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return NETWORKS[kind]().train()


def batches(kind):
    rng = torch.Generator().manual_seed(3)
    for _ in range(STEPS):
        images = torch.randn(COUNT, 3, 8, 8, generator=rng)
        tokens = torch.randint(VOCABULARY, (COUNT, LENGTH), generator=rng)
        yield images if kind == "conv" else tokens, torch.randint(VOCABULARY, (COUNT,), generator=rng)


def losses(model, batch):
    return F.cross_entropy(model(batch["x"]), batch["y"][0], reduction="none")


def optimizer_and_plugins(info, model, **own):
    """The variant on SGD, and the plug-ins that it needs: what a user writes, from its metadata."""
    own, plugins = {**info.brief, **own}, {}
    if "hook" in info.needs:
        plugins["hook"] = create_hook(info.hook, model, ids=torch.arange(COUNT), classes=VOCABULARY, **own)
    if "average" in info.needs:
        plugins["average"] = create_average(info.average, model, steps_per_epoch=2, total_steps=STEPS, **own)
    of_optimizer = {} if plugins else own
    return create(info.name, model, base="sgd", lr=0.05, momentum=0.9, **of_optimizer), plugins


def anybodys(name, kind, **settings):
    """Train by the public oracle, and return it with its model and losses."""
    info, model = get_info(name), network(kind)
    optimizer, plugins = optimizer_and_plugins(info, model, **SETTINGS.get((name, kind), {}))
    sees = {"loss": losses}
    if {"logits", "hook"} & set(info.needs):
        sees = {
            "logits": lambda model, batch: model(batch["x"]),
            "loss": lambda logits, batch: F.cross_entropy(logits, batch["y"][0], reduction="none"),
        }
    oracle = Oracle(model, **sees, **plugins, total_steps=STEPS, **settings)
    data = [{"x": x, "y": (y, None)} for x, y in batches(kind)]
    found = []
    for step, batch in enumerate(data):
        closure = oracle.bind(
            batch,
            ids=torch.arange(COUNT) if plugins else None,
            epoch=step // 2,
            more=lambda number, step=step: data[(step + number) % STEPS],
        )
        found.append(optimizer.step(closure))
    return oracle, model, torch.stack(found)


def harnesss(name, kind, **settings):
    """Train by the harness's oracle on the same batches."""
    info, model = get_info(name), network(kind)
    optimizer, plugins = optimizer_and_plugins(info, model, **SETTINGS.get((name, kind), {}))
    oracle = ClassificationOracle(model, total_steps=STEPS, **settings)
    oracle.attach(
        plugins.get("hook", oracle.hook), plugins.get("average", oracle.average), remember="previous" in info.needs
    )
    data = [Batch(x, y, torch.arange(COUNT)) for x, y in batches(kind)]
    found = []
    for step, batch in enumerate(data):
        oracle.bind(batch, epoch=step // 2, step=step, more=lambda number, step=step: data[(step + number) % STEPS])
        found.append(optimizer.step(oracle))
        oracle.finish_step()
    return oracle, model, torch.stack(found)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=[] if kind == "conv" or name in QUICK else pytest.mark.slow)
        for name in NAMES
        for kind in NETWORKS
    ],
)
def test_every_variant_equals_the_harness(name, kind):
    settings = {**MIXED, "precision": PRECISION[kind]}
    ours, model, found = anybodys(name, kind, **settings)
    theirs, other, expected = harnesss(name, kind, **settings)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    assert ours.counters == theirs.counters
    if kind == "conv":  # one pass a step, of no more micro-batches than it has samples
        assert int(model[1].num_batches_tracked) <= STEPS * MIXED["accumulate"]


def small(dtype=torch.float32, dropout=0.0):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 3)).to(dtype).train()


def pair(step=0, dtype=torch.float32):
    rng = torch.Generator().manual_seed(step)
    return torch.randn(COUNT, 5, generator=rng).to(dtype), torch.randint(3, (COUNT,), generator=rng)


def of_pair(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


MISSING = {"logits": "logits=", "clock": "total_steps=", "fresh": "more=", "hook": "hook=", "average": "average="}


@pytest.mark.parametrize("name", [n for n in NAMES if set(get_info(n).needs) & set(MISSING)])
def test_what_a_variant_needs_is_named_by_the_argument_that_brings_it(name):
    info, model = get_info(name), small()
    (need,) = set(info.needs) & set(MISSING)
    optimizer, oracle = create(name, model, lr=0.1), Oracle(model, loss=of_pair)
    before = weights(model)
    with pytest.raises(ConfigError, match=MISSING[need]):
        optimizer.step(oracle.bind(pair()))
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize(("told", "missing"), [({}, "epoch="), ({"epoch": 1}, "ids=")])
def test_a_hook_that_remembers_samples_says_what_it_needs(told, missing):
    model = small()
    hook = create_hook("saf", model, ids=torch.arange(COUNT), classes=3, saf_delay=1, saf_start=0.0)
    oracle = Oracle(
        model,
        logits=lambda model, batch: model(batch[0]),
        loss=lambda logits, batch: F.cross_entropy(logits, batch[1], reduction="none"),
        hook=hook,
        total_steps=1,
    )
    with pytest.raises(ConfigError, match=missing):
        oracle.bind(pair(), **told)
    with pytest.raises(ConfigError, match="looks at logits"):
        Oracle(model, loss=of_pair, hook=hook)


@dataclass
class Record:
    x: Tensor
    scale: float = 1.0


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "batch",
    [
        torch.arange(4),
        (torch.arange(4), [torch.arange(8).view(4, 2), None]),
        {"a": {"b": torch.arange(4)}, "return_dict": True},
        Point(torch.arange(4), Record(torch.arange(4))),
    ],
    ids=["tensor", "tuple", "dict", "named"],
)
def test_a_batch_has_any_structure(batch):
    assert count_samples(batch) == 4
    part = map_tensors(lambda t: t[torch.tensor([1, 2])], batch)
    assert count_samples(part) == 2
    assert type(part) is type(batch)


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        (({"text": ["a", "b"]}, torch.arange(2)), "holds a str"),
        ((torch.arange(2), torch.arange(3)), "no number of samples"),
        ((torch.arange(2), torch.tensor(1.0)), "no number of samples"),
        ((), "no number of samples"),
    ],
)
def test_a_batch_without_samples_is_refused(batch, says):
    with pytest.raises(ConfigError, match=says):
        Oracle(small(), loss=of_pair).bind(batch)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda model, batch: of_pair(model, batch).mean(), "shape .. for 8 samples"),
        (lambda model, batch: model(batch[0]), r"shape \(8, 3\) for 8 samples"),
        (lambda model, batch: (of_pair(model, batch), None), "returned a tuple"),
    ],
    ids=["mean", "matrix", "tuple"],
)
def test_a_loss_is_one_a_sample(loss, says):
    with pytest.raises(ConfigError, match=says):
        Oracle(small(), loss=loss).bind(pair())()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"precision": "half"}, "fp32, bf16, fp16"),
        ({"bn_update": "none"}, "first, all, last"),
        ({"accumulate": 0}, "at least 1"),
        ({"accumulate": 1.5}, "at least 1"),
        ({"clip": 0.0}, "greater than 0"),
    ],
)
def test_a_wrong_setting_is_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        Oracle(small(), loss=of_pair, **settings)


def test_what_a_step_saw_is_known_at_no_further_cost():
    model = small(torch.float64)
    passes = []
    model.register_forward_hook(lambda *_: passes.append(weights(model)))
    optimizer, oracle = create("sam", model, lr=0.1, rho=0.3), Oracle(model, loss=of_pair)
    assert oracle.unperturbed_loss is None
    batch = pair(dtype=torch.float64)
    loss = optimizer.step(oracle.bind(batch))
    found = oracle.unperturbed_loss, oracle.perturbed_loss, oracle.sam_gap, oracle.gradient_norms
    assert len(passes) == 2
    assert torch.equal(found[0], loss)
    twin, norms = small(torch.float64), []
    for at in passes:
        nn.utils.vector_to_parameters(at, twin.parameters())
        twin.zero_grad()
        expected = of_pair(twin, batch).mean()
        expected.backward()
        norms.append(torch.cat([p.grad.flatten() for p in twin.parameters()]).norm())
    torch.testing.assert_close(found[1], expected.detach())
    torch.testing.assert_close(found[2], found[1] - found[0])
    torch.testing.assert_close(torch.stack(found[3]), torch.stack(norms))


@pytest.mark.parametrize(("name", "own", "gap"), [("sgd", {}, False), ("m_sam", {"m": 3}, True), ("esam", {}, True)])
def test_losses_at_both_points_are_of_the_samples_that_had_both(name, own, gap):
    model = small(torch.float64)
    optimizer, oracle = create(name, model, lr=0.1, **own), Oracle(model, loss=of_pair)
    batch = pair(dtype=torch.float64)
    with torch.no_grad():
        expected = of_pair(model, batch).mean()
    optimizer.step(oracle.bind(batch))
    torch.testing.assert_close(oracle.unperturbed_loss, expected)
    assert (oracle.sam_gap is not None) == gap
    assert not gap or oracle.sam_gap > 0


def overflowing():
    """A rule and its oracle after a step, bound to the next batch at a loss scale that is far too large."""
    model = small()
    optimizer, oracle = create("sam", model, lr=0.1, momentum=0.9), Oracle(model, loss=of_pair, precision="fp16")
    oracle.bind(pair())
    oracle.scale.scale = 2.0**10
    optimizer.step(oracle)
    oracle.bind(pair(1))
    oracle.scale.scale = 2.0**200
    return model, optimizer, oracle


def test_an_overflow_is_no_loss_and_no_gradient():
    model, _, oracle = overflowing()
    assert oracle() is None
    assert all(p.grad is None for p in model.parameters())
    oracle.bind(pair())
    assert (oracle.counters.skipped_steps, oracle.scale.scale, oracle.step) == (1, 2.0**199, 2)


def test_an_overflow_skips_the_whole_step():
    model, optimizer, oracle = overflowing()
    before, momentum = weights(model), [s["momentum_buffer"].clone() for s in optimizer.state.values()]
    assert optimizer.step(oracle) is None
    assert torch.equal(weights(model), before)
    assert all(map(torch.equal, momentum, [s["momentum_buffer"] for s in optimizer.state.values()]))
    oracle.bind(pair(2))
    oracle.scale.scale = 2.0**10
    assert optimizer.step(oracle) is not None
    assert optimizer.steps == 2
    assert not torch.equal(weights(model), before)


def test_weights_are_of_the_loss():
    model, shares = small(torch.float64), torch.linspace(0.2, 1.8, COUNT, dtype=torch.float64)
    oracle, batch = Oracle(model, loss=of_pair, accumulate=3), pair(dtype=torch.float64)
    loss = oracle.bind(batch, weights=shares)()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    expected = (of_pair(model, batch) * shares).mean()
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(oracle.unperturbed_loss, expected.detach())
    torch.testing.assert_close(found, [p.grad for p in model.parameters()])


def test_thawed_parameters_are_trained():
    model = small()
    model[0].requires_grad_(False)
    optimizer = create("sam", model, lr=0.1)
    oracle = Oracle(model, loss=of_pair, weight_decay=0.1, clip=1.0)
    for frozen in (True, False):
        model[0].requires_grad_(not frozen)
        before = model[0].weight.detach().clone()
        optimizer.step(oracle.bind(pair()))
        assert torch.equal(model[0].weight, before) == frozen


@pytest.mark.parametrize("policy", ["first", "last"])
def test_statistics_have_the_precision_that_the_model_has_now(policy):
    """Two passes of a step leave what one leaves, to the bit, also after the model was converted between two steps."""
    models = [nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    oracles = [Oracle(model, loss=of_pair, bn_update=how) for model, how in zip(models, ("all", policy), strict=True)]
    for step in range(3):
        for passes, oracle in enumerate(oracles, 1):
            oracle.bind(pair(step, torch.float32 if step == 0 else torch.float64))
            for _ in range(passes):
                oracle()
            oracle.finish_step()
        assert all(map(torch.equal, models[0].buffers(), models[1].buffers()))
        for model in models:
            model.double()
    assert models[1][1].running_mean.dtype == torch.float64


@pytest.mark.parametrize("policy", ["first", "all", "last"])
def test_lazy_layers_meet_their_first_batch(policy):
    model = nn.Sequential(nn.LazyLinear(6), nn.LazyBatchNorm1d(), nn.LazyLinear(3))
    oracle = Oracle(model, loss=of_pair, bn_update=policy)
    if policy == "last":  # the start of the step has no statistics that could be kept
        with pytest.raises(ValueError, match="uninitialized"):
            oracle.bind(pair())
        return
    oracle.bind(pair())
    oracle()
    oracle()
    assert int(model[1].num_batches_tracked) == (1 if policy == "first" else 2)


def test_masks_agree_and_the_global_stream_stays():
    model = small(dropout=0.5)
    oracle = Oracle(model, loss=of_pair)
    before = torch.get_rng_state()
    closure = oracle.bind(pair())
    first, second = closure(), closure()
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(oracle.bind(pair())(), first)


def test_autocast_around_the_step_is_autocast_inside():
    found = []
    for outside in (True, False):
        model = small()
        optimizer = create("sam", model, lr=0.1, rho=0.5)
        oracle = Oracle(model, loss=of_pair, precision="fp32" if outside else "bf16")
        for step in range(STEPS):
            with torch.autocast("cpu", torch.bfloat16, enabled=outside):
                optimizer.step(oracle.bind(pair(step)))
        found.append(weights(model))
    torch.testing.assert_close(*found, rtol=0, atol=1e-3)


class Wrapped(DistributedDataParallel):
    """A model in its wrapper, without any process."""

    def __init__(self, module):
        nn.Module.__init__(self)
        self.module = module

    def forward(self, images):
        return self.module(images)


@pytest.mark.parametrize("devices", [1, 2])
def test_masks_follow_seed_step_and_device(monkeypatch, devices):
    """One device has the masks of one that is alone; of several, each has its own."""
    monkeypatch.setattr(dist, "get_rank", lambda: devices - 1)
    monkeypatch.setattr(dist, "get_world_size", lambda: devices)
    model = small(dropout=0.5)
    rank = [devices - 1] if devices > 1 else []
    for oracle in [Oracle(Wrapped(model), loss=of_pair)] + [Oracle(model, loss=of_pair)] * (devices == 1):
        for step in (0, 1):
            with torch.random.fork_rng([]):
                torch.manual_seed(derive_seed("dropout", 0, step, *rank))
                expected = of_pair(model, pair()).mean()
            assert torch.equal(oracle.bind(pair())(), expected.detach())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"whole": False, "precision": "fp16"}, "one device would skip"),
        ({"process_group": ProcessGroup(0, 2)}, "or process_group=, not"),
    ],
)
def test_a_wrapped_model_exchanges_by_itself(settings, says):
    with pytest.raises(ConfigError, match=says):
        Oracle(Wrapped(small()), loss=of_pair, **settings)


@pytest.mark.parametrize(("accumulate", "sizes"), [(None, [8]), (1, [8]), (2, [4, 4]), (3, [3, 3, 2]), (20, [1] * 8)])
def test_a_pass_is_made_of_micro_batches(accumulate, sizes):
    model, seen, batch = small(torch.float64), [], pair(dtype=torch.float64)
    model.register_forward_hook(lambda _, images, __: seen.append(len(images[0])))
    oracle = Oracle(model, loss=of_pair, **({} if accumulate is None else {"accumulate": accumulate}))
    loss = oracle.bind(batch)()
    assert seen == sizes
    assert oracle.counters.gradient_evaluations == 1
    torch.testing.assert_close(loss, of_pair(model, batch).mean().detach())
    torch.testing.assert_close(oracle.last_losses(), of_pair(model, batch).detach())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_no_samples_have_no_loss_and_no_gradient(accumulate):
    model = small()
    oracle = Oracle(model, loss=of_pair, accumulate=accumulate).bind(pair())
    assert oracle(subset=torch.arange(0)) == 0
    assert all(bool((p.grad == 0).all()) for p in model.parameters())
    assert oracle.counters.gradient_evaluations == 0


@pytest.mark.parametrize("accumulate", [1, 2])
def test_one_sample_has_its_loss(accumulate):
    model, batch = small(), pair()
    loss = Oracle(model, loss=of_pair, accumulate=accumulate).bind(batch)(subset=torch.tensor([3]))
    torch.testing.assert_close(loss, of_pair(model, batch)[3].detach())


def test_a_batch_of_another_size_counts_by_its_share():
    oracle = Oracle(small(), loss=of_pair).bind(pair())
    oracle.batch_share = 0.5
    oracle(subset=torch.arange(2))
    oracle.losses()
    assert (oracle.counters.gradient_evaluations, oracle.counters.forward_evaluations) == (0.125, 0.5)


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_looks_at_its_share(monkeypatch, rank):
    monkeypatch.setattr(ProcessGroup, "all_gather_rows", lambda group, own, rows, count: own)
    model, (images, _) = small(), pair()
    oracle = Oracle(model, loss=None, logits=lambda model, batch: model(batch), process_group=ProcessGroup(rank, 2))
    oracle.bind(images)
    torch.testing.assert_close(oracle.forward(images), model(images[4 * rank : 4 * rank + 4]))


def test_norms_are_of_the_passes_of_one_step():
    oracle = Oracle(small(), loss=of_pair)
    for passes in (3, 1, 2):
        oracle.bind(pair())
        for _ in range(passes):
            oracle()
        assert len(oracle.gradient_norms) == passes
    without = Oracle(small(), loss=of_pair, gradient_norms=False)
    for _ in range(2):
        without.bind(pair())()
        assert without.gradient_norms is None


def test_other_batches_are_those_that_were_asked_for():
    model, data = small(), [pair(step) for step in range(3)]
    expected = [of_pair(model, batch).mean().detach() for batch in data]
    oracle = Oracle(model, loss=of_pair)
    assert not oracle.bind(data[0]).fresh
    oracle()
    assert "before" not in oracle.state_dict()
    assert not oracle.bind(data[1], more=lambda number: data[number]).previous  # remembered from here on
    assert oracle.fresh
    found = [oracle(previous=True), oracle(fresh=2), oracle()]
    torch.testing.assert_close(found, [expected[1], expected[2], expected[1]])
    assert oracle.counters.samples == 3 * COUNT
    assert oracle.bind(data[2]).previous
    torch.testing.assert_close([oracle(previous=True), oracle()], [expected[1], expected[2]])
    assert "before" in oracle.state_dict()


class Follower(LossHook):
    """A loss hook and a weight average that notes what it is told."""

    name = "follower"

    def __init__(self):
        self.told = []

    def observe(self, oracle, batch, logits, seen):
        self.told.append((logits.clone(), seen.clone()))

    def update(self, step):
        self.told.append(step)


def test_a_hook_learns_from_the_first_pass_over_its_own_batch():
    model, data, hook = small(), [pair(step) for step in range(2)], Follower()
    oracle = Oracle(
        model,
        logits=lambda model, batch: model(batch[0]),
        loss=lambda logits, batch: F.cross_entropy(logits, batch[1], reduction="none"),
        hook=hook,
    )
    closure = oracle.bind(data[0], more=lambda number: data[number])
    closure(fresh=1)
    closure(subset=torch.arange(3))
    first = model(data[0][0]).detach()
    with torch.no_grad():
        model[0].weight.mul_(2.0)
    closure(subset=torch.arange(2, 5))
    oracle.bind(data[1])
    ((logits, seen),) = hook.told
    assert seen.tolist() == [True] * 5 + [False] * 3
    torch.testing.assert_close(logits[:3], first[:3])
    torch.testing.assert_close(logits[3:5], model(data[0][0])[3:5].detach())


def test_an_average_follows_every_step_that_was_closed_and_no_other():
    average = Follower()
    oracle = Oracle(small(), loss=of_pair, precision="fp16", average=average)
    oracle.scale.scale = 2.0**10
    oracle.bind(pair())  # without a pass it was no step
    assert oracle.bind(pair()).step == 0
    oracle()
    assert oracle.bind(pair()).step == 1
    oracle.scale.scale = 2.0**200
    assert oracle() is None
    assert oracle.bind(pair()).step == 2
    assert average.told == [1, 2]


def test_samples_have_the_identities_that_they_are_told_by():
    oracle = Oracle(small(), loss=of_pair)
    assert torch.equal(oracle.bind(pair()).ids, torch.arange(COUNT))
    assert torch.equal(oracle.bind(pair(), ids=torch.arange(COUNT) + 7).ids, torch.arange(COUNT) + 7)


def test_a_state_that_does_not_know_its_step_begins_with_the_first():
    model = small()
    oracle = Oracle(model, loss=of_pair)
    oracle.bind(pair())()
    state = oracle.state_dict()
    assert state.pop("next_step") == 1
    other = Oracle(model, loss=of_pair)
    other.load_state_dict(state)
    assert other.bind(pair()).step == 0


def test_clipping_shortens_the_final_gradient_alone():
    steps = []
    for clip in (None, 1e9, 1e-3):
        model = small(torch.float64)
        optimizer, oracle = create("sam", model, lr=1.0), Oracle(model, loss=of_pair, clip=clip)
        start = weights(model)
        optimizer.step(oracle.bind(pair(dtype=torch.float64)))
        steps.append((weights(model) - start, torch.stack(oracle.gradient_norms)))
    assert torch.equal(steps[0][0], steps[1][0])
    assert steps[2][0].norm() == pytest.approx(1e-3, rel=1e-3)
    assert torch.equal(steps[0][1], steps[2][1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ConfigError, match="clip= acts between"):
        optimizer.step(oracle.bind(pair(dtype=torch.float64)))


def test_clipping_is_of_the_oracles_own_steps():
    oracle = copy.deepcopy(Oracle(small(torch.float64), loss=of_pair, clip=1e-3))
    model, optimizer = oracle.model, create("sam", oracle.model, lr=1.0)
    start = weights(model)
    optimizer.step(oracle.bind(pair(dtype=torch.float64)))
    assert (weights(model) - start).norm() == pytest.approx(1e-3, rel=1e-3)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    torch.optim.SGD(model.parameters(), lr=0.0).step()  # a step of the loop's own
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in model.parameters())


def test_a_step_that_raises_was_not_made():
    model = small()
    average = create_average("ema", model)
    fails = []

    def loss(model, batch):
        if fails:
            raise InterruptedError
        return of_pair(model, batch)

    optimizer, oracle = create("sam", model, lr=0.1), Oracle(model, loss=loss, average=average)
    optimizer.step(oracle.bind(pair()))
    assert oracle.average.count == 1
    fails.append(True)
    with pytest.raises(InterruptedError):
        optimizer.step(oracle.bind(pair()))
    assert oracle.average.count == 1


@pytest.mark.parametrize("name", ["sampa", "mesa", "ema", "vasso"])
def test_a_saved_oracle_goes_on_to_the_same_bits(name):
    def trainer():
        model = small()
        info = get_info(name)
        optimizer, plugins = optimizer_and_plugins(info, model)
        sees = {
            "logits": lambda model, batch: model(batch[0]),
            "loss": lambda logits, batch: F.cross_entropy(logits, batch[1], reduction="none"),
        }
        return model, optimizer, Oracle(model, **sees, **plugins, total_steps=6)

    def advance(model, optimizer, oracle, steps):
        for step in steps:
            optimizer.step(oracle.bind(pair(step), epoch=0))
        return weights(model)

    whole = advance(*trainer(), range(6))
    half = trainer()
    advance(*half, range(3))
    rest = trainer()
    for new, old in zip(rest, half, strict=True):
        new.load_state_dict(old.state_dict())
    assert torch.equal(advance(*rest, range(3, 6)), whole)
    assert rest[2].step == 5


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    answers = together(oracle_steps.work, tmp_path_factory.mktemp("pair"))
    assert all(isinstance(answer, dict) for answer in answers), answers
    return answers


def test_devices_that_pass_over_their_own_halves_agree_on_what_they_share(answers):
    """Running statistics are the mean of both; scores are of all samples; each evaluates what is its own."""
    parts = (slice(0, oracle_steps.COUNT // 2), slice(oracle_steps.COUNT // 2, None))
    alone = [oracle_steps.step(part) for part in parts]
    one, other = (answer["halves"] for answer in answers)
    assert all(torch.equal(value, other["state"][key]) for key, value in one["state"].items())
    for name in ("1.running_mean", "1.running_var"):
        mean = sum(oracle.model.state_dict()[name] for oracle, _ in alone) / 2
        torch.testing.assert_close(one["state"][name], mean, rtol=1e-12, atol=1e-14)
    assert int(one["state"]["1.num_batches_tracked"]) == 1
    torch.testing.assert_close(one["scores"], torch.cat([scores for _, scores in alone]), rtol=1e-12, atol=1e-14)
    assert torch.equal(one["scores"], other["scores"])
    model = oracle_steps.normalized()
    model.load_state_dict(one["state"])
    for part, own in zip(parts, (one, other), strict=True):
        batch = oracle_steps.first(part)
        expected = F.cross_entropy(model(batch.images), batch.labels, reduction="none")
        torch.testing.assert_close(own["losses"], expected.detach(), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(own["logits"], model(oracle_steps.first().images).detach(), rtol=1e-12, atol=1e-14)


def test_two_devices_train_in_every_way(answers):
    alone = oracle_steps.train(oracle_steps.network(), list(oracle_steps.batches()))
    for way in ("wrapped", "split"):
        for answer in answers:
            torch.testing.assert_close(answer[way], alone, rtol=1e-12, atol=1e-14)
    assert torch.equal(answers[0]["apart"], answers[1]["apart"])
    assert not torch.allclose(answers[0]["apart"], alone, rtol=1e-6)
    assert all("mean_over_devices" in answer["drift"] for answer in answers)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"whole": False}, "whole=False cannot be"), ({"process_group": ProcessGroup(0, 2)}, "or process_group=, not")],
)
def test_shards_are_exchanged_by_their_model_alone(settings, says):
    model = small()
    model[0].weight.device_mesh = None
    with pytest.raises(ConfigError, match=says):
        Oracle(model, loss=of_pair, **settings)
