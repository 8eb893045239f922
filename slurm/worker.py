"""One attempt at one run, and what is said about it; the same in this process, in a pool and in a job."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import torch

from ..benchmarks.device import pick_device
from ..benchmarks.training.environment import describe_environment
from ..benchmarks.training.run import run_spec
from ..errors import ConfigError, Interrupted, SambenchError
from ..results.records.lease import Held, LeaseLost
from ..results.records.store import Store
from ..variants import load_plugin
from .events import Listen, RunEvent, report_steps
from .plan import Planned


@dataclass(frozen=True)
class RunOptions:
    """Where and how runs are made; the same for all of a plan.

    Args:
        results: folder of the store.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads of one process.
        devices: processes that make one run together.
        data_root: folder of downloaded data sets.
        checkpoint_seconds: least time between two checkpoints of a run.
        plugins: files that register plug-ins of any kind.
        device_name: the only kind of device that may make these runs, or any.
        host: with a device name, the only machine that may, by its hash.
    """

    results: Path
    _: KW_ONLY
    device: str = "auto"
    threads: int = 1
    devices: int = 1
    data_root: str | None = None
    checkpoint_seconds: float = 60.0
    plugins: tuple[str, ...] = ()
    device_name: str = ""
    host: str = ""

    def check(self, device: torch.device) -> None:
        """Refuse a device whose times do not compare with those that a suite of track T was calibrated to.

        Raises:
            ConfigError: this is another one.
        """
        if not self.device_name:
            return
        here = describe_environment(device)
        if (self.device_name, self.host) != (here.device_name, here.host):
            raise ConfigError(
                f"the suite was calibrated on {self.device_name}, host {self.host}, this is {here.device_name}, host "
                f"{here.host}: times do not compare. Ask for that node (--extra nodelist=NAME), or calibrate for this "
                "one under another name"
            )

    def load_plugins(self) -> None:
        """Register what the plug-in files hold in this process; what is registered already stays."""
        for plugin in self.plugins:
            load_plugin(plugin)

    def prepare(self, worker: int = 0) -> torch.device:
        """Make this process ready, and return the device of a worker: with several GPUs they take turns."""
        torch.set_num_threads(self.threads)
        self.load_plugins()
        device = pick_device(self.device)
        if device.type == "cuda" and device.index is None and torch.cuda.device_count() > 1:
            return torch.device("cuda", worker % torch.cuda.device_count())
        return device


def attempt(run: Planned, options: RunOptions, device: torch.device, listen: Listen, worker: int = 0) -> RunEvent:
    """Make a run as far as it goes, and return how it ended; nothing but a death of the process escapes."""
    try:
        listen(RunEvent("started", worker, run))
        options.check(device)
        record = run_spec(
            run.spec,
            Store(options.results),
            source=run.source,
            data_root=options.data_root,
            device=device,
            checkpoint_seconds=options.checkpoint_seconds,
            watch=report_steps(listen, worker, run),
        )
        return RunEvent(record.status, worker, run, record.counters.steps, record.error or "")
    except Interrupted as stop:
        return RunEvent("interrupted", worker, run, text=str(stop))
    except (Held, LeaseLost) as error:
        return RunEvent("held", worker, run, text=str(error))
    except SambenchError as error:
        return RunEvent("failed", worker, run, text=str(error))
    except Exception as error:
        return RunEvent("failed", worker, run, text=f"{type(error).__name__}: {error}")


def run_here(runs: tuple[Planned, ...], options: RunOptions, listen: Listen) -> dict[str, str]:
    """Make runs in this process, one after the other, until a signal interrupts one; how each ended, by run id."""
    ended: dict[str, str] = {}
    threads = torch.get_num_threads()
    device = options.prepare()
    try:
        for run in runs:
            event = attempt(run, options, device, listen)
            listen(event)
            ended[run.spec.run_id] = event.kind
            if event.kind == "interrupted":
                break
    finally:
        torch.set_num_threads(threads)
    return ended
