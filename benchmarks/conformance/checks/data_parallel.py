"""Check 9, last part: two processes that average their gradients over half batches make the steps of one process.

All variants of a call share one pair of processes, since starting it costs more than all their steps.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ....errors import SambenchError
from ....variants import VariantInfo, get_info, load_plugin
from ....variants.settings import small
from ...training.probe import Net, Probe
from ..check import Failed, check
from ..testbed import distance, same_bits

STEPS = 6
RANKS = 2
TOLERANCE = 1e-10
JOIN_TIMEOUT = timedelta(seconds=30)
"""How long a process waits for the other one in a collective; a variant whose ranks disagree on it hangs."""
START, EACH = 120.0, 2.0
"""Seconds that the pair may take to start, and for each variant."""
BY_SAMPLE = {"subset", "losses", "logits", "ids"}
"""Needs of rules that treat samples by themselves: on half a batch they do something else."""

Outcome = list[Tensor] | str
"""Weights of each rank, or what went wrong."""
_outcomes: dict[str, Outcome] = {}


class Half(Probe):
    """A trial on this rank's half of every batch, its gradients averaged with the other rank's."""

    def __init__(self, info: VariantInfo, rank: int):
        super().__init__(info, small(info), model=DistributedDataParallel(Net("layer", torch.float64)))
        self.batches = tuple(batch[rank::RANKS] for batch in self.batches)


def work(rank: int, folder: str | Path) -> None:
    """Be one rank: go through the variants listed in the folder and leave the weights of each there."""
    folder = Path(folder)
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=RANKS, timeout=JOIN_TIMEOUT
    )
    for name, file in json.loads((folder / "variants.json").read_text()):
        try:
            info = _get(name, file)
            trial = Half(info, rank)
            trial.step(STEPS)
            outcome: Any = [trial.weights()]
        except Exception as error:  # whatever it is belongs into the table, under this variant's name
            outcome = f"{type(error).__name__}: {error}"
        torch.save(outcome, folder / f"{name}.{rank}.part")
        (folder / f"{name}.{rank}.part").rename(folder / f"{name}.{rank}.pt")
        if isinstance(outcome, str):
            return  # the other rank may be waiting in a collective: a fresh pair goes on with the next variant
    torch.distributed.destroy_process_group()


def _get(name: str, file: str) -> VariantInfo:
    try:
        return get_info(name)
    except SambenchError:
        load_plugin(file)
        return get_info(name)


def prepare(names: Sequence[str]) -> None:
    """Run these variants in pairs of processes, as few pairs as possible, and keep what came out."""
    left = [name for name in names if name not in _outcomes]
    while left:
        with tempfile.TemporaryDirectory() as folder:
            told = _run_pair(left, Path(folder))
            first = left[0]
            for name in list(left):
                files = [Path(folder) / f"{name}.{rank}.pt" for rank in range(RANKS)]
                found = [torch.load(file, weights_only=True) for file in files if file.exists()]
                complaints = [outcome for outcome in found if isinstance(outcome, str)]
                if len(found) == RANKS and not complaints:
                    _outcomes[name] = [weights for (weights,) in found]
                elif complaints or name == first:
                    _outcomes[name] = "; ".join(dict.fromkeys(complaints)) or f"the processes ended: {told}"
                else:
                    break
                left.remove(name)


def _run_pair(names: list[str], folder: Path) -> str:
    """Start both ranks, wait for them, and return the last line that one of them complained with."""
    jobs = [(name, get_info(name).source_file()) for name in names]
    (folder / "variants.json").write_text(json.dumps(jobs))
    deadline = time.monotonic() + START + EACH * len(names)
    ranks: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(RANKS):
            program = f"from {__name__} import work; work({rank}, {str(folder)!r})"
            with (folder / f"{rank}.log").open("wb") as log:
                ranks.append(subprocess.Popen([sys.executable, "-c", program], stderr=log))
        for process in ranks:
            process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "timed out"
    finally:
        for process in ranks:
            process.kill()
            process.wait()
    lines = [(folder / f"{rank}.log").read_text(errors="replace").strip().splitlines() for rank in range(RANKS)]
    return next((found[-1] for found in lines if found), "without a word")


@check(9, "ddp", "two processes on half batches make the steps of one process", prepare)
def works_distributed(info: VariantInfo) -> str:
    prepare([info.name])
    outcome = _outcomes[info.name]
    if isinstance(outcome, str):
        raise Failed(outcome)
    if not same_bits(*outcome):
        apart = distance(*outcome)
        raise Failed(f"after {STEPS} steps the ranks' weights differ by {apart:.2g}: something local decides the step")
    if by_sample := sorted(BY_SAMPLE.intersection(info.needs)):
        return (
            f"ranks agree to the bit; not compared with one process, since it treats samples by {', '.join(by_sample)}"
        )
    alone = Probe(info, small(info))
    alone.step(STEPS)
    difference = distance(outcome[0], alone.weights())
    if not difference <= TOLERANCE:
        raise Failed(f"after {STEPS} steps a weight differs from that of one process by {difference:.2g}")
    return f"ranks agree to the bit; largest difference from one process {difference:.1g} after {STEPS} steps"
