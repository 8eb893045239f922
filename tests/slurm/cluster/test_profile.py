"""Profiles, packing and what a plan says about both."""

from types import SimpleNamespace

import pytest

from sambench.cli.plan import _detectable
from sambench.errors import ConfigError
from sambench.slurm.cluster.packing import Packed, chunks, pack
from sambench.slurm.cluster.profile import PROFILES, Profile, load_profile, parse_minutes
from sambench.slurm.executor import SlurmExecutor
from sambench.slurm.plan import Plan, Planned
from sambench.slurm.resources import check_room, disk_bytes, resources, tell_full


@pytest.mark.parametrize("name", PROFILES.names())
def test_shipped_profiles_are_valid_and_name_nobody(name):
    profile = load_profile(name, {})
    assert profile.title
    assert (profile.account, profile.partition, profile.qos) == (None, None, None)
    assert profile.threads == 1  # as on a laptop: the same bits


def test_options_replace_fields_and_extras_are_merged(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('time = "60"\ngpus = 2\n[extra]\nmail-type = "END"\n')
    profile = load_profile(str(path), {"time": "2:00:00", "extra": {"nice": "100"}})
    assert (profile.minutes, profile.gpus, profile.extra) == (120, 2, {"mail-type": "END", "nice": "100"})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gpuu", {}, "did you mean 'gpu'"),
        ("nowhere.toml", {}, "does not exist"),
        (None, {"time": "soon"}, "time 'soon' is not valid"),
        (None, {"gpus": "-1", "runs_per_job": "0"}, r"(?s)gpus=.*runs_per_job="),
        (None, {"time": f"{10**20}-0"}, "is not valid"),
        (None, {"time": "400-0"}, "366 days are the most"),
        (None, {"time": "٣٠"}, "is not valid"),
        (None, {"partition": "a\n#SBATCH --x"}, "no control characters"),
        (None, {"setup": ["module load a\nrm"]}, "no control characters"),
        (None, {"extra": {"a\nb": "x"}}, "no control characters"),
        (None, {"extra": {"gpus-per-task": 1}}, "gpus-per-task cannot be given: the fields gpus and devices say it"),
        (None, {"extra": {"array": "0-3"}}, "array cannot be given: every launch has its own"),
        (None, {"extra": {"no-requeue": True}}, "no-requeue cannot be given: jobs are requeued"),
        (None, {"gpus": True}, "gpus=True"),
        (None, {"cpus": 10**20}, "cpus=1000"),
        (None, {"memory_gb": float("nan")}, "memory_gb=nan"),
        (None, {"threads": "²"}, "threads='²'"),
        (None, {"partitions": "x"}, r"valid fields: title, partition"),
    ],
)
def test_what_is_wrong_is_told_at_once(name, options, message):
    with pytest.raises(ConfigError, match=message):
        load_profile(name, options)


@pytest.mark.parametrize("text", ["gpus = " + "9" * 5000, "x = " + "[" * 5000, "gpus = 0x" + "f" * 5000])
def test_a_profile_that_is_no_toml(text, tmp_path):
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_profile(str(tmp_path / "p.toml"), {})


@pytest.mark.parametrize("kind", ["directory", "pipe", "link to itself", "10 MB"])
def test_a_profile_that_is_no_file(kind, tmp_path, hostile_file):
    with pytest.raises(ConfigError, match=r"p\.toml' (cannot be read|does not exist)"):
        load_profile(str(hostile_file(tmp_path / "p.toml", kind)), {})


def test_a_profile_that_is_no_text(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'partition = "\xff"')
    with pytest.raises(ConfigError, match="TOML in UTF-8"):
        load_profile(str(tmp_path / "latin.toml"), {})


@pytest.mark.parametrize("text", ["", "0", "0:30", "1:2:3:4", "2h", "-5"])
def test_times_that_slurm_would_not_read(text):
    with pytest.raises(ConfigError, match="is not valid"):
        parse_minutes(text)


@pytest.mark.parametrize(
    ("fields", "device", "at_a_time"),
    [
        ({}, "cpu", 1),
        ({"gpus": 1}, "cuda", 1),
        ({"gres": "gpu:1"}, "cuda", 1),
        ({"gres": "gpu:a100:2", "runs_per_gpu": 2, "runs_per_job": 8}, "cuda", 4),
        ({"gres": "shard:1"}, "auto", 1),
        ({"gpus": 1, "device": "cpu"}, "cpu", 1),
        ({"gpus": 2, "runs_per_gpu": 3, "runs_per_job": 20}, "cuda", 6),
        ({"runs_per_gpu": 3, "runs_per_job": 2}, "cpu", 2),
    ],
)
def test_devices_and_runs_at_a_time(fields, device, at_a_time):
    profile = Profile.model_validate(fields)
    assert (profile.job_device, profile.at_a_time) == (device, at_a_time)


@pytest.mark.parametrize(
    "fields",
    [
        {"gpus": 4, "runs_per_job": 16, "runs_per_gpu": 4},
        {"gres": "gpu:4", "runs_per_job": 16, "runs_per_gpu": 4},
        {"runs_per_job": 4, "runs_per_gpu": 4},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_track_t_makes_one_run_at_a_time(fields):
    alone = SlurmExecutor(Profile.model_validate(fields)).alone(1).profile
    assert (alone.at_a_time, alone.processes, alone.array_parallelism) == (1, 1, 1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"devices": 4}, (0, 4, 1)),
        ({"devices": 4, "gpus": 1, "cpus": 6}, (4, 4, 2)),
        ({"devices": 8, "nodes": 2, "gpus": 1, "threads": 3}, (8, 4, 3)),
    ],
)
def test_a_run_on_several_devices_has_a_task_for_each(fields, expected):
    profile = Profile.model_validate(fields)
    assert (profile.job_gpus, profile.tasks_per_node, profile.cpus_per_task) == expected
    assert profile.at_a_time == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus": 1, "runs_per_gpu": 17, "runs_per_job": 17}, "or for a process each with isolate"),
        ({"devices": 2, "runs_per_job": 4}, "a job of its own"),
        ({"devices": 3, "nodes": 2}, "spread evenly"),
    ],
)
def test_devices_that_cannot_be_had(options, message):
    with pytest.raises(ConfigError, match=message):
        load_profile(None, options)


@pytest.mark.parametrize(
    ("fields", "gpus"),
    [
        ({}, 0),
        ({"gpus": 2}, 2),
        ({"gres": "gpu"}, 1),
        ({"gres": "gpu:2"}, 2),
        ({"gres": "gpu:a100:2", "nodes": 2, "devices": 4}, 4),
        ({"gres": "shard:3,gpu:a100"}, 1),
        ({"gres": "tmpfs:100G"}, 0),
    ],
)
def test_gpus_that_a_job_takes_up(fields, gpus):
    assert Profile.model_validate(fields).charged_gpus == gpus


def planned(suite, seconds):
    return tuple(Planned(spec, None, 6, 6.0, 0.0, s) for spec, s in zip(suite.specs, seconds, strict=True))


def test_packing_loses_nothing_and_starts_the_longest_first(tiny_suite):
    runs = planned(tiny_suite(*({"seed": seed} for seed in range(7))), [1, 7, 3, 5, 2, 6, 4])
    jobs = pack(runs, runs_per_job=3, at_a_time=2)
    assert [[run.seconds for run in job.runs] for job in jobs] == [[7, 6, 5], [4, 3, 2], [1]]
    assert [job.seconds for job in jobs] == [11, 5, 1]


@pytest.mark.parametrize(("count", "most"), [(1, 1), (10, 3), (1001, 1001), (1002, 1001), (10_000, 1001)])
def test_chunks_cover_all_once_and_stay_below_the_limit(count, most):
    parts = chunks(count, most)
    assert [first for first, _ in parts] == [sum(size for _, size in parts[:number]) for number in range(len(parts))]
    assert sum(size for _, size in parts) == count
    assert max(size for _, size in parts) <= most
    assert len(parts) == -(-count // most)


def test_resources_say_what_fits(tiny_suite):
    runs = planned(tiny_suite({}, {"seed": 1}), [3600.0, 36000.0])
    profile = Profile.model_validate({"time": "2:00:00", "gpus": 2, "array_parallelism": 1})
    needs = resources(tuple(Packed((run,), run.seconds) for run in runs), profile, 1001)
    assert (needs.jobs, needs.arrays, needs.requeued) == (2, 1, 1)
    assert needs.device_hours == pytest.approx(22)
    assert needs.starts == 1 + 6
    assert needs.seconds == 39600


def test_devices_share_a_run(tiny_suite):
    jobs = tuple(Packed((run,), run.seconds) for run in planned(tiny_suite({}), [7200.0]))
    needs = resources(jobs, Profile.model_validate({"time": "2:00:00", "gpus": 1, "devices": 4}), 1001)
    assert (needs.device_hours, needs.seconds, needs.requeued) == (pytest.approx(2), 1800, 0)


def test_no_room_is_told_before_anything_starts(tmp_path, tiny_suite):
    plan = Plan(tiny_suite({}), planned(tiny_suite({}), [1]), 0, 0, (), checkpoint_bytes=10**18, record_bytes=1)
    with pytest.raises(ConfigError, match=r"has room for .*the plan needs about 1000000.0 TB"):
        check_room(tmp_path / "not" / "there", disk_bytes(plan, 4))


@pytest.mark.parametrize(("free", "said"), [(0, True), (10**9, False)])
def test_a_full_file_system_is_told(tmp_path, monkeypatch, free, said):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    assert ("no space left" in tell_full(tmp_path / "not" / "there")) == said


def test_the_smallest_difference_is_that_of_the_statistics(tiny_suite):
    assert _detectable(tiny_suite(*({"seed": seed} for seed in range(3)))).startswith("3.1 standard deviations")
    assert "no difference" in _detectable(tiny_suite({}, {"variant": "sam"}))
