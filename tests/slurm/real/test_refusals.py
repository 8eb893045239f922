"""What cannot work is said before or at submission, with the way out, and never waits in silence."""

import subprocess

import pytest
from real_slurm.evidence import assert_same_runs
from real_slurm.lab import watched

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--partition", "nowhere"), ("nowhere", "low", "high", "plain")),
        (("--cpus", "1000"), ("cpus=1000",)),
        (("--memory-gb", "100000"), ("memory_gb=100000",)),
        (("--time", "30-0"), ("time=30-0",)),
        (("--gpus", "64"), ("gpus=64",)),
        (("--gres", "unicorn:1"), ("gres=unicorn:1",)),
        (("--constraint", "unicorn"), ("constraint=unicorn",)),
        (("--extra", "nodelist=nowhere"), ("nowhere",)),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, tuple) else None,
)
def test_what_slurm_refuses(options, words, lab):
    bench = lab(watched(2))
    said = bench.sambench("launch", *bench.launch_options, *options, fails=True)
    assert all(word in said for word in words), said
    assert not bench.jobs()
    assert not list(bench.results.glob("launches/*")), "nothing was submitted, so nothing stays behind"


@pytest.mark.parametrize(
    "options",
    [("--time", "30-0"), ("--cpus", "1000"), ("--gres", "unicorn:1"), ("--constraint", "unicorn")],
    ids=lambda value: "-".join(value).strip("-"),
)
def test_what_slurm_would_let_wait_for_ever(options, lab, cluster):
    """As many clusters are configured: a request beyond a partition's limits is taken, and never starts."""
    if cluster.choices.limits != "NO":
        cluster.reconfigure(limits="NO")
    bench = lab(watched(2))
    said = bench.sambench("launch", *bench.launch_options, *options, fails=True)
    assert "SLURM refuses the request" in said
    assert f"{options[0].strip('-')}={options[1]}" in said
    assert not bench.jobs()


def test_slurm_is_absent(lab, tmp_path):
    bench = lab(watched(2))
    said = bench.sambench("launch", *bench.launch_options, fails=True, PATH=str(tmp_path))
    assert "SLURM is not here" in said
    assert "--on local" in said


def test_the_controller_is_down(lab, cluster, measured):
    bench = lab(watched(2))
    cluster.daemons["slurmctld"].stop()
    said = bench.sambench("launch", *bench.launch_options, fails=True)
    assert "does not answer" in said
    cluster.start_controller()
    assert not bench.jobs()


def test_a_folder_that_may_not_be_written(lab, read_only):
    bench = lab(watched(2))
    bench.results = read_only / "results"
    said = bench.sambench("launch", *bench.launch_options, fails=True)
    assert "read-only" in said
    assert not bench.jobs()


def test_a_file_system_without_room(lab, small):
    bench = lab(watched(2))
    bench.results = small(kilobytes=64) / "results"
    said = bench.sambench("launch", *bench.launch_options, fails=True)
    assert "room for" in said or "no space left" in said
    assert not bench.jobs()


def test_a_file_system_that_fills_up(lab, small, reference):
    """Runs that cannot write fail with the reason; with room again, the same launch goes on from what is there."""
    bench = lab(watched(2), pause=0.25, options=("--runs-per-job", "2"))
    bench.results = small(kilobytes=40_000) / "results"
    bench.launch()
    bench.wait_for_training()
    ballast = bench.results.parent / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(100_000_000))
    bench.finish()
    assert bench.done() < 2
    assert "no space left" in bench.sambench("status")
    ballast.unlink()
    bench.launch()
    bench.finish()
    assert_same_runs(bench.results, reference(bench.suite))


@pytest.fixture
def small(tmp_path):
    """Mount file systems of a given size; the jobs see them like the launching process."""
    mounted = []

    def mount(kilobytes):
        folder = tmp_path / f"small{len(mounted)}"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def read_only(small):
    """A file system that nobody may write, not even root."""
    folder = small(kilobytes=1000)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    return folder
