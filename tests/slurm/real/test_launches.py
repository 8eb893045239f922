"""Arrays over four nodes, launches that meet, code that is edited after submission, ten thousand runs."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from real_slurm.configuration import ARRAY
from real_slurm.evidence import assert_same_runs, courses, without_times
from real_slurm.lab import PLAIN, PLUGIN, watched

import sambench

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def test_forty_runs_over_four_nodes(lab, reference, measured, cluster):
    bench = lab(PLAIN, options=("--runs-per-job", "4"))
    start = time.monotonic()
    bench.launch("--array-parallelism", "4")
    submitted = time.monotonic() - start
    bench.finish()
    jobs = bench.jobs()
    assert len(jobs) == 10
    assert {job.node for job in jobs} == set(cluster.choices.names)
    assert bench.submissions() == 1
    assert_same_runs(bench.results, reference(PLAIN))
    measured(runs=bench.done(), jobs=len(jobs), launch_seconds=submitted, total_seconds=bench.since_launch())
    boards = []
    for results in (bench.results, reference(PLAIN)):
        bench.sambench("leaderboard", "--results", str(results))
        boards.append(without_times((results / "boards" / "suite.md").read_text()))
    assert boards[0] == boards[1]
    assert "unified_sam" in boards[0]
    assert "40 done" in bench.sambench("status")


def test_two_launches_at_once_and_one_later(lab, reference, measured):
    bench = lab(watched(8), pause=0.25, options=("--runs-per-job", "2"))
    both = [subprocess.Popen(**bench.call("launch", *bench.launch_options)) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    bench.wait_for_training()
    said = bench.launch()  # during the arrays of the first two
    watched_lines = bench.sambench("status", "--watch").splitlines()  # ends by itself
    assert any(
        re.search(r"watched .* seed \d running +\d+/10 +\d\.\d+ +\d+\.\d% [▁-█]{2,}", line) for line in watched_lines
    )
    *_, count, advice = watched_lines
    assert count == "8 runs: 8 done"
    assert advice.startswith("next: sambench leaderboard --results ")
    bench.finish()
    assert_same_runs(bench.results, reference(bench.suite))
    went = courses(bench.journal())
    assert {course.starts for course in went.values()} == {1}
    assert {course.repeated for course in went.values()} == {0}
    measured(jobs=len(bench.jobs()), third_launch=said.count("submitted"), total_seconds=bench.since_launch())


def test_an_edit_after_submission_reaches_no_job(lab, reference):
    bench = lab(watched(2))
    package, plugin = bench.folder / "edited" / "sambench", bench.folder / "watched.py"
    ignore = shutil.ignore_patterns("tests", "runs", ".*", "__pycache__", "docs", "*.parquet")
    shutil.copytree(Path(sambench.__file__).parent, package, ignore=ignore)
    shutil.copyfile(PLUGIN, plugin)
    bench.plugins = ("--plugin", str(plugin))
    bench.launch("--extra", "hold", PYTHONPATH=str(package.parent))
    for file in (package / "variants" / "vasso.py", package / "__init__.py", plugin):
        file.write_text("raise SystemExit('this is not what was submitted')\n")
    for job in bench.jobs():
        bench.cluster.run("scontrol", "release", job.id)
    bench.finish()
    assert_same_runs(bench.results, reference(bench.suite))


def test_ten_thousand_runs(lab, measured):
    runs = 10_000
    bench = lab(watched(runs))
    seconds = {}

    def timed(command, *options):
        start = time.monotonic()
        said = bench.sambench(command, *options)
        seconds[f"{command}_seconds"] = time.monotonic() - start
        return said

    timed("plan", *bench.launch_options[:2])
    timed("launch", *bench.launch_options, "--extra", "hold")
    arrays = -(-runs // ARRAY)
    assert bench.submissions() == arrays
    assert sum(job.waits for job in bench.jobs()) == runs
    assert f"{runs:,} pending" in timed("status")
    assert f"cancelled {runs:,} jobs" in timed("cancel")
    assert not bench.alive()
    assert f"{runs:,} cancelled" in bench.sambench("status")
    measured(runs=runs, arrays=arrays, **seconds)
