"""How the runs of a plan are made: folder, device, threads, data, plug-ins.

Commands that only look at runs read this too, so that torch is imported where a run is about to be made.
"""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..registry import load_plugin

if TYPE_CHECKING:
    import torch

    from ..benchmarks.training.keeping import Keep


@dataclass(frozen=True)
class RunOptions:
    """Where and how runs are made; the same for all of a plan.

    Args:
        results: results folder that the records and checkpoints go to.
        device: device of the runs: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        threads: CPU threads of one process.
        devices: number of processes, one per device, that train one run together.
        gpus: numbers of the GPUs that the workers of this machine share evenly; all, unless some are named.
        data_root: folder of downloaded data sets.
        checkpoint_seconds: least time between two checkpoints of a run.
        plugins: paths of Python files that register plug-ins.
        keep: what of the weights is kept, as ``--keep`` takes it; empty for nothing.
        log_to: loggers that are told of the epochs, as ``--log`` takes them; empty for none.
        cuda_graph: whether to record steps as CUDA graphs, where that is possible.
        compiler: backend of ``torch.compile`` for the passes of training; None leaves them as they are.
        device_name: name of the only processor or GPU model that may make these runs; empty for any.
        host: hash of the only machine that may make them, where ``device_name`` is set.
    """

    results: Path
    _: KW_ONLY
    device: str = "auto"
    threads: int = 1
    devices: int = 1
    gpus: tuple[int, ...] = ()
    data_root: str | None = None
    checkpoint_seconds: float = 60.0
    plugins: tuple[str, ...] = ()
    keep: str = ""
    log_to: str = ""
    cuda_graph: bool = False
    compiler: str | None = None
    device_name: str = ""
    host: str = ""

    def check(self, device: "torch.device") -> None:
        """Refuse a device other than the one that track T of the suite was calibrated on: times do not compare.

        Raises:
            ConfigError: name or host differ.
        """
        if not self.device_name:
            return
        from ..benchmarks.suites.calibration import require_device
        from ..benchmarks.training.environment import describe_environment

        here = describe_environment(device)
        require_device(self.device_name, self.host, self.threads, here, here.threads)

    def load_plugins(self) -> None:
        """Import the plug-ins in this process; one that was imported before is not imported again."""
        for plugin in self.plugins:
            load_plugin(plugin)

    def what_to_keep(self) -> "Keep | None":
        """Return what of the weights is kept."""
        from ..benchmarks.training.keeping import Keep

        return Keep.parse(self.keep) if self.keep else None

    def of_a_run(self) -> dict[str, Any]:
        """Return the arguments of :func:`~sambench.benchmarks.training.run.run_spec` that these options settle."""
        return {
            "data_root": self.data_root,
            "checkpoint_seconds": self.checkpoint_seconds,
            "keep": self.what_to_keep(),
            "log_to": self.log_to,
            "cuda_graph": self.cuda_graph,
            "compiler": self.compiler,
        }

    def prepare(self, worker: int = 0) -> "torch.device":
        """Set threads and load plug-ins in this process; return the device of a worker (GPUs are shared evenly)."""
        import torch

        from ..benchmarks.device import pick_device, pick_gpus

        torch.set_num_threads(self.threads)
        self.load_plugins()
        device = pick_device(self.device)
        if device.type == "cuda" and device.index is None:
            gpus = self.gpus or pick_gpus()
            device = torch.device("cuda", gpus[worker % len(gpus)])
            torch.cuda.set_device(device)  # else what names no GPU would take some of the first one's memory
        return device
