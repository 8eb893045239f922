"""The oracle in anybody's loop: every variant on three kinds of networks, equal to the harness where both apply."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sambench.benchmarks.training.batch import Batch
from sambench.benchmarks.training.classification import ClassificationOracle
from sambench.benchmarks.training.oracle import Oracle
from sambench.variants import create, create_average, create_hook, get_info, list_variants

VOCABULARY, LENGTH, WIDTH, COUNT, STEPS = 11, 6, 16, 8, 3
NAMES = [info.name for info in list_variants()]
SETTINGS = {("sam_on", "lstm"): {"layers": "all"}}
"""An LSTM has no normalization layers."""
MIXED = {"precision": "bf16", "accumulate": 4, "clip": 0.5}


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
        *(nn.Flatten(), nn.Linear(64, VOCABULARY)),
    )


NETWORKS = {"transformer": Transformer, "lstm": Recurrent, "conv": convolutional}


def network(kind):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return NETWORKS[kind]().train()


def batches(kind):
    rng = torch.Generator().manual_seed(3)
    for _ in range(STEPS):
        images = torch.randn(COUNT, 3, 32, 32, generator=rng)
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


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", NAMES)
def test_every_variant_equals_the_harness(name, kind):
    ours, model, found = anybodys(name, kind, **MIXED)
    theirs, other, expected = harnesss(name, kind, **MIXED)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    assert ours.counters == theirs.counters
    if kind == "conv":  # one pass a step, of no more micro-batches than it has samples
        assert int(model[1].num_batches_tracked) <= STEPS * MIXED["accumulate"]
