"""One suite on the cluster: launched as users launch, watched through what they can see, finished or found out."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from sambench.results.records.store import Store

from .cluster import Cluster, Job
from .configuration import PREEMPTIBLE
from .daemons import wait_until
from .evidence import Step, read_journal

PLUGIN = Path(__file__).parent / "watched.py"
SPEC = """
[spec]
dataset = "digits"
model = "wrn10_1"
split = "holdout"
subset = 128
batch_size = 32
"""
PLAIN = f"""\
title = "Ten variants, four seeds"
seeds = [0, 1, 2, 3]
{SPEC}
epochs = 2
[[runs]]
grid = {{ variant = ["sgd", "sam", "usam", "asam", "gsam", "fsam", "is_sam", "looksam", "esam", "unified_sam"] }}
"""
"""Forty runs of eight steps: nothing happens to them."""


def watched(runs: int, epochs: int = 10) -> str:
    """Return a suite of runs of four steps an epoch that can be watched; their seeds tell them apart."""
    return f"""\
title = "Runs that are disturbed"
seeds = {list(range(runs))}
{SPEC}
epochs = {epochs}
augment = "crop:1,flip"
[[runs]]
variant = "watched"
"""


_SHIM = """\
#!/bin/sh
case " $* " in *" --test-only "*) ;; *) echo "$*" >> {log} ;; esac
exec {real} "$@"
"""
"""Stands before sbatch on PATH and counts: questions whether a job would be taken are no submissions."""


@dataclass
class Lab:
    """A suite, a results folder, and a cluster to make it on.

    Args:
        cluster: where.
        folder: everything lies here; it stands for the file system that all nodes share.
        suite: the text of the suite.
        pause: seconds that a step of a watched run sleeps.
        options: of every launch.
    """

    cluster: Cluster
    folder: Path
    suite: str
    pause: float = 0.0
    options: tuple[str, ...] = ()
    results: Path = field(init=False)
    said: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.results = self.folder / "results"
        self.file = self.folder / "suite.toml"
        self.file.write_text(self.suite)
        self.plugins = ("--plugin", str(PLUGIN)) if "watched" in self.suite else ()
        self.counter = self.folder / "submissions"
        shim = self.folder / "bin" / "sbatch"
        shim.parent.mkdir()
        shim.write_text(_SHIM.format(log=self.counter, real=shutil.which("sbatch")))
        shim.chmod(0o755)

    # -- what a user does --------------------------------------------------------------------------------------

    def sambench(self, command: str, *options: str, fails: bool = False, **changes: str) -> str:
        """Run a command on the suite and return what it prints; with ``fails``, it must refuse."""
        done = subprocess.run(**self.call(command, *options, **changes), capture_output=True, text=True, timeout=300)
        self.said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, f"sambench {command} {' '.join(options)}:\n{self.said[-4000:]}"
        assert "Traceback" not in self.said, self.said[-4000:]
        return self.said

    def call(self, command: str, *options: str, **changes: str) -> dict:
        """Return the arguments of ``subprocess`` for a command, so that a test may run two at once."""
        suite = [str(self.file)] if command not in ("leaderboard", "logs", "merge") else []
        plugins = self.plugins if command not in ("leaderboard", "logs", "merge") else ()
        environment = {
            **self.cluster.environment,
            "SAMBENCH_TEST_JOURNAL": str(self.folder / "journal"),
            "SAMBENCH_TEST_PAUSE": str(self.pause),
            "SAMBENCH_CACHE": str(self.folder / "cache"),
            "COLUMNS": "200",
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{self.cluster.environment['PATH']}",
            **changes,
        }
        command_line = [sys.executable, "-P", "-m", "sambench", command, *suite]
        return {
            "args": [*command_line, "--results", str(self.results), *plugins, *options],
            "env": environment,
            "cwd": self.folder,
        }

    def launch(self, *options: str, **changes: str) -> str:
        """Launch on the cluster: two jobs at a time, in the partition that gives way."""
        return self.sambench("launch", *self.launch_options, *options, **changes)

    @property
    def launch_options(self) -> tuple[str, ...]:
        usual = ("--partition", PREEMPTIBLE, "--array-parallelism", "2", "--signal-seconds", "10", "--time", "0:30:00")
        return ("--on", "slurm", *usual, "--checkpoint-seconds", "1", *self.options)

    def launch_here(self) -> None:
        """Make the suite in two processes on this machine: the reference."""
        self.sambench("launch", "--on", "local", "--workers", "2", SAMBENCH_TEST_PAUSE="0")

    # -- what a user can see -----------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """Return the jobs of the launches of this results folder."""
        names = [entry.name for entry in self.results.rglob("launches/*")]  # those of a tuning have a folder of theirs
        return [job for job in self.cluster.queue() if any(name in job.name for name in names)]

    def alive(self) -> list[Job]:
        """Return the jobs that wait or run or are about to."""
        return [job for job in self.jobs() if job.waits or job.active]

    def submissions(self) -> int:
        """Return how many times sbatch was called to submit something."""
        return len(self.counter.read_text().splitlines()) if self.counter.exists() else 0

    def done(self) -> int:
        return len(Store(self.results).run_ids())

    def journal(self) -> list[Step]:
        return read_journal(self.folder / "journal")

    def wait_for_training(self, steps: int = 3, seconds: float = 240) -> Job:
        """Wait until some job has made a few steps since its start and is about to make more; return it."""
        found: list[Job] = []

        def training() -> bool:
            journal = self.journal()
            for job in (job for job in self.jobs() if job.runs):
                made = [step for step in journal if step.job == job.raw and step.restart == job.restarts]
                if len(made) >= steps and time.time() - made[-1].time < 3:
                    found.append(job)
            return bool(found)

        wait_until(training, seconds, "a job at work", every=0.2, seen=self.describe)
        return found[0]

    def finish(self, seconds: float = 1500) -> float:
        """Wait until no job is left, and return for how long; the runs need not be complete."""
        return wait_until(lambda: not self.alive(), seconds, "the jobs to end", every=0.5, seen=self.describe)

    def gap(self, job: Job) -> float:
        """Return the longest time for which a job, once it had begun, made no step, in seconds."""
        times = [step.time for step in self.journal() if step.job == job.raw]
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def since_launch(self) -> float:
        """Return the seconds from the first launch to the last record."""
        first = min(path.stat().st_mtime for path in self.results.glob("launches/*/launch.json"))
        ends = [path.stat().st_mtime for path in self.results.glob("runs/*.json")]
        assert ends, self.describe()
        return max(ends) - first

    def describe(self) -> str:
        """Say where the jobs stand, for the message of a failure."""
        jobs = "\n".join(map(str, self.jobs()))
        return f"{self.done()} runs done in {self.results}, jobs:\n{jobs}\n{self.logs()}"

    def logs(self) -> str:
        """Return the ends of the logs of all jobs."""
        paths = sorted(self.results.rglob("launches/*/jobs/*.out"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-600:]}" for path in paths)
