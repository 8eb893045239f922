"""Submission: the sbatch text, few calls, arrays below the limit, a clean environment, refusals that say why."""

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import fake_slurm
import pytest

from sambench.errors import ConfigError, StateError
from sambench.results.records.store import Store
from sambench.slurm.cluster import commands as scheduler
from sambench.slurm.cluster.packing import pack
from sambench.slurm.cluster.profile import Profile
from sambench.slurm.cluster.submission import Submission, list_submissions
from sambench.slurm.cluster.submit import submit
from sambench.slurm.options import RunOptions
from sambench.slurm.plan import Planned

GOLDEN = Path(__file__).parent / "golden"


def planned(suite):
    return tuple(Planned(spec, None, 6, 6.0, 0.0, 1.0) for spec in suite.specs)


@pytest.fixture
def launch(cluster, tiny_suite, tmp_path):
    """Submit a suite of so many seeds and return the launch; what it told is in ``launch.told``."""

    def make(seeds=3, plugins=(), delay=0, **fields):
        suite = tiny_suite(*({"seed": seed} for seed in range(seeds)))
        profile = Profile.model_validate(fields)
        options = RunOptions(tmp_path / "r", plugins=tuple(plugins))
        jobs = pack(planned(suite), profile.runs_per_job, profile.at_a_time)
        told = []
        made = submit(tmp_path / "r", "tiny", jobs, profile, options, told.append, delay)
        object.__setattr__(made, "told", told)
        return made

    return make


FULL = {
    "partition": "gpu",
    "account": "physics",
    "qos": "normal",
    "constraint": "a100",
    "gpus": 2,
    "cpus": 6,
    "memory_gb": 24.5,
    "time": "1-06:00:00",
    "signal_seconds": 300,
    "array_parallelism": 7,
    "runs_per_job": 2,
    "setup": ("module load cuda",),
    "extra": {"reservation": "workshop", "exclusive": True},
}


@pytest.mark.parametrize(
    ("name", "seeds", "fields"),
    [
        ("defaults", 1, {}),
        ("array", 3, {"time": "90"}),
        ("everything", 5, FULL),
        ("gres", 1, {"gres": "gpu:a100:1"}),
        ("devices", 1, {"gpus": 1, "devices": 4, "nodes": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_text_for_sbatch_is_the_golden_one(launch, name, seeds, fields):
    """Compare with files under version control; after a wanted change, `SAMBENCH_GOLDEN=1 pytest` writes them anew."""
    made = launch(seeds, **fields)
    text = next(made.jobs_folder.glob("*_submission.sh")).read_text()
    text = text.replace(str(made.folder), "LAUNCH").replace(made.id, "ID").rstrip() + "\n"
    place = GOLDEN / f"{name}.sh"
    if os.environ.get("SAMBENCH_GOLDEN"):
        place.write_text(text)
    assert text == place.read_text()


def test_calls_of_sbatch_grow_with_arrays_alone(launch, cluster, monkeypatch):
    monkeypatch.setattr(scheduler, "max_array_size", lambda: 8)
    made = launch(20)
    assert fake_slurm.calls() == ["--test-only", "", "", ""]
    assert [(array.first, array.count) for array in made.arrays()] == [(0, 7), (7, 7), (14, 6)]
    ids = [run_id for job in made.jobs for run_id in job]
    assert len(ids) == len(set(ids)) == 20
    assert len(fake_slurm.jobs()) == 20
    assert len(made.told) == 3


def test_the_limit_is_asked_from_the_cluster(cluster):
    assert scheduler.max_array_size() == fake_slurm.DEFAULTS["MaxArraySize"]


def test_payloads_are_ids_and_paths_alone(launch):
    """A job's payload names its launch and where its runs are written; nothing of the process that submitted it."""
    made = launch(3)
    for number, path in enumerate(sorted(made.jobs_folder.glob("*_submitted.pkl"))):
        payload = pickle.loads(path.read_bytes()).function
        assert (payload.folder, len(payload.spans)) == (str(made.folder), 1)
        (run,) = made.read_runs(payload.spans)
        assert [run.spec.run_id] == made.jobs[number]
        assert path.stat().st_size < 1000


def test_a_launch_says_what_was_launched(launch):
    made = launch(2, partition="gpu", threads=3)
    assert json.loads((made.folder / "launch.json").read_text())["suite"] == "tiny"
    assert made.profile.partition == "gpu"
    assert (made.options.threads, made.options.device, made.options.results) == (3, "cpu", made.folder.parent.parent)
    assert [there.id for there in list_submissions(made.results)] == [made.id]


def test_the_environment_of_the_submitting_job_does_not_leak(launch, monkeypatch):
    """Launched from within a job: nothing of that job, and nothing that would overrule the profile, gets through."""
    leaks = {
        "SLURM_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_NTASKS": "8",
        "SRUN_DEBUG": "3",
        "SUBMITIT_FOLDER": "/elsewhere",
        "RANK": "5",
        "WORLD_SIZE": "8",
        "SBATCH_PARTITION": "nowhere",
        "SBATCH_TIMELIMIT": "1",
        "SBATCH_ARRAY_INX": "0-99",
        "SBATCH_MEM_PER_NODE": "100",
        "SBATCH_MEM_PER_CPU": "100",
        "SBATCH_GPUS": "8",
        "SBATCH_GRES": "gpu:8",
    }
    kept = {"SLURM_CONF": "/etc/slurm.conf", "SBATCH_ACCOUNT": "mine", "SAMBENCH_X": "a b"}
    for name, value in {**leaks, **kept}.items():
        monkeypatch.setenv(name, value)
    made = launch(2, partition="gpu", memory_gb=2, gpus=1)
    for job in fake_slurm.jobs():
        environment = json.loads(job["environment"])
        assert not leaks.keys() & environment.keys()
        assert kept.items() <= environment.items()
    assert leaks.items() <= os.environ.items()
    assert "export SAMBENCH_X='a b'\n" in made.start.read_text()


def test_a_delay_is_asked_of_the_scheduler(launch):
    made = launch(1, delay=120)
    assert "#SBATCH --begin=now+120" in next(made.jobs_folder.glob("*_submission.sh")).read_text()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"partition": "nope"}, r"does not know partition 'nope'; valid: debug, gpu"),
        ({"gpus": 64}, r"refuses the request \(gpus=64\): Requested node configuration is not available"),
        ({"time": "8-0"}, r"refuses the request \(time=8-0\): partition by default allows 7-00:00:00"),
        ({"time": "8-0", "partition": "debug,gpu"}, r"partition debug,gpu allows 7-00:00:00, 7-00:00:00"),
    ],
)
def test_a_refusal_says_what_was_asked_and_leaves_nothing(launch, tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        launch(2, **fields)
    assert list_submissions(tmp_path / "r") == []
    assert not list((tmp_path / "r" / "launches").iterdir())
    assert not fake_slurm.jobs()


@pytest.mark.parametrize(
    ("limit", "fields", "environment"),
    [
        ("infinite", {}, ""),
        ("n/a", {}, ""),
        ("1000-00:00:00", {}, ""),
        ("1:00:00", {"qos": "long"}, ""),
        ("1:00:00", {}, "SBATCH_QOS"),
    ],
)
def test_a_time_that_may_be_allowed_is_asked_for(launch, cluster, monkeypatch, limit, fields, environment):
    if environment:
        monkeypatch.setenv(environment, "long")
    settings = json.loads((cluster / "settings.json").read_text())
    (cluster / "settings.json").write_text(json.dumps({**settings, "time_limit": limit}))
    assert len(launch(1, time="8-0", **fields).arrays()) == 1


def test_the_limit_is_that_of_the_partition_that_the_environment_names(launch, monkeypatch):
    limits = {"*": "1:00:00", "debug": "1:00:00", "gpu": "7-00:00:00"}
    monkeypatch.setattr(scheduler, "time_limits", lambda: limits)
    with pytest.raises(ConfigError, match="partition by default allows 1:00:00"):
        launch(1, time="4:00:00")
    monkeypatch.setenv("SBATCH_PARTITION", "gpu")
    assert len(launch(1, time="4:00:00").arrays()) == 1


def test_memory_is_that_of_the_job_and_asked_for_of_each_node(launch):
    made = launch(1, gpus=1, devices=4, nodes=2, memory_gb=24)
    assert "#SBATCH --mem=12288M\n" in next(made.jobs_folder.glob("*_submission.sh")).read_text()


def test_a_refusal_in_the_middle_keeps_what_was_submitted(launch, cluster, monkeypatch, tmp_path):
    """The second array hits a limit: the first one is there, and no payload of the second is left behind."""
    monkeypatch.setattr(scheduler, "max_array_size", lambda: 2)
    script = cluster / "sbatch"
    script.write_text(
        script.read_text().replace(
            "exec",
            f'if [ "$(wc -l < {cluster}/calls.txt)" = 2 ]; then echo "sbatch: error: Batch job submission '
            'failed: Job violates accounting/QOS policy" >&2; exit 1; fi\nexec',
            1,
        )
    )
    (cluster / "calls.txt").touch()
    with pytest.raises(ConfigError, match=r"violates accounting/QOS policy.*2 of 4 jobs were submitted before") as told:
        launch(4)
    assert "Nothing was submitted" not in str(told.value)
    (made,) = list_submissions(tmp_path / "r")
    assert [array.count for array in made.arrays()] == [2]
    assert len(list(made.jobs_folder.glob("*.pkl"))) == 2


def test_an_interrupt_takes_back_what_was_not_noted_yet(launch, cluster, monkeypatch, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Submission, "add_array", stop)
    with pytest.raises(KeyboardInterrupt):
        launch(3)
    assert [job["state"] for job in fake_slurm.jobs()] == ["CANCELLED"] * 3
    assert not list_submissions(tmp_path / "r")


def failing_after_it_took_the_job(script, number, text):
    """Let the call of sbatch with this number take the array, and then fail."""
    script.write_text(
        script.read_text().replace(
            "exec",
            f'if [ "$(wc -l < {script.parent}/calls.txt)" = {number} ]; then\n'
            f'"{sys.executable}" -S -E "{fake_slurm.__file__}" sbatch "$@" > /dev/null\n'
            f'echo "{text}" >&2; exit 1\nfi\nexec',
            1,
        )
    )
    (script.parent / "calls.txt").touch()


@pytest.mark.parametrize("number", [1, 2])
def test_no_job_is_left_of_what_sbatch_took_without_saying_so(launch, cluster, monkeypatch, number):
    """The answer of a busy controller may come too late: the array is in the queue all the same."""
    monkeypatch.setattr(scheduler, "max_array_size", lambda: 2)
    failing_after_it_took_the_job(cluster / "sbatch", number, "Socket timed out on send/recv operation")
    before = "Nothing was submitted" if number == 1 else "2 of 4 jobs were submitted before"
    with pytest.raises(ConfigError, match=f"SLURM does not answer: Socket timed out.*{before}; try again"):
        launch(4)
    states = [job["state"] for job in fake_slurm.jobs()]
    assert states == ["PENDING"] * 2 * (number - 1) + ["CANCELLED"] * 2


def test_what_cannot_be_taken_back_is_told(launch, cluster):
    failing_after_it_took_the_job(cluster / "sbatch", 1, "Socket timed out")
    (cluster / "scancel").write_text('#!/bin/sh\necho "Unable to contact slurm controller" >&2; exit 1\n')
    with pytest.raises(ConfigError, match=r"unless SLURM took the last ones nevertheless: `scancel --name=sambench-"):
        launch(1)


def test_arrays_wait_for_one_another_where_each_has_more_jobs_than_may_run(launch, monkeypatch):
    monkeypatch.setattr(scheduler, "max_array_size", lambda: 2)
    made = launch(3, array_parallelism=1)
    texts = {p.name: p.read_text() for p in sorted(made.jobs_folder.glob("*_submission.sh"))}
    waits = [re.findall("--dependency=(.*)", text) for text in texts.values()]
    assert sorted(waits) == sorted([[], *([f"afterany:{array.id}"] for array in made.arrays()[:-1])])


def test_a_folder_that_python_cannot_import_from_is_refused(tiny_suite, cluster, tmp_path):
    jobs = pack(planned(tiny_suite({})))
    folder = tmp_path / "12:00"
    with pytest.raises(ConfigError, match="has a colon"):
        submit(folder, "tiny", jobs, Profile.model_validate({}), RunOptions(folder), print)


def test_arrays_share_the_jobs_that_may_run_at_once(launch, monkeypatch):
    monkeypatch.setattr(scheduler, "max_array_size", lambda: 2)
    made = launch(4, array_parallelism=2)
    texts = [path.read_text() for path in made.jobs_folder.glob("*_submission.sh")]
    assert texts
    assert all("--array=0-1%1\n" in text for text in texts)


def test_without_slurm_the_message_says_so(launch, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"SLURM is not here: sbatch, squeue.*--on local"):
        launch(1)


def test_without_submitit_the_message_says_so(launch, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match="needs submitit: pip install"):
        launch(1)


def test_a_controller_that_is_down_is_told(launch, cluster):
    for name in ("scontrol", "sbatch"):
        (cluster / name).write_text(
            '#!/bin/sh\necho "Unable to contact slurm controller (connect failure)" >&2; exit 1\n'
        )
    with pytest.raises(scheduler.NoAnswer, match=r"does not answer: Unable to contact slurm controller.*try again"):
        launch(1)


def test_a_command_that_hangs_is_told(cluster, monkeypatch):
    (cluster / "squeue").write_text("#!/bin/sh\nsleep 30\n")
    monkeypatch.setattr(scheduler, "COMMAND_TIMEOUT", 0.2)
    with pytest.raises(scheduler.NoAnswer, match="did not answer within"):
        scheduler.queue(["x"])


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_submitted(launch, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sambench.slurm.cluster.snapshot.shutil.copyfile", full)
    with pytest.raises(StateError, match="no space left"):
        launch(1)
    assert not list((tmp_path / "r" / "launches").iterdir())


def test_jobs_start_python_with_the_code_that_was_submitted(launch, tmp_path):
    """The start script imports the copy, even where the current folder holds a checkout by the package's own name."""
    plugin = tmp_path / "mine.py"
    plugin.write_text("VALUE = 1\n")
    made = launch(1, plugins=(str(plugin),))
    plugin.write_text("VALUE = 2\n")
    (tmp_path / "cwd" / "sambench").mkdir(parents=True)
    (tmp_path / "cwd" / "sambench" / "__init__.py").write_text("raise RuntimeError('the wrong code')\n")
    done = subprocess.run(
        ["sh", str(made.start), "-c", "import sambench; print(sambench.__file__)"],
        cwd=tmp_path / "cwd",
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).parent == made.code / "sambench"
    assert Path(made.options.plugins[0]).read_text() == "VALUE = 1\n"


def test_submitting_leaves_records_of_a_store_alone(launch, tmp_path):
    launch(1)
    assert Store(tmp_path / "r").run_ids() == []


def test_submitit_still_has_the_texts_that_are_relied_on(launch):
    """What is not public in submitit, and used: the text of the script, and the names of payloads."""
    import submitit

    assert re.match(r"1\.\d+", submitit.__version__)
    assert callable(submitit.SlurmExecutor._make_submission_file_text)
