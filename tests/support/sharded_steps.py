"""Steps of every variant on a model that ``fully_shard`` spread over two processes; its state in torch's helpers."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from sambench.benchmarks.conformance.checks.data_parallel import BY_SAMPLE
from sambench.benchmarks.training.oracle import Oracle
from sambench.errors import ConfigError, StateError
from sambench.variants import create, create_average, create_hook, get_info, list_variants
from sambench.variants.settings import small

COUNT, CLASSES, STEPS = 8, 3, 3
WHOLE = [info.name for info in list_variants() if "whole" in info.needs]
SHARDED = [info.name for info in list_variants() if "whole" not in info.needs]


def network():
    """Layers of sizes that two processes cannot share evenly."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 7), nn.LayerNorm(7), nn.Tanh(), nn.Linear(7, CLASSES)).double()


def in_shards():
    model, mesh = network(), init_device_mesh("cpu", (2,))
    for layer in (model[0], model[3]):
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def setting(info):
    return {**small(info), **({"rho": 0.3} if "rho" in info.hyper and "rho" not in info.brief else {})}


class Loop:
    """Anybody's loop: a plain closure where that is enough, else the oracle.

    Args:
        name: of the variant.
        model: to train.
        part: the samples of each batch that this process has.
    """

    def __init__(self, name, model, part=slice(None)):
        info, self.model, self.part = get_info(name), model, part
        self.optimizer = create(name, model, lr=0.1, momentum=0.9, weight_decay=0.01, seed=3, **setting(info))
        of = {kind: {k: v for k, v in info.brief.items() if k.startswith(kind)} for kind in (info.hook, info.average)}
        plugins = {}
        if "hook" in info.needs:
            plugins["hook"] = create_hook(info.hook, model, ids=torch.arange(COUNT), classes=CLASSES, **of[info.hook])
        if "average" in info.needs:
            plugins["average"] = create_average(
                info.average, model, steps_per_epoch=1, total_steps=10, **of[info.average]
            )
        self.oracle = None
        if info.asks:
            self.oracle = Oracle(
                model,
                logits=lambda model, batch: model(batch[0]),
                loss=lambda logits, batch: F.cross_entropy(logits, batch[1], reduction="none"),
                total_steps=10,
                accumulate=2,
                clip=0.5,
                weight_decay=0.01,
                **plugins,
            )
        self.done = 0

    def batch(self, number):
        stream = torch.Generator().manual_seed(number)
        x, y = torch.randn(COUNT, 4, generator=stream), torch.randint(CLASSES, (COUNT,), generator=stream)
        return x.double()[self.part], y[self.part]

    def step(self, count=STEPS):
        for _ in range(count):
            x, y = batch = self.batch(self.done)

            def closure(x=x, y=y):
                self.optimizer.zero_grad()
                loss = F.cross_entropy(self.model(x), y)
                loss.backward()
                return loss

            if self.oracle is not None:
                ids = torch.arange(COUNT)[self.part]

                def more(number, done=self.done):
                    return self.batch(100 + done + number)

                self.oracle.bind(batch, ids=ids, more=more, epoch=self.done)
            self.optimizer.step(self.oracle or closure)
            self.done += 1

    def weights(self):
        whole = (p.full_tensor() if hasattr(p, "full_tensor") else p for p in self.model.parameters())
        return torch.cat([p.detach().flatten() for p in whole])


def part_of(name, process_group):
    """Half of each batch, or, for a rule that compares samples with each other, all of it on both processes."""
    return slice(None) if BY_SAMPLE & set(get_info(name).needs) else process_group.shard(COUNT)


def states(loop):
    """The optimizer's state as the helpers give it: each process its shards, or all of it."""
    for full in (False, True):
        options = StateDictOptions(full_state_dict=full)
        yield full, get_optimizer_state_dict(loop.model, loop.optimizer, options=options)


def resumed(loop, model, state, part=slice(None), full=False):
    """A fresh loop that takes up a state by the helpers; the oracle's goes its own way."""
    twin = Loop(loop.optimizer.info.name, model, part)
    set_optimizer_state_dict(model, twin.optimizer, state, options=StateDictOptions(full_state_dict=full))
    if loop.oracle is not None:
        twin.oracle.load_state_dict(copy.deepcopy(loop.oracle.state_dict()))
    twin.done = loop.done
    return twin


def work(process_group, folder, names):
    done = {}
    for name in names:
        if name in WHOLE:
            try:
                done[name] = create(name, in_shards(), lr=0.1) and "created"
            except ConfigError as error:
                done[name] = str(error)
        else:
            done[name] = steps(name, part_of(name, process_group))
    done["left"] = left_from_before()
    return done


def work_and_overflow(process_group, folder, names, overflowing):
    return work(process_group, folder, names), overflow(process_group, folder, overflowing)


def steps(name, part):
    """Weights after some steps; the whole state then; weights after more, of itself and of what took up its state."""
    loop = Loop(name, in_shards(), part)
    loop.step()
    after, model = loop.weights(), loop.model.state_dict()
    model = {key: value.clone() for key, value in model.items()}
    twins = []
    for full, state in states(loop):
        other = in_shards()
        other.load_state_dict(model)
        twins.append(resumed(loop, other, copy.deepcopy(state), part, full))
    for each in (loop, *twins):
        for _ in range(2):
            with torch.no_grad():  # an evaluation, after which the root's weights stay gathered
                each.model(each.batch(0)[0])
            each.step(1)
    return after, loop.weights(), [twin.weights() for twin in twins], bool(loop.optimizer.own)


def left_from_before():
    """Gradients from before a step whose closure does not zero them."""
    model = in_shards()
    optimizer = create("sam", model, lr=0.1)

    def closure():
        loss = model(torch.ones(2, 4, dtype=torch.float64)).square().sum()
        loss.backward()
        return loss

    closure()
    try:
        optimizer.step(closure)
    except StateError as error:
        return str(error)
    return "a step was made"


class Last(nn.Module):
    """Adds a vector that is spread over both processes; the gradient of its last entry alone may overflow."""

    def __init__(self):
        super().__init__()
        self.shift, self.overflows = nn.Parameter(torch.zeros(CLASSES)), False

    def forward(self, logits):
        shift = self.shift + 0.0
        if self.overflows:
            shift.register_hook(lambda g: torch.cat([g[:-1], torch.full_like(g[-1:], torch.inf)]))
        return logits + shift


def overflow(process_group, folder, names):
    """Let a pass of the second of three steps overflow in fp16, in an entry that the second process alone has.

    Returns:
        For each variant and pass: whether this process saw it in its own shards; after each step the weights, the loss
        scale, the steps made and skipped.
    """
    cases = [(name, at) for name in names for at in range(1, 1 + int(get_info(name).declared_gradients({})))]
    return {(name, at): _overflow(name, at, process_group) for name, at in cases}


def _overflow(name, at, process_group):
    mesh, last = init_device_mesh("cpu", (2,)), Last()
    model = nn.Sequential(*network().float(), last)
    for layer in (model[0], model[3], last):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = create(name, model, lr=0.1, momentum=0.9, **setting(get_info(name)))
    seen = []

    def losses(logits, batch):
        return F.cross_entropy(logits, batch[1], reduction="none")

    def logits(model, batch):
        last.overflows = len(after) == 1 and oracle.passes == at - 1
        return model(batch[0])

    oracle = Oracle(model, logits=logits, loss=losses, precision="fp16", total_steps=10)
    unscale = oracle.scale.unscale

    def watched(gradients):
        seen.append(all(g.to_local().isfinite().all() for g in gradients))
        unscale(gradients)

    oracle.scale.unscale = watched
    x, y = torch.randn(COUNT, 4, generator=torch.Generator().manual_seed(5)), torch.arange(COUNT) % CLASSES
    after, part = [], process_group.shard(COUNT)
    for _ in range(3):
        optimizer.step(oracle.bind((x[part], y[part]), epoch=0))
        state = oracle.state_dict()  # which closes the step
        weights = torch.cat([p.full_tensor().detach().flatten() for p in model.parameters()])
        after.append((weights, state["scale"]["scale"], optimizer.steps, state["counted"]["skipped_steps"]))
    return all(seen), after
