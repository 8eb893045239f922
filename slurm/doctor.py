"""Whether this machine can make runs: what is here, what is missing, and what is broken."""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

from ..atomic import check_writable, default_folder
from ..benchmarks.device import cores
from ..errors import SambenchError
from ..registry import load_entry_points
from ..results.records.lease import Held, Lease
from ..units import size
from .resources import free_bytes

_DRIVER = Path("/proc/driver/nvidia/version")
LEAST_ROOM = 10**9
"""Bytes that are little for records and checkpoints."""


class Finding(NamedTuple):
    """One thing that was looked at; broken is what keeps runs from being made."""

    name: str
    state: Literal["ok", "note", "broken"]
    text: str


def examine(results: Path) -> list[Finding]:
    """Look at everything that runs depend on.

    Args:
        results: results folder that runs would be written to.
    """
    found: list[Finding] = []
    for name, look in _LOOKS.items():
        try:
            found += [Finding(name, *rest) for rest in look(results)]
        except Exception as error:  # whatever does not work here is what is asked about
            reason = str(error) or type(error).__name__
            found.append(Finding(name, "broken", reason if isinstance(error, SambenchError) else f"fails: {reason}"))
    return found


Answers = Iterator[tuple[Literal["ok", "note", "broken"], str]]


def _python(results: Path) -> Answers:
    yield "ok", f"{platform.python_version()}, {sys.executable}"


def _packages(results: Path) -> Answers:
    """Compare what is installed with what the package requires; what an extra requires may be missing."""
    try:
        needed = requires("sambench") or []
    except PackageNotFoundError:
        yield "note", "sambench is not installed here but imported from a folder, so versions are not compared"
        return
    bad, missing = [], dict[str, list[str]]()
    for requirement in needed:
        name, least, extra = _requirement(requirement)
        if extra not in ("", "tune", "site", "tensorboard", "wandb"):
            continue
        try:
            there = version(name)
        except PackageNotFoundError:
            (missing.setdefault(extra, []) if extra else bad).append(name)
        else:
            if _numbers(there) < _numbers(least):
                bad.append(f"{name} {there} is older than {least}")
    if bad:
        yield "broken", f"{', '.join(bad)}: pip install --upgrade sambench"
    else:
        yield "ok", f"sambench {version('sambench')} and all that it requires"
    for extra, names in missing.items():
        yield "note", f"without {', '.join(names)}: pip install 'sambench[{extra}]'"


def _requirement(text: str) -> tuple[str, str, str]:
    """Return name, least version and extra of a requirement.

    Example:
        >>> _requirement('optuna>=4.0; extra == "tune"'), _requirement("torch>=2.11")
        (('optuna', '4.0', 'tune'), ('torch', '2.11', ''))
    """
    name = re.match(r"[\w.-]+", text)
    least, extra = re.search(r">=\s*([\d.]+)", text), re.search(r"extra\s*==\s*['\"](\w+)", text)
    return (name[0] if name else text), least[1] if least else "0", extra[1] if extra else ""


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3]]


def _torch(results: Path) -> Answers:
    import torch

    got = torch.randn(64, 64) @ torch.randn(64, 64)
    yield ("ok" if bool(got.isfinite().all()) else "broken"), f"{torch.__version__}"


def _gpu(results: Path) -> Answers:
    import torch

    if not torch.cuda.is_available():
        driver = _DRIVER.is_file()
        build = "is a build without CUDA" if torch.version.cuda is None else "cannot use it (nvidia-smi says more)"
        yield (
            ("broken", f"there is a driver of NVIDIA, and torch {build}")
            if driver
            else ("note", "none: runs use the CPU")
        )
        return
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        float((torch.ones(8, 8, device=f"cuda:{index}") @ torch.ones(8, 8, device=f"cuda:{index}")).sum())
        yield "ok", f"cuda:{index}: {about.name}, {size(about.total_memory)}"


def _bf16(results: Path) -> Answers:
    from ..benchmarks.device import pick_device
    from ..benchmarks.precision import best_precision

    device = pick_device()
    native = best_precision(device) == "bf16"
    yield "ok" if native else "note", f"{'native' if native else 'not native'} on {device.type}"


def _threads(results: Path) -> Answers:
    here, total = cores(), os.cpu_count() or 1
    left = f"{here} of {total} cores are left to this process" if here < total else f"{here} cores"
    limit = os.environ.get("OMP_NUM_THREADS")
    yield "ok", f"{left}; `launch` starts a run of one thread on each" + (f"; OMP_NUM_THREADS={limit}" if limit else "")


def _slurm(results: Path) -> Answers:
    from .cluster import commands

    if shutil.which("sbatch") is None:
        yield "note", "none here: suites run with --on local"
        return
    try:
        partitions = commands.run_command("sinfo", "-h", "-o", "%P").split()
    except SambenchError as error:
        yield "note", f"it is installed and does not answer, so that suites run with --on local alone: {error}"
    else:
        yield "ok", f"partitions {', '.join(partitions)}"


def _cache(results: Path) -> Answers:
    for kind, variable in (("data", "SAMBENCH_DATA"), ("decoded", "SAMBENCH_CACHE")):
        folder = default_folder(kind, variable)
        check_writable(folder)
        yield "ok", f"{folder} (${variable}), {size(free_bytes(folder))} free"


def _results(results: Path) -> Answers:
    """Write as a run writes: a file, and a lease, which needs locks that hold."""
    there = results.exists()
    check_writable(results)
    try:
        with (
            tempfile.TemporaryDirectory(dir=results, prefix=".doctor-") as folder,
            Lease(Path(folder) / "run") as lease,
        ):
            try:
                Lease(lease.folder).take().release()
                yield "broken", f"{results}: two processes could hold one run, as its file system gives no locks"
            except Held:
                free = free_bytes(results)
                yield "ok" if free >= LEAST_ROOM else "note", f"{results}: {size(free)} free"
    finally:
        if not there:
            results.rmdir()


def _plugins(results: Path) -> Answers:
    from ..registry import ADDED

    load_entry_points()
    yield "ok", f"installed: {', '.join(sorted({name for _, name in ADDED})) or 'none'}"


_LOOKS: dict[str, Callable[[Path], Answers]] = {
    "Python": _python,
    "packages": _packages,
    "torch": _torch,
    "GPU": _gpu,
    "bf16": _bf16,
    "threads": _threads,
    "SLURM": _slurm,
    "cache": _cache,
    "results": _results,
    "plug-ins": _plugins,
}
