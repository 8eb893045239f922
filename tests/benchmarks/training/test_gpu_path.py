"""What a run asks of a GPU, as far as it shows without one: generators, settings, copies and launches."""

import contextlib
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sambench.benchmarks.device import generator_of, with_generator
from sambench.benchmarks.models import build
from sambench.benchmarks.models.registry import Task, _construct
from sambench.benchmarks.precision import arithmetic, describe_arithmetic
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.training.batch import Batch
from sambench.benchmarks.training.batch_norm import RunningStatistics
from sambench.benchmarks.training.classification import ClassificationOracle
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.datasets.samplers import SAMPLERS
from sambench.errors import ConfigError
from sambench.variants import StepRule, VariantInfo, create, list_variants

CUDA = torch.device("cuda")


META = torch.device("meta")
LAUNCH_NOTHING = {"detach", "t", "view", "_unsafe_view", "unsqueeze", "expand", "slice", "split", "empty", "empty_like"}
LAUNCH_NOTHING |= {
    "select",
    "as_strided",
    "permute",
    "split_with_sizes",
    "_record_function_enter_new",
    "_record_function_exit",
}
MOST_LAUNCHES = {"wrn16_4": (140, 290, 392, 294, 1245), "wrn28_10": (252, 516, 694, 524, 2147)}
"""Of a step of sgd, sam, gsam, asam and m_sam (4 parts)."""
TENSORS_A_LAUNCH, CHUNK, CHUNKS_A_LAUNCH = {1: 110, 2: 64, 3: 48, 4: 36, 5: 30}, 65536, 320
"""What a launch of a foreach operation on CUDA takes, by the number of its lists (torch's MultiTensorApply.cuh)."""


def launches(function: str, args: tuple[Any, ...]) -> int:
    """Return how many kernels an operation starts on CUDA, as far as torch's source tells."""
    if function in LAUNCH_NOTHING:
        return 0
    if function == "convolution_backward":  # by the weights, and by the input where it is asked for
        return sum(args[-1])
    if function == "cat":  # torch's CatArrayBatchedCopy
        return -(-len(args[0]) // 128)
    if function.startswith("_foreach"):
        lists = [one for one in args if isinstance(one, list) and one and isinstance(one[0], torch.Tensor)]
        depth = len(lists) + (not function.endswith("_"))
        chunks = sum(-(-t.numel() // CHUNK) for t in lists[0])
        found = max(-(-len(lists[0]) // TENSORS_A_LAUNCH[depth]), -(-chunks // CHUNKS_A_LAUNCH))
        return found + (function == "_foreach_norm")
    return 1


class Operations(TorchDispatchMode):
    """Counts the operations inside its block, what they launch, and those that tie the host to another device."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()
        self.launches = 0
        self.moved: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "equal", "masked_select"):
            self.moved.append(str(func))
        found = func(*args, **(kwargs or {}))
        self.counted[name] += 1
        self.launches += launches(name, args)
        given = {one.device.type for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)}
        made = {one.device.type for one in tree_leaves(found) if isinstance(one, torch.Tensor)}
        copies = name in ("_to_copy", "copy_") and len(given | made) > 1
        if copies or (given and not made <= given):
            self.moved.append(str(func))
        return found


class MetaGenerator(torch.Generator):
    """Stands in for one on the meta device, which has none: nothing is drawn there."""

    device = META


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


def test_dropout_is_seeded_on_the_device_of_the_model(two_cards: list[torch.Generator]) -> None:
    run = TrainState(make_spec({"dataset": "digits", "model": "mlp"}), load("digits"), torch.device("cpu"))
    generators = [torch.default_generator, *two_cards]
    before = [one.get_state() for one in generators]
    run.oracle.device = torch.device("cuda:1")
    with run.oracle._same_masks():
        seed = two_cards[1].initial_seed()
        torch.rand(1)  # whoever draws on the CPU meanwhile leaves no trace either
        assert torch.equal(before[1], two_cards[0].get_state())
    assert all(torch.equal(state, one.get_state()) for state, one in zip(before, generators, strict=True))
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
    run = TrainState(spec, load("digits"), torch.device("cpu"))
    run.sampler.begin_epoch(0, lambda at, kind: torch.rand(len(at)))
    if sampler == "importance":
        run.sampler.weights = torch.rand(len(run.labels))
    loader = type(run.loader)(spec, run.dataset, run.parts, META)
    run.sampler.device = META
    loader.begin_epoch(0, run.sampler.steps, spec.batch_size)
    loader.batch(run.sampler.draw(0, lambda at, kind: torch.rand(len(at))), 0)
    run.sampler.settings |= {"refresh": 0}  # scores come from the steps
    with Operations() as counted:
        draw = run.sampler.draw(1, lambda at, kind: torch.rand(len(at)))
        batch = loader.batch(draw, 1)
        run.sampler.observe(draw, lambda kind: torch.rand(64, device=META))
    assert batch.images.device == META
    assert bool(counted.moved) == (sampler == "presample")


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_batches_augmented_together_are_those_augmented_one_by_one(sampler: str, drop_last: bool) -> None:
    spec = make_spec(
        {"dataset": "digits", "sampler": sampler, "augment": "crop:1,flip,cutout:2", "drop_last": drop_last}
    )
    run = TrainState(spec, load("digits"), torch.device("cpu"))
    run.begin_epoch(0)
    draws = [run.sampler.draw(step, run.score) for step in range(run.sampler.steps)]
    run.loader.at_once = 1
    alone = [run.batch(draw, step) for step, draw in enumerate(draws)]
    run.loader.at_once = 4
    for step in (1, 0, *range(2, len(draws))):  # from the middle of some, as a resumed run does
        together = run.batch(draws[step], step)
        assert torch.equal(together.images, alone[step].images)
        assert together.images.stride() == alone[step].images.stride()


FAST = {"sgd", "sam", "gsam", "asam", "m_sam", "ae_sam"}


@pytest.mark.parametrize(
    "info", [pytest.param(i, id=i.name, marks=[pytest.mark.slow] * (i.name not in FAST)) for i in list_variants()]
)
def test_no_step_waits_for_the_host(info: VariantInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole step of the loop on the meta device, whose values nobody can read: nothing goes there or comes back.

    But for the places and decisions of batches that a rule asks for beyond its own, which are sent without waiting.
    """
    monkeypatch.setattr(StepRule, "noise", lambda self: MetaGenerator())
    spec = make_spec(
        {"variant": info.name, "dataset": "digits", "model": "wrn10_1", "augment": "crop:1,flip", "batch_size": 64}
    )
    run = TrainState(spec, load("digits"), META)
    run.model.train()
    run.begin_epoch(0)

    def step(number: int) -> None:
        draw = run.sampler.draw(number, run.score)
        run.oracle.bind(run.batch(draw, number), epoch=0, step=number, more=run.fresh)
        run.set_schedules()
        run.loss_sum += run.optimizer.step(run.oracle)
        run.note_passes()
        run.oracle.finish_step()
        run.sampler.observe(draw, run.oracle.scores)
        run.step += 1

    with Operations() as counted:
        if info.synchronizes:  # its branch on a value is what the meta device refuses
            with pytest.raises(RuntimeError, match="item"):
                step(0)
            assert "aten._local_scalar_dense.default" in counted.moved
            return
        step(0)
        counted.moved.clear()  # what an epoch costs
        step(1)
    assert set(counted.moved) == ({"aten._to_copy.default"} if "fresh" in info.needs else set())


@pytest.mark.parametrize(
    ("model", "variant", "most"),
    [
        pytest.param(model, variant, most, marks=[pytest.mark.slow] * (variant == "m_sam" or model != "wrn16_4"))
        for model, bars in MOST_LAUNCHES.items()
        for variant, most in zip(("sgd", "sam", "gsam", "asam", "m_sam"), bars, strict=True)
    ],
)
def test_launches_of_a_step(model: str, variant: str, most: int) -> None:
    with META:
        network = _construct(model, Task(10, 3, 32, "batch"))
    optimizer = create(variant, network, lr=0.1, momentum=0.9, weight_decay=5e-4, foreach=True)
    oracle = ClassificationOracle(network)
    labels = torch.zeros(128, dtype=torch.long, device=META)
    batch = Batch(torch.empty(128, 3, 32, 32, device=META), labels, labels)
    counted = Operations()
    for step in range(2):  # the first one makes what is kept
        counted.launches = 0
        with counted:
            oracle.bind(batch, epoch=0, step=step)
            optimizer.step(oracle)
            oracle.finish_step()
    assert 0.95 * most <= counted.launches <= most  # torch may change a few


@pytest.mark.parametrize(("model", "most"), [("wrn16_4", 2), ("wrn28_10", 3)])
def test_freezing_running_statistics_takes_three_launches(model: str, most: int) -> None:
    network = build(model, classes=10, seed=0).to(META)
    statistics = RunningStatistics(network)
    with Operations() as counted, statistics.frozen():
        pass
    with Operations() as again, statistics.frozen():
        pass
    assert counted.launches == again.launches == most  # one copies all (75 of WRN-28-10), one puts back 64
