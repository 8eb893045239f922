"""What a run asks of a GPU, as far as it shows without one: generators, settings, copies and launches."""

import contextlib
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sambench.benchmarks.device import generator_of, with_generator
from sambench.benchmarks.models import build
from sambench.benchmarks.precision import arithmetic, describe_arithmetic
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.training.batch_norm import RunningStatistics
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.datasets.samplers import SAMPLERS
from sambench.errors import ConfigError

CUDA = torch.device("cuda")


class Operations(TorchDispatchMode):
    """Counts the operations inside its block, and those that go from the CPU to another device or back."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()
        self.moved: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.counted[func.overloadpacket.__name__] += 1
        given = {one.device.type for one in args if isinstance(one, torch.Tensor)}
        if isinstance(found, torch.Tensor) and given and found.device.type not in given:
            self.moved.append(str(func))
        return found


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> list[torch.Generator]:
    """Stand-ins for the generators of two GPUs, of which the first is the current one."""
    generators = [torch.Generator(), torch.Generator()]
    monkeypatch.setattr(torch.cuda, "default_generators", generators)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    return generators


@pytest.mark.parametrize(("name", "card"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_device_is_seeded_and_no_other(two_cards: list[torch.Generator], name: str, card: int) -> None:
    assert generator_of(torch.device(name)) is two_cards[card]
    assert with_generator(torch.device(name)) == [torch.device(name)]
    assert generator_of(torch.device("cpu")) is torch.default_generator
    assert with_generator(torch.device("cpu")) == []


def test_dropout_is_seeded_on_the_device_of_the_model(
    two_cards: list[torch.Generator], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = TrainState(make_spec({"dataset": "digits", "model": "mlp"}), load("digits"), torch.device("cpu"))
    kept: list[list[torch.device]] = []

    @contextlib.contextmanager
    def fork(devices: list[torch.device]) -> Any:
        kept.append(devices)
        yield

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    run.oracle.device = torch.device("cuda:1")
    before = two_cards[0].initial_seed()
    with run.oracle._same_masks():
        seed = two_cards[1].initial_seed()
    assert kept == [[torch.device("cuda:1")]]
    assert two_cards[0].initial_seed() == before != seed
    run.oracle.device = torch.device("cpu")
    with run.oracle._same_masks():
        assert torch.default_generator.initial_seed() == seed


@pytest.mark.parametrize(("precision", "float32"), [("fp32", "ieee"), ("bf16", "ieee"), ("tf32", "tf32")])
def test_float32_is_what_the_spec_says_and_bits_repeat(precision: str, float32: str) -> None:
    before = describe_arithmetic(CUDA)
    with contextlib.suppress(ArithmeticError), arithmetic(precision, CUDA):
        assert describe_arithmetic(CUDA) == f"float32 {float32}, cuDNN deterministic"
        raise ArithmeticError
    assert describe_arithmetic(CUDA) == before
    assert describe_arithmetic(torch.device("cpu")) is None


def test_tf32_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match="precision='tf32' is arithmetic of CUDA devices, and this is 'cpu'"):
        arithmetic("tf32", torch.device("cpu")).__enter__()


@pytest.mark.parametrize("sampler", SAMPLERS.names())
@pytest.mark.parametrize("augment", ["none", "crop:1,flip,cutout:2"])
def test_no_batch_waits_for_the_host(sampler: str, augment: str) -> None:
    """On the meta device: within an epoch nothing is copied to it, but for the policy that scores at every step."""
    spec = make_spec({"dataset": "digits", "model": "mlp", "sampler": sampler, "augment": augment, "batch_size": 64})
    run, meta = TrainState(spec, load("digits"), torch.device("cpu")), torch.device("meta")
    run.sampler.begin_epoch(0, lambda at, kind: torch.rand(len(at)))
    if sampler == "importance":
        run.sampler.weights = torch.rand(len(run.labels))
    loader = type(run.loader)(spec, run.dataset, run.parts, meta)
    run.sampler.device = meta
    loader.begin_epoch(0, run.sampler.steps, spec.batch_size)
    loader.batch(run.sampler.draw(0, lambda at, kind: torch.rand(len(at))), 0)
    with Operations() as counted:
        batch = loader.batch(run.sampler.draw(1, lambda at, kind: torch.rand(len(at))), 1)
    assert batch.images.device == meta
    assert bool(counted.moved) == (sampler == "presample")


def test_freezing_running_statistics_takes_a_launch_for_each_type() -> None:
    model = build("wrn16_1", classes=10, seed=0)
    statistics = RunningStatistics(model)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with Operations() as counted, statistics.frozen(), torch.no_grad():
        copied = counted.counted["_foreach_copy_"]
        for buffer in model.buffers():
            buffer.add_(1)
    assert copied == 2  # floating-point statistics, and the counts of batches
    assert counted.counted["_foreach_copy_"] == 4
    assert counted.counted["clone"] == 0
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
