"""Steps by the public oracle on two devices, in each of the ways that it knows."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sambench.benchmarks.training.batch import Batch
from sambench.benchmarks.training.classification import ClassificationOracle
from sambench.benchmarks.training.oracle import Oracle
from sambench.variants import create

COUNT, STEPS = 8, 3
SETTINGS = {"accumulate": 2, "clip": 0.1}


def network():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3)).double()


def losses(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def batches(part=slice(None)):
    rng = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        x, y = torch.randn(COUNT, 4, generator=rng).double(), torch.randint(3, (COUNT,), generator=rng)
        yield x[part], y[part]


def train(model, data, **settings):
    """Make steps of SAM and return the weights."""
    optimizer = create("sam", model, lr=0.1, momentum=0.9, rho=0.2)
    oracle = Oracle(model, loss=losses, **SETTINGS, **settings)
    if oracle.apart:
        optimizer.mean_over_devices = oracle.mean_over_devices
    for batch in data:
        optimizer.step(oracle.bind(batch))
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def drift(part):
    """Forget to average what devices with perturbations of their own descend by."""
    model = DistributedDataParallel(network())
    optimizer = create("sam", model, lr=0.1)
    oracle = Oracle(model, loss=losses, whole=False)
    for batch in batches(part):
        optimizer.step(oracle.bind(batch))


def normalized():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).double()


def first(part=slice(None)):
    """The first batch, or part of it, as the harness has them."""
    x, y = next(batches())
    return Batch(x[part], y[part], torch.arange(COUNT)[part], None)


def step(part=slice(None), **settings):
    """Make a step of SAM on a network with BatchNorm; return the oracle and the scores of the first pass."""
    model = normalized()
    optimizer, oracle = create("sam", model, lr=0.1, rho=0.2), ClassificationOracle(model, **settings)
    if oracle.apart:
        optimizer.mean_over_devices = oracle.mean_over_devices
    oracle.bind(first(part), epoch=0, step=0)
    optimizer.step(oracle)
    scores = oracle.scores("loss")
    oracle.finish_step()
    return oracle, scores


def halves(process_group):
    """What each device has after a step on its half of a batch that both are given."""
    oracle, scores = step(process_group=process_group, whole=False)
    state = {key: value.clone() for key, value in oracle.model.state_dict().items()}
    return {"state": state, "scores": scores, "losses": oracle.losses(), "logits": oracle.forward(first().images)}


def work(process_group, folder):
    own = process_group.shard(COUNT)
    done = {
        "halves": halves(process_group),
        "wrapped": train(DistributedDataParallel(network()), list(batches(own))),
        "split": train(network(), list(batches()), process_group=process_group),
        "apart": train(DistributedDataParallel(network()), list(batches(own)), whole=False),
    }
    try:
        drift(own)
    except Exception as error:
        done["drift"] = f"{type(error).__name__}: {error}"
    return done
