"""What a GPU makes of this package, in nine minutes: one call, a short table, and a JSON file to keep.

    python benchmarks/speed/gpu.py [--cpu] [--output FILE]

Each line is a number beside what it should be at least or at most. A part that fails or finds no time left says so, and
the others go on. ``--cpu`` is the same script on small networks, in less than a minute: it shows that it works.
"""

import argparse
import contextlib
import datetime
import json
import math
import os
import statistics
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from sambench.benchmarks.models import forward_flops_of
from sambench.benchmarks.precision import arithmetic, autocast, best_precision
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.spec import RunSpec
from sambench.benchmarks.training.environment import describe_environment
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.benchmarks.training.turns import in_turns
from sambench.datasets.dataset import Dataset, build
from sambench.errors import Interrupted
from sambench.results.records.store import Store
from sambench.variants import list_variants

BUDGET, END = 8.5 * 60, 9 * 60
"""Seconds after which no further line begins, and after which the script ends whatever runs, with what it has."""
BATCH = 128


@dataclass
class Line:
    """A measured number.

    Attributes:
        what: what was measured.
        value: the number, or None where there is none.
        unit: of the number.
        bar: what it should be at most, or with ``least`` at least; None where nothing was asked of it.
        least: whether more is better.
        note: why there is no number.
    """

    what: str
    value: float | None
    unit: str = ""
    bar: float | None = None
    least: bool = False
    note: str = ""

    def verdict(self) -> str:
        if self.value is None or self.bar is None:
            return self.note
        word = "holds" if (self.value >= self.bar if self.least else self.value <= self.bar) else "MISSED"
        return f"{word}: {self.note}" if self.note else word


class Bench:
    """What the parts measure with.

    Args:
        device: device to measure.
        scale: names of the networks that stand for WRN-28-10, 16-4 and 16-1.
    """

    def __init__(self, device: torch.device, scale: tuple[str, str, str]):
        self.device, self.cuda = device, device.type == "cuda"
        self.large, self.middle, self.small = scale
        self.precision = best_precision(device)
        self.steps = 20 if self.cuda else 3
        self.data = noise(BATCH * 30 if self.cuda else 160)
        self.peak = math.nan
        """Operations a second of the matrix product, once it was measured."""

    def spec(self, model: str, variant: str = "sam", **fields: Any) -> RunSpec:
        small = {} if self.cuda else {"batch_size": 32}
        given = {"precision": self.precision, "augment": "crop:4,flip", "epochs": 100, **small, **fields}
        return make_spec({"variant": variant, "dataset": "noise", "model": model, **given})

    def run(self, model: str, variant: str = "sam", **options: Any) -> TrainState:
        made = TrainState(self.spec(model, variant), self.data, self.device, **options)
        made.model.train()
        made.begin_epoch(0)
        return made

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, *sides: Callable[[], object], rounds: int = 5, times: int = 1) -> list[float]:
        """Return the least seconds of each side, taken in turns; each is called ``times`` times in a round."""
        taken: list[list[float]] = [[] for _ in sides]
        for number in range(rounds + 1):
            for side, mine in zip(sides, taken, strict=True):
                self.wait()
                start = time.perf_counter()
                for _ in range(times):
                    side()
                self.wait()
                if number:
                    mine.append((time.perf_counter() - start) / times)
        return [min(mine) for mine in taken]


def noise(count: int) -> Dataset:
    """Ten classes of patterns under noise, of CIFAR's shape."""
    stream = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 10
    patterns = torch.randint(64, (10, 3, 32, 32), generator=stream)
    images = (patterns[labels] + torch.randint(192, (count, 3, 32, 32), generator=stream)).to(torch.uint8)
    return build("noise", (images, labels), (images[:100], labels[:100]), tuple("abcdefghij"))


def step_of(run: TrainState) -> Callable[[], torch.Tensor]:
    """Return what makes one step of the loop, batch and all; an epoch is begun again when it is over."""

    def step() -> torch.Tensor:
        number = run.step % run.sampler.steps
        draw = run.sampler.draw(number, run.score)
        run.oracle.bind(run.batch(draw, number), epoch=0, step=run.step, more=run.fresh)
        run.set_schedules()
        loss = run.make_step()
        run.loss_sum += loss
        run.note_passes()
        run.oracle.finish_step()
        run.step += 1
        return loss

    return step


def gradient_of(run: TrainState) -> Callable[[], None]:
    """Return what takes one bare gradient of a ready batch."""
    batch = run.batch(run.sampler.draw(0, run.score), 0)

    def gradient() -> None:
        run.model.zero_grad(set_to_none=True)
        with autocast(run.spec.precision, run.device):
            logits = run.model(batch.images)
        F.cross_entropy(logits.float(), batch.labels).backward()

    return gradient


def ceilings(bench: Bench) -> Iterator[Line]:
    side, count = (8192, 2**28) if bench.cuda else (512, 2**22)
    factor = torch.randn(side, side, device=bench.device, dtype=torch.bfloat16 if bench.cuda else torch.float32)
    (product,) = bench.seconds(lambda: factor @ factor, times=10)
    bench.peak = 2 * side**3 / product
    yield Line("matrix product", bench.peak / 1e12, "TFLOP/s")
    source = torch.empty(count, device=bench.device)
    target = torch.empty_like(source)
    (copied,) = bench.seconds(lambda: target.copy_(source), times=10)
    yield Line("copy", 8 * count / copied / 1e9, "GB/s")


def waits(bench: Bench) -> Iterator[Line]:
    if not bench.cuda:
        yield Line("waits of a step", None, note="only a GPU is waited for")
        return
    step = step_of(bench.run(bench.small))
    for _ in range(3):
        step()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(5):
                step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = [str(one.message).splitlines()[0] for one in caught if "synchroniz" in str(one.message)]
    yield Line("waits of a step", len(found) / 5, "", 0.0, note="; ".join(sorted(set(found))))


def eager(bench: Bench) -> Iterator[Line]:
    for model, bar in ((bench.large, 1.02), (bench.middle, None), (bench.small, None)):
        run = bench.run(model)
        gradient = gradient_of(bench.run(model))
        steps, bare = bench.seconds(step_of(run), gradient, times=bench.steps)
        yield Line(f"sam {model}, a step over two bare gradients", steps / (2 * bare), "", bar if bench.cuda else None)
        yield Line(f"sam {model}, a step", steps * 1e3, "ms")


def graphs(bench: Bench) -> Iterator[Line]:
    if not bench.cuda:
        yield Line("graph against eager", None, note="a CPU has no graphs")
        return
    for model, bar in ((bench.middle, 0.75), (bench.small, 0.3)):
        plain, graphed = bench.run(model), bench.run(model, cuda_graph=True)
        alone, recorded = bench.seconds(step_of(plain), step_of(graphed), times=bench.steps)
        assert graphed.graph is not None
        yield Line(f"sam {model}, graph over eager", recorded / alone, "", bar, note=graphed.graph.reason)
        yield bits_of_graph(f"sam {model}, graph and eager have the same bits", plain, graphed)


def bits_of_graph(what: str, plain: TrainState, graphed: TrainState) -> Line:
    """Compare two runs of the same steps; where no graph was replayed, nothing is shown, and the line says why."""
    assert graphed.graph is not None
    if not graphed.graph.replayed:
        return Line(what, None, "", 1.0, least=True, note=f"NO GRAPH: {graphed.graph.reason or 'none was replayed'}")
    return Line(what, float(plain.weights_digest() == graphed.weights_digest()), "", 1.0, least=True)


def together(bench: Bench) -> Iterator[Line]:
    """Runs that take turns in one process, each on a stream of its own, against one."""
    count, steps = (8, 300) if bench.cuda else (3, 3)
    digests = set[str]()

    def steps_a_second(runs: int) -> float:
        ready, errors, began = set[int](), list[Exception](), 0.0

        def make(number: int, hand_on: Callable[[], None]) -> None:
            nonlocal began
            try:
                run = bench.run(bench.small, cuda_graph=bench.cuda)
                step = step_of(run)
                for made in range(2 * steps):
                    if made == steps:  # all that is recorded has been
                        ready.add(number)
                        while len(ready) < runs and not errors:
                            hand_on()
                        began = began or time.perf_counter()
                    step()
                    hand_on()
                digests.add(run.weights_digest())
            except Exception as error:
                errors.append(error)

        with in_turns(runs, make, bench.device) as put:
            for number in range(runs):
                put(number)
        bench.wait()
        if errors:
            raise errors[0]
        return runs * steps / (time.perf_counter() - began)

    alone = steps_a_second(1)
    many = steps_a_second(count) / alone
    what = f"sam {bench.small}, {count} runs in one process"
    yield Line(f"{what}, steps over those of one", many, "", 3.0 if bench.cuda else None, least=True)
    yield Line(f"{what}, bits of the run alone", float(len(digests) == 1), "", 1.0, least=True)


def every_graph(bench: Bench) -> Iterator[Line]:
    if not bench.cuda:
        return
    for info in list_variants():
        plain, graphed = bench.run("wrn10_1", info.name), bench.run("wrn10_1", info.name, cuda_graph=True)
        for run in (plain, graphed):
            step = step_of(run)
            for _ in range(12):
                step()
        yield bits_of_graph(f"{info.name}: graph, bits of eager", plain, graphed)


def compiled(bench: Bench) -> Iterator[Line]:
    plain = bench.run(bench.large)
    made = bench.run(bench.large, compiler="inductor" if bench.cuda else "eager")
    alone, fused = bench.seconds(step_of(plain), step_of(made), times=bench.steps)
    spec = plain.spec
    forward = forward_flops_of(bench.large, classes=10, channels=3, image_size=32)
    share = 2 * 3 * spec.batch_size * forward / fused / bench.peak  # two passes, each three times the forward one
    yield Line(f"sam {bench.large}, a compiled step", fused * 1e3, "ms", 23.0 if bench.cuda else None)
    measured = share if math.isfinite(share) else None  # the matrix product may have failed
    yield Line("... its share of the matrix product", measured, "", 0.47 if bench.cuda else None, least=True)
    minutes = 50_000 * 200 / spec.batch_size * fused / 60
    yield Line(f"... 200 epochs of CIFAR by sam {bench.large}", minutes, "min", 30.0 if bench.cuda else None)
    yield Line(f"sam {bench.large}, compiled over eager", fused / alone)


def resumed(bench: Bench) -> Iterator[Line]:
    half = 12  # steps on both sides of the stop: a graph is watched, warmed up and recorded before it is replayed
    spec = make_spec({"variant": "fsam", "dataset": "digits", "model": "wrn10_1", "subset": 256, "epochs": half})
    with tempfile.TemporaryDirectory() as folder:
        stores = [Store(Path(folder, name)) for name in ("whole", "stopped")]
        record = partial(run_spec, spec, device=bench.device, cuda_graph=bench.cuda)
        whole = record(store=stores[0])

        def stop(run: TrainState) -> None:
            if run.step == half:
                raise Interrupted("stopped")

        began, replayed = list[int](), list[int]()

        def look(run: TrainState) -> Callable[[TrainState], None]:
            began.append(run.step)
            return lambda run: replayed.append(run.graph.replayed if run.graph else 0)

        with contextlib.suppress(Interrupted):
            record(store=stores[1], watch=lambda run: stop, checkpoint_seconds=0)
            raise AssertionError("it was not stopped")
        same = record(store=stores[1], watch=look).weights == whole.weights
    note = "" if began[0] else "it began anew"
    note += "no graph was replayed after it" if bench.cuda and not replayed[-1] else ""
    held = float(same and not note)
    yield Line("a run that was stopped ends in the same bits", held, "", 1.0, least=True, note=note)


def trains(bench: Bench) -> Iterator[Line]:
    run = bench.run(bench.middle)
    step = step_of(run)
    count = 120 if bench.cuda else 30
    losses = [step() for _ in range(count)]
    first, last = (float(torch.stack(part).mean()) for part in (losses[:3], losses[-3:]))
    yield Line(f"sam {bench.middle}, loss after {count} steps over the first", last / first, "", 1.0)


def precisions(bench: Bench) -> Iterator[Line]:
    losses: dict[str, float] = {}
    for precision in ("fp32", "bf16", "fp16") if bench.cuda else ("fp32", "bf16"):
        run = TrainState(bench.spec(bench.small, precision=precision), bench.data, bench.device)
        run.model.train()
        run.begin_epoch(0)
        with arithmetic(precision, bench.device):
            step = step_of(run)
            losses[precision] = statistics.fmean(float(step()) for _ in range(10 if bench.cuda else 3))
    for precision, loss in losses.items():
        if precision != "fp32":
            yield Line(f"sam {bench.small}, {precision} loss off fp32", abs(loss / losses["fp32"] - 1), "", 0.05)


PARTS = (ceilings, waits, eager, graphs, together, compiled, resumed, trains, precisions, every_graph)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--cpu", action="store_true", help="small networks on the CPU")
    parser.add_argument("--output", type=Path, help="JSON file")
    asked = parser.parse_args()
    device = torch.device("cpu" if asked.cpu else "cuda")
    bench = Bench(device, ("wrn10_2", "wrn10_1", "wrn10_1") if asked.cpu else ("wrn28_10", "wrn16_4", "wrn16_1"))
    began, lines = time.monotonic(), list[Line]()
    environment = describe_environment(device).model_dump(mode="json")

    def write() -> None:
        if asked.output:
            date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            found = {"date": date, "environment": environment, "lines": [asdict(line) for line in lines]}
            asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    def give_up() -> None:  # what hangs in a compiler or a driver hears no signal
        try:
            print(f"no time was left: ended after {END:g} s", flush=True)
            write()
        finally:
            os._exit(1)

    watchdog = threading.Timer(END, give_up)
    watchdog.daemon = True
    watchdog.start()
    with arithmetic("fp32", device):
        for part in PARTS:
            try:
                if time.monotonic() - began > BUDGET:
                    raise TimeoutError("no time was left")
                for line in part(bench):
                    lines.append(line)
                    number = "-" if line.value is None else f"{line.value:.4g}"
                    bar = "" if line.bar is None else f"({'>=' if line.least else '<='} {line.bar:g})"
                    print(f"{line.what:60} {number:>10} {line.unit:8} {bar:10} {line.verdict()}", flush=True)
                    if time.monotonic() - began > BUDGET:
                        raise TimeoutError("no time was left")
            except Exception as error:
                lines.append(Line(part.__name__, None, note=f"{type(error).__name__}: {error}".splitlines()[0]))
                print(f"{part.__name__}: {lines[-1].note}", flush=True)
                if not isinstance(error, TimeoutError):
                    traceback.print_exc()
    watchdog.cancel()
    write()
    if asked.cpu and any(line.value is None and "Error" in line.note for line in lines):
        raise SystemExit("a part of the script does not work")
    if asked.cpu and (missed := [line.what for line in lines if line.verdict().startswith("MISSED")]):
        raise SystemExit(f"what a CPU shows as well does not hold: {', '.join(missed)}")


if __name__ == "__main__":
    main()
