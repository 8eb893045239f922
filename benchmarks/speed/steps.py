"""What a step of each variant costs beside its gradients, in docs/performance.md: machine, versions and date with it.

    python benchmarks/speed/steps.py [--rounds N] [--output docs/performance.md]

Every rule and its peers get gradients of WRN-16-1 that are made ready, in turns, and the least time of many counts: so
it is the rule's own work. What a step with the base optimizer alone takes is subtracted. A rule that asks more of its
closure than gradients has no such number.

Beside it every variant trains WRN-10-1 by the harness, batch 32, and a step, batch and all, is held against the bare
gradient evaluations that it counts, a forward pass alone as a third of one.
"""

import argparse
import datetime
import os
import re
import statistics
import time
from collections.abc import Callable
from copy import copy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from gpu import Bench, gradient_of, step_of
from torch import Tensor, nn

from sambench.benchmarks.models import build
from sambench.benchmarks.training.environment import describe_environment
from sambench.errors import ConfigError
from sambench.markdown import table
from sambench.variants import create, list_variants

BASE = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
MARKS = "<!-- steps: begin -->", "<!-- steps: end -->"
STEPS = 10
"""Steps whose evaluations are averaged: some rules make two passes in some of them alone."""
WATCHED = 8
"""Steps in which a rule shows how many passes it makes at most."""
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sam": ("SAM", {}),
    "asam": ("SAM", {"adaptive": True}),
    "fsam": ("FriendlySAM", {}),
    "wsam": ("WSAM", {}),
}
"""Variants that pytorch-optimizer makes in two calls, its name of them and what it makes them with."""
Step = Callable[[], bool]
"""Makes a step, and returns whether it had as many passes as the longest."""


class Ready:
    """A network whose gradient is made ready once, and handed out as often as a closure is called."""

    def __init__(self) -> None:
        self.model: nn.Module = build("wrn16_1", classes=10, seed=0).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        loss = F.cross_entropy(self.model(images.contiguous(memory_format=torch.channels_last)), torch.arange(16) % 10)
        self.params = list(self.model.parameters())
        self.gradients = torch.autograd.grad(loss, self.params)
        self.loss, self.calls = loss.detach(), 0

    def __call__(self, **_: Any) -> Tensor:
        self.calls += 1
        for p, g in zip(self.params, self.gradients, strict=True):
            p.grad = g.clone()  # nobody else has it, as after a backward pass
        return self.loss


def base_alone(passes: int) -> Step:
    ready = Ready()
    optimizer = torch.optim.SGD(ready.params, **BASE)

    def step() -> bool:
        for _ in range(passes):
            ready()
        optimizer.step()
        return True

    return step


def ours(name: str) -> tuple[Step, int] | None:
    """Return what makes a step of a variant, and its passes; None where it needs more than a plain closure."""
    ready = Ready()
    optimizer = create(name, ready.model, **BASE)
    passes = 0

    def step() -> bool:
        ready.calls = 0
        optimizer.step(ready)
        return ready.calls == passes

    try:
        for _ in range(WATCHED):
            step()
            passes = max(passes, ready.calls)
    except ConfigError:
        return None
    return step, passes


def peer(name: str, **how: Any) -> Step:
    import pytorch_optimizer

    ready = Ready()
    model = {"model": ready.model} if name == "WSAM" else {}
    make: Any = getattr(pytorch_optimizer, name)
    optimizer = make(**model, params=ready.params, base_optimizer=torch.optim.SGD, **how, **BASE)

    def step() -> bool:
        ready()
        optimizer.first_step()
        ready()
        optimizer.second_step()
        return True

    return step


def over_bare(rounds: int) -> dict[str, float]:
    """Return for every variant the time of a step over that of its bare gradient evaluations: the median of rounds, in
    each of which both are taken in turns and evaluations counted."""
    bench = Bench(torch.device("cpu"), ("wrn10_1",) * 3)
    found = {}
    for info in list_variants():
        run, ratios = bench.run("wrn10_1", info.name), list[float]()
        step, gradient = step_of(run), gradient_of(bench.run("wrn10_1"))
        for number in range(rounds + 1):
            before = copy(run.oracle.counters)
            steps, bare = (_seconds(side) for side in (step, gradient))
            gradients = run.oracle.counters.gradient_evaluations - before.gradient_evaluations
            forwards = run.oracle.counters.forward_evaluations - before.forward_evaluations
            if number:
                ratios.append(steps * STEPS / (bare * (gradients + forwards / 3)))
        found[info.name] = statistics.median(ratios)
    return found


def _seconds(side: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        side()
    return time.perf_counter() - start


def measured(sides: dict[str, Step], rounds: int) -> dict[str, float]:
    least = dict.fromkeys(sides, float("inf"))
    other = torch.empty(8_000_000)
    for _ in range(rounds):
        for name, side in sides.items():
            other.add_(1)  # caches hold something else, as after a pass
            start = time.perf_counter()
            if side():
                least[name] = min(least[name], time.perf_counter() - start)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path("docs/performance.md"))
    asked = parser.parse_args()
    found = {info.name: ours(info.name) for info in list_variants()}
    rules = {name: one for name, one in found.items() if one is not None}
    sides = {name: step for name, (step, _) in rules.items()}
    sides |= {f"base {passes}": base_alone(passes) for passes in {passes for _, passes in rules.values()}}
    sides |= {f"peer {name}": peer(theirs, **how) for name, (theirs, how) in PEERS.items()}
    least, ratios = measured(sides, asked.rounds), over_bare(max(1, asked.rounds // 30))
    rows = []
    for name, ratio in ratios.items():
        passes = rules[name][1] if name in rules else 0
        base = least.get(f"base {passes}", 0.0)
        own, theirs = (f"{(least[side] - base) * 1e3:.2f}" if side in least else "–" for side in (name, f"peer {name}"))
        rows.append([name, str(passes or "–"), own, theirs, f"{ratio:.2f}"])
    if (load := os.getloadavg()[1]) > (os.cpu_count() or 1):
        raise SystemExit(f"this machine does other work, at a load of {load:.0f}: nothing is written")
    here = describe_environment(torch.device("cpu"))
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    columns = ["Variant", "Passes", "Added ms", "pytorch-optimizer, added ms", "Step over bare evaluations"]
    lines = table(columns, rows, left=["Variant"])
    peers = f"pytorch-optimizer {version('pytorch-optimizer')}"
    where = f"{here.device_name}, {here.threads} thread(s), torch {here.torch}, {peers}"
    made = f"{where}, {date}; least of {asked.rounds}."
    begin, end = MARKS
    page = asked.output.read_text(encoding="utf-8")
    asked.output.write_text(
        re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{made}\n\n{lines}\n{end}", page, flags=re.DOTALL),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
