"""The machine and software that a run used, for its record: times are compared only within one kind."""

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from ...results.records.record import Environment
from ...version import __version__
from ..precision import describe_arithmetic
from .meters import RUNS_IN_PROCESS

PACKAGE = Path(__file__).resolve().parents[2]
SOURCE = "SOURCE.json"
"""Beside code that was copied for a cluster: what git says about the original."""


def describe_environment(device: torch.device, devices: int = 1) -> Environment:
    """Collect what the record says about the machine and the software."""
    commit, dirty = source_state(PACKAGE)
    return Environment(
        sambench=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        platform=f"{platform.system()} {platform.machine()}",
        device=device.type,
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        driver=_driver() if device.type == "cuda" else None,
        devices=devices,
        threads=torch.get_num_threads(),
        runs_in_process=number if (number := RUNS_IN_PROCESS.get()) > 1 else None,
        host=hashlib.sha256(platform.node().encode()).hexdigest()[:12],
        commit=commit,
        dirty=dirty,
        source=None if commit or (PACKAGE / ".git").exists() else package_hash(PACKAGE),
        arithmetic=describe_arithmetic(device),
        libraries=_libraries(),
    )


@cache
def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def source_state(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that a package lies in, and whether its code has changes since.

    New results, boards and pages do not make it dirty: no run depends on them. A copy that was made for a cluster
    carries what was true of its original (``SOURCE.json``). Outside a checkout there is neither.
    """
    with suppress(OSError, ValueError, KeyError):
        return _noted(root)
    if not (root / ".git").exists():
        return None, None
    try:
        changed = _git(root, "status", "--porcelain", "--", "*.py", "benchmarks/suites", "pyproject.toml")
        return _git(root, "rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.SubprocessError):
        return None, None


@cache
def file_state(path: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that a file is tracked in, and whether the file has changes since.

    A copy that was made for a cluster carries what was true of its original (``SOURCE.json``).
    """
    with suppress(OSError, ValueError, KeyError):
        return _noted(path.parent)
    try:
        _git(path.parent, "ls-files", "--error-unmatch", "--", path.name)
        changed = _git(path.parent, "status", "--porcelain", "--", path.name)
        return _git(path.parent, "rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.SubprocessError):
        return None, None


def _noted(folder: Path) -> tuple[str | None, bool | None]:
    content = json.loads((folder / SOURCE).read_text())
    return content["commit"], content["dirty"]


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def package_files(root: Path) -> Iterator[Path]:
    """Yield the modules and data files of the package in a folder: no records, tests or documents."""
    for entry in sorted(root.iterdir()):
        if (entry / "__init__.py").is_file():
            yield from _files_of(entry)
        elif entry.suffix == ".py" or entry.name == "py.typed":
            yield entry


def _files_of(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if (entry / "__init__.py").is_file() or entry.name == "transcriptions":
            yield from _files_of(entry)
        elif entry.is_file() and not entry.name.startswith("."):
            yield entry


@cache
def package_hash(root: Path) -> str:
    """Return the sha256 of the names and bytes of all modules: equal in a wheel, a checkout and a cluster's copy."""
    digest = hashlib.sha256()
    for path in package_files(root):
        if path.suffix == ".py":
            digest.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _driver() -> str | None:
    """Return the version of NVIDIA's kernel driver, where there is one."""
    with suppress(OSError):
        found = re.search(r"Module\s+(\d+(?:\.\d+)+)", Path("/proc/driver/nvidia/version").read_text())
        return found[1] if found else None
    return None


@cache
def _libraries() -> dict[str, str]:
    """Return the versions of what results may depend on beside torch itself."""
    versions = {name: version(name) for name in ("numpy", "timm", "torchvision")}
    if torch.version.cuda is not None:
        versions["cuda"] = torch.version.cuda
    if torch.backends.cudnn.is_available():
        versions["cudnn"] = str(torch.backends.cudnn.version())
    return versions
