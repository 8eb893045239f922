"""The programs of a SLURM cluster: found, or installed from Debian's archive."""

import os
import shutil
import subprocess

PROGRAMS = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "sbatch": "slurm-client",
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "my_print_defaults": "mariadb-client-core",  # which mariadb-install-db calls
}
"""The package of Debian and its relatives that each program comes with."""
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


class CannotInstall(RuntimeError):
    """Something that the cluster is made of is neither here nor to be had."""


def missing() -> list[str]:
    """Packages whose programs are not here."""
    return sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=SEARCH_PATH)})


def install() -> list[str]:
    """Install what is missing and return what that was.

    Raises:
        CannotInstall: with the reason; no test should pass for want of a cluster.
    """
    wanted = missing()
    if os.geteuid() != 0:
        raise CannotInstall("the daemons of SLURM start the jobs of others: run this as root, in a container at best")
    if not wanted:
        return wanted
    if shutil.which("apt-get") is None:
        raise CannotInstall(f"install {' '.join(wanted)} with the package manager of this system: apt-get is not here")
    log = ""
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *wanted]):
        done = subprocess.run(
            ["apt-get", "-o", "DPkg::Lock::Timeout=120", *command],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        log += done.stdout + done.stderr
    if still := missing():
        raise CannotInstall(f"apt-get did not install {' '.join(still)}:\n{log[-2000:]}")
    return wanted
