"""A submission: the folder with all that its jobs need, so that nothing depends on the process that submitted them.

======================  ==================================================================================
``launch.json``         what was launched, on what, with which profile
``runs.jsonl``          the runs, one a line: spec, source of the data, estimates
``jobs.json``           which runs are in which job
``code/``               the code that was submitted, put on ``PYTHONPATH`` by ``start.sh``
``jobs/``               what submitit keeps: sbatch text, payloads, logs
``arrays.jsonl``        the arrays that were submitted, one a line: job id, first job, number of jobs
``cancelled.jsonl``     what was cancelled on request, one array a line
======================  ==================================================================================
"""

import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...atomic import atomic_write_bytes, make_folder, write_failure
from ...errors import StateError
from ..options import RunOptions
from ..plan import Planned
from .packing import Packed
from .profile import Profile

LAUNCHES = "launches"


@dataclass(frozen=True)
class Array:
    """One submitted array: the scheduler's id, and which jobs of the launch it makes.

    A single job has no index in its id; an array of ``count`` jobs has 0 to count - 1.
    """

    id: str
    first: int
    count: int

    def element(self, job: int) -> str:
        """Return the scheduler's id of a job of the launch."""
        return f"{self.id}_{job - self.first}" if self.count > 1 else self.id

    def elements(self) -> list[str]:
        """Return the scheduler's ids of all jobs of the array."""
        return [self.element(job) for job in range(self.first, self.first + self.count)]


@dataclass(frozen=True)
class Submission:
    """A submission, by its folder; the files in it are read when they are needed."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def code(self) -> Path:
        return self.folder / "code"

    @property
    def jobs_folder(self) -> Path:
        return self.folder / "jobs"

    @property
    def start(self) -> Path:
        return self.folder / "start.sh"

    @property
    def results(self) -> Path:
        return self.folder.parent.parent

    @cached_property
    def about(self) -> dict[str, Any]:
        """Suite, time of submission (seconds since the epoch), profile, options of the runs."""
        return json.loads((self.folder / "launch.json").read_text())

    @property
    def profile(self) -> Profile:
        return Profile.model_validate(self.about["profile"])

    @property
    def options(self) -> RunOptions:
        """How the jobs of this submission make their runs."""
        return RunOptions(
            results=self.results, **{**self.about["options"], "plugins": tuple(self.about["options"]["plugins"])}
        )

    @cached_property
    def jobs(self) -> list[list[str]]:
        """The run ids of every job."""
        return json.loads((self.folder / "jobs.json").read_text())

    @cached_property
    def job_of(self) -> dict[str, int]:
        """The number of the job that makes a run, by run id."""
        return {run_id: number for number, runs in enumerate(self.jobs) for run_id in runs}

    @property
    def measures(self) -> tuple[str, ...]:
        """Labels of what this launch measures of the models of its runs; none if it trains."""
        return tuple(self.about.get("measures", ()))

    def arrays(self) -> list[Array]:
        """What was submitted so far."""
        return [Array(**line) for line in self._lines("arrays.jsonl")]

    def add_array(self, array: Array) -> None:
        self._append("arrays.jsonl", asdict(array))

    def array_of(self, job: int) -> Array | None:
        """The array that a job of this launch is in, once it was submitted."""
        return next((array for array in self.arrays() if array.first <= job < array.first + array.count), None)

    def cancelled(self) -> set[str]:
        """Ids of the arrays that were cancelled on request."""
        return {line["id"] for line in self._lines("cancelled.jsonl")}

    def remember_cancelled(self, array: Array) -> None:
        self._append("cancelled.jsonl", {"id": array.id})

    def name(self, array: int) -> str:
        """Name of an array in squeue and sacct; it contains the id of the submission."""
        return f"sambench-{self.id}.{array}"

    def log(self, job: int) -> Path | None:
        """Where a job's output goes, once it was submitted."""
        array = self.array_of(job)
        return self.jobs_folder / f"{array.element(job)}_0_log.out" if array else None

    def read_runs(self, spans: tuple[tuple[int, int], ...]) -> tuple[Planned, ...]:
        """Read runs by where their lines lie in ``runs.jsonl``: (offset, length in bytes) each."""
        runs = []
        with (self.folder / "runs.jsonl").open("rb") as file:
            for offset, length in spans:
                file.seek(offset)
                runs.append(Planned.from_json(json.loads(file.read(length))))
        return tuple(runs)

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        try:
            text = (self.folder / name).read_text()
        except FileNotFoundError:
            return
        yield from (json.loads(line) for line in text.splitlines() if line.endswith("}"))

    def _append(self, name: str, content: dict[str, Any]) -> None:
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, f"{json.dumps(content)}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def new_submission(results: Path, suite: str) -> Submission:
    """Make the folder of a new submission; its name, which jobs bear too, is unique: time, suite, random characters."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    launches = make_folder(results.absolute()) / LAUNCHES
    folder = launches / f"{stamp}-{re.sub(r'[^a-zA-Z0-9_.-]+', '-', suite)[:100]}-{secrets.token_hex(3)}"
    for each in (launches, folder):
        try:
            each.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise write_failure(error, each) from error
        check_private(each)
    return Submission(folder)


def check_private(folder: Path) -> None:
    """Make sure that nobody else can change a folder: jobs execute the payloads and the code in it.

    Raises:
        StateError: others can write it, it belongs to somebody else, or it is a link.
    """
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid in (os.geteuid(), 0) and not found.st_mode & 0o022:
        return
    raise StateError(
        f"{folder} ({stat.filemode(found.st_mode)}, of user {found.st_uid}) can be written by others, and jobs execute "
        "what is in it: look at what it holds, then `chmod 700` it, or name another folder with --results"
    )


def list_submissions(results: Path) -> list[Submission]:
    """Return the launches under a results folder, the newest last.

    Raises:
        StateError: there is something else than a folder.
    """
    if results.exists() and not results.is_dir():
        raise StateError(f"{results} is not a folder of results; name one with --results")
    folder = results.absolute() / LAUNCHES
    if not (folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)):  # none, or those of another user
        return []
    found = [Submission(entry) for entry in sorted(folder.iterdir()) if (entry / "launch.json").is_file()]
    return sorted(found, key=lambda launch: launch.about["created"])


def write_submission(
    launch: Submission,
    suite: str,
    jobs: tuple[Packed, ...],
    profile: Profile,
    options: RunOptions,
    measures: Sequence[str] = (),
) -> list[tuple[tuple[int, int], ...]]:
    """Write down what is launched, and return for every job where its runs lie in ``runs.jsonl``."""
    lines, spans, offset = [], [], 0
    for job in jobs:
        places = []
        for run in job.runs:
            line = json.dumps(run.to_json()).encode() + b"\n"
            places.append((offset, len(line)))
            lines.append(line)
            offset += len(line)
        spans.append(tuple(places))
    ids = [[run.spec.run_id for run in job.runs] for job in jobs]
    about = {
        "suite": suite,
        "created": time.time(),
        "profile": profile.model_dump(mode="json"),
        "measures": list(measures),
        "options": {key: value for key, value in asdict(options).items() if key != "results"},
    }
    atomic_write_bytes(launch.folder / "runs.jsonl", b"".join(lines))
    atomic_write_bytes(launch.folder / "jobs.json", json.dumps(ids).encode())
    atomic_write_bytes(launch.folder / "launch.json", json.dumps(about, indent=1).encode())
    return spans
