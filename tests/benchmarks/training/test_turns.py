"""Threads that take turns: in order, each on a stream of its own, with the process's settings as it left them."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from sambench.benchmarks.precision import arithmetic, describe_arithmetic
from sambench.benchmarks.training import step_recorder
from sambench.benchmarks.training.meters import RUNS_IN_PROCESS, Clock, PeakMemory
from sambench.benchmarks.training.turns import in_turns

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


def together(count: int, step: Callable[[int, int], object], steps: int = 4, places: int = 3) -> list[int]:
    """Make steps of so many things, of which as many as there are places begin together; return whose they were."""
    begun, order = set[int](), list[int]()

    def make(number: int, hand_on: Callable[[], None]) -> None:
        begun.add(number)
        while len(begun) < places:
            hand_on()
        for at in range(steps):
            step(number, at)
            order.append(number)
            hand_on()

    with in_turns(places, make, CPU) as put:
        for number in range(count):
            put(number)
    return order


def test_turns_go_round_and_a_free_place_takes_what_is_next() -> None:
    order = together(5, lambda number, at: None)
    assert {*order[:3]} == {0, 1, 2}
    assert order[:3] * 4 == order[:12]
    assert {*order[12:14]} == {3, 4}
    assert order[12:14] * 4 == order[12:]


def test_nobody_computes_out_of_turn() -> None:
    """A step that lets go of the interpreter in its middle is not interrupted by the step of another."""
    inside: list[int] = []

    def step(number: int, at: int) -> None:
        inside.append(number)
        threading.Event().wait(0.001)
        inside.append(number)

    together(4, step)
    assert inside[::2] == inside[1::2]


@pytest.fixture
def _as_it_was() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.mark.usefixtures("_as_it_was")
def test_each_has_its_own_arithmetic_and_random_numbers() -> None:
    precisions = ("fp32", "tf32", "bf16", "tf32")
    said = {"fp32": "float32 ieee", "tf32": "float32 tf32", "bf16": "float32 ieee"}
    before = describe_arithmetic(CUDA)
    blocks = {number: contextlib.ExitStack() for number in range(4)}
    drawn: dict[int, list[float]] = {number: [] for number in range(4)}

    def step(number: int, at: int) -> None:
        if at == 0:
            assert describe_arithmetic(CUDA) == before
            blocks[number].enter_context(arithmetic(precisions[number], CUDA))
            assert torch.default_generator.initial_seed() == 7
        assert describe_arithmetic(CUDA) == f"{said[precisions[number]]}, cuDNN deterministic"
        drawn[number].append(float(torch.rand(1)))
        if at == 3:
            blocks[number].close()

    torch.default_generator.manual_seed(7)
    together(4, step)
    torch.default_generator.manual_seed(7)
    alone = [float(torch.rand(1)) for _ in range(4)]
    assert list(drawn.values()) == [alone] * 4
    assert describe_arithmetic(CUDA) == before


def test_threads_are_told_how_many_share_the_process_and_its_number_of_threads() -> None:
    def step(number: int, at: int) -> None:
        assert RUNS_IN_PROCESS.get() == 3
        assert PeakMemory(CPU).bytes() is None
        assert torch.get_num_threads() == 2

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together(3, step)
    finally:
        torch.set_num_threads(before)
    assert RUNS_IN_PROCESS.get() == 1
    assert PeakMemory(CPU).bytes() is not None


class Stream:
    """Stands in for a stream of a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.waited = device, list[object]()

    def wait_stream(self, other: object) -> None:
        self.waited.append(other)

    def synchronize(self) -> None:
        self.waited.append("host")


def test_each_thread_computes_on_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = threading.local()

    @contextlib.contextmanager
    def stream(one: Stream) -> Iterator[None]:
        entered.stream = one
        yield
        del entered.stream

    monkeypatch.setattr(torch.cuda, "default_generators", [torch.Generator()])
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: f"default of {device}")
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: entered.stream)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: pytest.fail("it waits for the others"))
    found: dict[int, list[Stream]] = {}

    def make(number: int, hand_on: Callable[[], None]) -> None:
        found[number] = []
        while len(found) < 2:
            hand_on()
        clock = Clock(CUDA)
        clock.start()
        for _ in range(3):
            found[number].append(entered.stream)
            hand_on()
        clock.stop()

    with in_turns(2, make, CUDA) as put:
        for number in range(3):
            put(number)
    streams = [{*of_one} for of_one in found.values()]
    assert [len(one) for one in streams] == [1, 1, 1]
    assert streams[0] != streams[1]
    assert streams[2] in streams[:2]  # the place has it, and memory that was cached for it
    for one in streams[0] | streams[1]:
        assert one.device == CUDA
        assert one.waited[0] == "default of cuda:0"
        assert {*one.waited[1:]} == {"host"}


def test_recordings_of_two_streams_are_made_on_two_and_those_of_one_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    present = [Stream(CUDA), Stream(CUDA)]
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    found = []
    for one in present * 20:
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device, one=one: one)
        found.append(step_recorder.CudaRecorder(CUDA).stream)
    step_recorder._beside.cache_clear()
    assert found == found[:2] * 20
    assert len({*found, *present}) == 4
