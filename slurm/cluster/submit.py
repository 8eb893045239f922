"""Submission: jobs become arrays, each with one call of sbatch, through submitit."""

import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...atomic import write_failure
from ...errors import ConfigError, SambenchError, StateError
from ..options import RunOptions
from . import commands as scheduler
from .job import Job
from .packing import Packed, chunks
from .profile import Profile, parse_minutes
from .snapshot import take_snapshot
from .submission import Array, Submission, new_submission, write_submission

_START = """\
#!/bin/sh
# How the jobs of this launch start Python: with the code that was submitted, whatever became of its original.
trap '' USR2 TERM  # until Python listens: a signal that comes earlier must not end the job
export PYTHONPATH={code}${{PYTHONPATH:+:$PYTHONPATH}}
{exports}exec {python} -P "$@"
"""
NOTHING = "Nothing was submitted"
_REFUSALS = (
    "partition",
    "not available",
    "invalid",
    "violates",
    "limit",
    "exceed",
    "memory specification",
    "more proc",
)


def submit(
    results: Path,
    suite: str,
    jobs: tuple[Packed, ...],
    profile: Profile,
    options: RunOptions,
    tell: Callable[[str], None],
    delay: int = 0,
    payload: Callable[[str, tuple[tuple[int, int], ...]], object] = Job,
    measures: Sequence[str] = (),
) -> Submission:
    """Write the folder of a submission, and submit its jobs as arrays.

    Args:
        results: the folder of the store; all nodes must see it under this path.
        suite: name of the suite, or of the run that is measured.
        jobs: the runs of every job.
        profile: resources to ask SLURM for.
        options: how runs are made; device and threads are taken from the profile.
        tell: is given one line of text for every array that was submitted.
        delay: least seconds before the jobs start.
        payload: makes what a job does of the folder and of where its runs lie in ``runs.jsonl``.
        measures: labels of what jobs measure, where that is what they do.

    Raises:
        ConfigError: SLURM or submitit is not here, or SLURM refuses the request.
        StateError: the folder cannot be written.
    """
    scheduler.check_present()
    if ":" in str(results.absolute()):  # jobs import the code that is kept there, by PYTHONPATH
        raise ConfigError(
            f"{results.absolute()} has a colon, which no path to Python code can have: name another folder"
        )
    submitit = _submitit()
    most = scheduler.max_array_size()
    launch, under_way = new_submission(results, f"{'measure-' if measures else ''}{suite}"), ""
    try:
        plugins = take_snapshot(launch.code, options.plugins)
        there = replace(
            options,
            results=launch.results,
            device=profile.job_device,
            threads=profile.threads,
            devices=profile.devices,
            data_root=str(Path(options.data_root).absolute()) if options.data_root else None,
            plugins=plugins,
        )
        spans = write_submission(launch, suite, jobs, profile, there, measures)
        _write_start(launch)
        payloads = [payload(str(launch.folder), places) for places in spans]
        arrays = chunks(len(jobs), most)
        in_turn = profile.array_parallelism < len(arrays)  # beside each other they would have a job each
        parameters = _parameters(profile, delay, max(1, profile.array_parallelism // len(arrays)))
        with scheduler.clean_environment(_options(profile)):
            executor = submitit.SlurmExecutor(
                folder=launch.jobs_folder, max_num_timeout=10**6, python=f"sh {shlex.quote(str(launch.start))}"
            )
            launch.jobs_folder.mkdir()
            executor.update_parameters(**parameters, job_name=launch.name(0))
            _try_out(executor, launch, profile)
            _check_time(profile)
            for number, (first, count) in enumerate(arrays):
                under_way = launch.name(number)
                if in_turn and number:
                    parameters["additional_parameters"]["dependency"] = f"afterany:{launch.arrays()[-1].id}"
                executor.update_parameters(**parameters, job_name=under_way)
                made = executor.submit_array(payloads[first : first + count])
                array = Array(made[0].job_id.split("_")[0], first, count)
                launch.add_array(array)
                under_way = ""
                tell(f"submitted {count} jobs as {'array' if count > 1 else 'job'} {array.id}")
    except submitit.core.utils.FailedSubmissionError as error:
        raise StateError(f"sbatch gave no job id: {error}; look into squeue before launching again") from error
    except (submitit.core.utils.UncompletedJobError, OSError) as error:
        done = launch.arrays()
        ready = f"{sum(a.count for a in done)} of {len(jobs)} jobs were submitted before" if done else NOTHING
        ready += _take_back(launch, under_way)
        if isinstance(error, OSError):
            raise write_failure(error, launch.folder) from error
        raise ConfigError(explain(str(error), profile, ready)) from error
    except (SambenchError, KeyboardInterrupt):
        _take_back(launch, under_way)
        raise
    return launch


def _take_back(launch: Submission, name: str) -> str:
    """Undo what was not noted of a submission that failed: sbatch may have taken an array before it said so.

    Args:
        launch: the submission.
        name: of the array that was being submitted; empty if there was none.

    Returns:
        What to say where nobody knows whether its jobs are gone.
    """
    doubt = ""
    if name:
        try:
            scheduler.cancel_named(name)
        except SambenchError:
            doubt = f", unless SLURM took the last ones nevertheless: `scancel --name={name}` once it answers"
    if launch.arrays():
        _remove_unsubmitted(launch)
    else:
        shutil.rmtree(launch.folder, ignore_errors=True)
    return doubt


def explain(message: str, profile: Profile, submitted: str = NOTHING) -> str:
    """Turn sbatch's refusal into what was asked for, what would be valid, what was submitted, and the way out."""
    reason = " ".join(
        re.sub(r"^\s*(sbatch: )?(error: |allocation failure: )*", "", line).strip()
        for line in message.splitlines()
        if line.strip()
    ).removeprefix("Batch job submission failed: ")
    low = message.lower()
    if "partition" in low and "invalid partition" in low:
        valid = ", ".join(sorted(scheduler.time_limits().keys() - {"*"})) or "see sinfo"
        return f"SLURM does not know partition {profile.partition!r}; valid: {valid}. {submitted}."
    if any(words in low for words in ("contact slurm", "unable to contact", "connection refused", "timed out")):
        return f"SLURM does not answer: {reason}. {submitted}; try again when its controller is up."
    asked = ", ".join(
        f"{key}={value}"
        for key, value in profile.model_dump(exclude_defaults=True).items()
        if key in ("partition", "account", "qos", "constraint", "gres", "gpus", "cpus", "memory_gb", "time", "extra")
    )
    return f"SLURM refuses the request ({asked or 'all defaults'}): {reason}. {submitted}."


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError("launching on SLURM needs submitit: pip install 'submitit>=1.5'") from error
    return submitit


def _parameters(profile: Profile, delay: int, parallelism: int) -> dict[str, Any]:
    """Translate a profile into the parameters of submitit's executor, for arrays of which each has so many at once."""
    extra: dict[str, Any] = {**profile.extra, "requeue": True}
    if delay:
        extra["begin"] = f"now+{delay}"
    return {
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "gres": profile.gres,
        "gpus_per_node": -(-profile.job_gpus // profile.nodes) or None,
        "cpus_per_task": profile.cpus_per_task,
        "mem": f"{math.ceil(profile.memory_gb * 1024 / profile.nodes)}M" if profile.memory_gb else None,  # of a node
        "time": profile.minutes,
        "nodes": profile.nodes,
        "ntasks_per_node": profile.tasks_per_node,
        "signal_delay_s": profile.warning_seconds,
        "array_parallelism": parallelism,
        "setup": ["set -e", *profile.setup],
        "stderr_to_stdout": True,
        "wckey": None,
        # Newer versions of srun forget the CPUs that sbatch was told; a task that fails ends those that wait for it.
        "srun_args": ["--export=ALL", f"--cpus-per-task={profile.cpus_per_task}", "--kill-on-bad-exit=1"],
        "additional_parameters": extra,
    }


def _options(profile: Profile) -> set[str]:
    named = {name for name in ("partition", "account", "qos", "constraint", "gres") if getattr(profile, name)}
    if profile.memory_gb:
        named |= {"mem_per_node", "mem_per_cpu", "mem_per_gpu"}
    if profile.charged_gpus:
        named |= {"gpus", "gpus_per_task", "gpus_per_socket", "cpus_per_gpu", "gres"}
    return named | set(profile.extra)


def _write_start(launch: Submission) -> None:
    """Write how jobs start Python; the settings of this project travel with it, also where ``--export=NONE`` rules."""
    exports = "".join(
        f"export {name}={shlex.quote(value)}\n"
        for name, value in sorted(os.environ.items())
        if name.startswith("SAMBENCH_")
    )
    text = _START.format(code=shlex.quote(str(launch.code)), exports=exports, python=shlex.quote(sys.executable))
    launch.start.write_text(text)


def _try_out(executor: Any, launch: Submission, profile: Profile) -> None:
    """Ask SLURM whether it would take the job: many clusters let an impossible request wait for ever.

    Raises:
        ConfigError: it would not.
    """
    script = launch.folder / "test-only.sh"
    script.write_text(executor._make_submission_file_text("true", ""))
    try:
        done = subprocess.run(
            ["sbatch", "--test-only", str(script)], capture_output=True, text=True, timeout=scheduler.COMMAND_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise scheduler.NoAnswer(
            f"sbatch did not answer within {scheduler.COMMAND_TIMEOUT} s; nothing was submitted"
        ) from None
    finally:
        script.unlink(missing_ok=True)
    if done.returncode and any(word in done.stderr.lower() for word in _REFUSALS):
        raise ConfigError(explain(done.stderr, profile))


def _check_time(profile: Profile) -> None:
    """Compare the time with what the partitions allow: SLURM may take a longer job, and let it wait for ever.

    A quality of service may lift the limit of a partition, so that with one nothing is said here.

    Raises:
        ConfigError: no partition asked for allows it.
    """
    limits, partition = scheduler.time_limits(), profile.partition or os.environ.get("SBATCH_PARTITION")
    asked = [limits[name] for name in (partition or "*").split(",") if name in limits]
    lifted = profile.qos or os.environ.get("SBATCH_QOS")
    if asked and not lifted and profile.minutes > max(map(_most_minutes, asked)):
        most = f"partition {partition or 'by default'} allows {', '.join(asked)}"
        reason = f"{most}. What a job does not finish in its time is checkpointed and requeued"
        raise ConfigError(f"SLURM refuses the request (time={profile.time}): {reason}. {NOTHING}.")


def _most_minutes(limit: str) -> float:
    """Read a partition's limit; one that is ``infinite``, ``n/a`` or longer than any job may ask for limits nothing."""
    try:
        return parse_minutes(limit)
    except ConfigError:
        return math.inf


def _remove_unsubmitted(launch: Submission) -> None:
    """Remove the payloads of jobs that sbatch did not take; those of jobs have the job's id in their names."""
    for path in launch.jobs_folder.glob("*.pkl"):
        if not path.name.endswith("_submitted.pkl"):
            path.unlink(missing_ok=True)
