"""Cluster profiles: what to ask a scheduler for, in a TOML file that names no person, no path and no secret."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ...errors import ConfigError, brief, explain
from ...reading import TomlFiles
from ...results.records.fields import Name, Text, Whole, no_truth, printable

MOST_RUNS_PER_PROCESS = 16
"""Each computes on one stream and records on another, and torch has 32 of a GPU."""
_FIELDS = ("partition", "account", "qos", "constraint", "gres", "time", "nodes")
_GPUS = ("gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket")
_OF_A_LAUNCH = ("array", "job-name", "output", "error", "open-mode", "wckey", "wrap")
_GIVEN = {
    **{name: f"the field {name} says it" for name in _FIELDS},
    **dict.fromkeys(_GPUS, "the fields gpus and devices say it"),
    **dict.fromkeys(("ntasks", "ntasks-per-node"), "the fields devices and nodes say it"),
    **dict.fromkeys(_OF_A_LAUNCH, "every launch has its own"),
    **dict.fromkeys(("requeue", "no-requeue"), "jobs are requeued and go on from their checkpoints"),
    "cpus-per-task": "the fields cpus and threads say it",
    "mem": "the field memory_gb says it",
    "signal": "the field signal_seconds says it",
}
"""Options of sbatch that are no further ones: why they cannot be among ``extra``."""
Count = Annotated[int, Field(gt=0, le=1_000_000)]
Line = Annotated[Text, AfterValidator(printable)]


def too_many(runs: int) -> str:
    """Return why one process cannot make so many runs at a time on a GPU."""
    return (
        f"{runs} runs at a time on one GPU are more than the {MOST_RUNS_PER_PROCESS} that one process has streams for: "
        "ask for fewer, or for a process each with isolate"
    )


class Profile(BaseModel):
    """What one job asks for, and how runs are put into jobs. Every field is also an option of ``launch``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Name = Field("", description="what the profile is for")
    partition: Name | None = Field(None, description="partition, or several with commas between them")
    account: Name | None = Field(None, description="account that is charged")
    qos: Name | None = Field(None, description="quality of service")
    constraint: Name | None = Field(None, description="features that nodes must have")
    gres: Name | None = Field(None, description="generic resources, as in 'gpu:a100:1'; or use gpus")
    gpus: Whole = Field(0, le=10_000, description="GPUs of one job; here: the numbers of those to use, as in 0,2")
    cpus: Count | None = Field(None, description="CPUs of one job \\[default: threads x runs at a time]")
    memory_gb: float | None = Field(
        None, gt=0, le=1e6, description="memory of a job in GB, on all its nodes together \\[default: the cluster's]"
    )
    time: str = Field("4:00:00", description="time limit of one job, in SLURM's forms; longer runs are requeued")
    signal_seconds: Count = Field(120, ge=10, description="seconds before the time limit at which checkpoints are made")
    array_parallelism: Count = Field(256, description="jobs of a launch at the same time, at most")
    runs_per_job: Count = Field(1, description="runs that one job makes")
    runs_per_gpu: Count = Field(
        1,
        description="runs at a time on one GPU, made in turns by one process with a CUDA stream for each: made for "
        "--cuda-graph; cluster without GPUs: processes of one job",
    )
    isolate: bool = Field(False, description="a process for each run on a GPU: one that crashes ends no other")
    devices: Count = Field(1, description="devices that train one run together, one process each")
    nodes: Count = Field(1, description="nodes that these devices are on, evenly")
    threads: Count = Field(1, description="CPU threads of one run; the same number gives the same bits")
    device: Name | None = Field(None, description="cpu, cuda, auto \\[default: cuda if the job has GPUs, else cpu]")
    setup: tuple[Line, ...] = Field((), description="shell lines before Python, as in 'module load cuda'")
    extra: dict[Name, Name | int | bool] = Field(default_factory=dict, description="any other option of sbatch")

    _numbers = field_validator(
        *("gpus", "cpus", "memory_gb", "devices", "nodes", "threads", "signal_seconds"), mode="before"
    )(no_truth)

    @field_validator("time", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> str:
        parse_minutes(str(value))
        return str(value)

    @model_validator(mode="after")
    def _one_run_of_many_devices(self) -> "Profile":
        if self.devices > 1 and (self.runs_per_job > 1 or self.runs_per_gpu > 1):
            raise ValueError(
                f"a run on {self.devices} devices has a job of its own: leave runs_per_job and runs_per_gpu at 1"
            )
        if self.at_a_time > MOST_RUNS_PER_PROCESS * self.processes:
            raise ValueError(too_many(self.runs_per_gpu))
        if self.devices % self.nodes:
            raise ValueError(f"{self.devices} devices cannot be spread evenly over {self.nodes} nodes")
        return self

    @field_validator("extra")
    @classmethod
    def _of_no_field(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in extra:
            if (given := _GIVEN.get(name)) is not None:
                raise ValueError(f"{name} cannot be given: {given}")
        return extra

    @property
    def minutes(self) -> int:
        """The time limit, rounded down to minutes as submitit counts them."""
        return parse_minutes(self.time)

    @property
    def warning_seconds(self) -> int:
        """Seconds before the time limit at which the job is warned: at most a quarter of it."""
        return min(self.signal_seconds, 15 * self.minutes)

    @property
    def job_gpus(self) -> int:
        """GPUs of one job: one for each process of a run on several, if there are GPUs at all."""
        return max(self.gpus, self.devices) if self.gpus else 0

    @property
    def gpus_of_gres(self) -> int:
        """GPUs that ``gres`` asks for, which it does for each node."""
        asked = re.findall(r"(?:^|,)(?:gres[:/])?gpu(?::[A-Za-z][\w.-]*)?(?::(\d+))?(?=,|$)", self.gres or "")
        return self.nodes * sum(int(number or 1) for number in asked)

    @property
    def charged_gpus(self) -> int:
        """GPUs that one job takes up, however they are asked for."""
        return self.job_gpus or self.gpus_of_gres

    @property
    def shared_gpus(self) -> int:
        """GPUs that the runs of one job are spread over; 1 where there are none."""
        return max(1, self.gpus or self.gpus_of_gres)

    @property
    def tasks_per_node(self) -> int:
        """Processes that srun starts on each node."""
        return self.devices // self.nodes

    @property
    def cpus_per_task(self) -> int:
        """CPUs of each of these processes."""
        return -(-self.cpus // self.devices) if self.cpus else self.threads * self.at_a_time

    @property
    def at_a_time(self) -> int:
        """Runs that one job makes at the same time."""
        return 1 if self.devices > 1 else min(self.runs_per_job, self.runs_per_gpu * self.shared_gpus)

    @property
    def processes(self) -> int:
        """Processes that make them: one for each, or for each GPU where several share one."""
        shared = self.charged_gpus and self.job_device != "cpu" and not self.isolate
        return min(self.at_a_time, self.shared_gpus) if shared else self.at_a_time

    @property
    def job_device(self) -> str:
        """Device of the runs; a job that has GPUs must use them: it never falls back to the CPU without an error."""
        return self.device or ("cuda" if self.charged_gpus else "auto" if self.gres else "cpu")


_TIME = re.compile(r"(?:(?P<days>[0-9]{1,9})-)?(?P<fields>[0-9]{1,9}(?::[0-9]{1,9}){0,2})")
MOST_DAYS = 366


def parse_minutes(text: str) -> int:
    """Read a time limit in one of SLURM's forms: minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S.

    Raises:
        ConfigError: another form, less than a minute or more than a year.

    Example:
        >>> [parse_minutes(text) for text in ("90", "4:00:00", "2-0", "1-06:30", "10:30")]
        [90, 240, 2880, 1830, 10]
    """
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise ConfigError(f"time {brief(text)} is not valid; write minutes, H:M:S or D-H:M:S, as in 4:00:00")
    fields = [int(field) for field in found["fields"].split(":")]
    if found["days"] is not None:
        hours, minutes = fields[0], fields[1] if len(fields) > 1 else 0
    else:
        hours, minutes = (fields[0], fields[1]) if len(fields) == 3 else (0, fields[0])
    total = int(found["days"] or 0) * 1440 + hours * 60 + minutes
    if total < 1:
        raise ConfigError(f"time {text!r} is not valid: a job needs a minute at least")
    if total > MOST_DAYS * 1440:
        raise ConfigError(f"time {text!r} is not valid: {MOST_DAYS} days are the most")
    return total


PROFILES = TomlFiles("profile", f"{__package__}.profiles")
"""The profiles that ship with sambench, and those of people."""


def load_profile(name_or_path: str | None, options: dict[str, Any]) -> Profile:
    """Read a profile by name or from a file, with single fields replaced.

    Args:
        name_or_path: a shipped profile, a TOML file, or None for the defaults.
        options: fields that replace those of the profile; ``extra`` is merged.

    Raises:
        ConfigError: an unknown profile, or all that is wrong with its fields.
    """
    content = {} if name_or_path is None else PROFILES.parse(name_or_path)[1]
    fields = {**content, **options}
    if isinstance(own := content.get("extra"), dict):  # else the profile says what is wrong with it
        fields["extra"] = {**own, **options.get("extra", {})}
    try:
        return Profile.model_validate(fields)
    except ValidationError as error:
        head = f"profile {name_or_path or '(options)'!r} cannot be used:"
        valid = f"valid fields: {', '.join(Profile.model_fields)}"
        raise ConfigError("\n".join([head, *explain(error, "the profile", depth=2), valid])) from error
