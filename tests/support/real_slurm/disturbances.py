"""What happens to jobs on a cluster, done on purpose. Each takes a running job and returns when it has happened."""

import random
import time
from collections.abc import Callable
from contextlib import suppress

from .cluster import Cluster, Job
from .configuration import REQUEUE_DELAY, URGENT
from .daemons import end, wait_until

WAIT_SECONDS = 90.0
"""Seconds that SLURM may take to notice something."""
BESIDE = 8.0
"""Seconds for which a job that was taken for dead goes on beside its second start."""


def preempt(cluster: Cluster, job: Job) -> None:
    """A job of a higher partition wants the whole node."""
    urgent = cluster.run(
        "sbatch", "--parsable", "-p", URGENT, "-w", job.node, "--exclusive", "-o", "/dev/null", *_BRIEF
    )
    wait_until(lambda: _state(cluster, urgent.strip()) == "COMPLETED", WAIT_SECONDS, "the urgent job")


_BRIEF = ("--wrap", "sleep 1")


def warn_of_end(cluster: Cluster, job: Job) -> None:
    """The signal that comes before a time limit."""
    _signal(cluster, job, "USR2")
    wait_until(lambda: _left(cluster, job), WAIT_SECONDS, f"the requeue of job {job.id}")


def terminate(cluster: Cluster, job: Job) -> None:
    """SIGTERM that nothing follows."""
    _signal(cluster, job, "TERM")


def requeue(cluster: Cluster, job: Job) -> None:
    """An operator requeues the job: no signal that it could answer in peace."""
    cluster.run("scontrol", "requeue", job.id)
    wait_until(lambda: _left(cluster, job), WAIT_SECONDS, f"the requeue of job {job.id}")


def set_node_down(cluster: Cluster, job: Job) -> None:
    """An operator takes the node out of service, and gives it back a little later."""
    cluster.run("scontrol", "update", f"nodename={job.node}", "state=down", "reason=test")
    wait_until(lambda: _left(cluster, job), WAIT_SECONDS, f"the end of job {job.id}")
    cluster.run("scontrol", "update", f"nodename={job.node}", "state=resume")


def kill_node(cluster: Cluster, job: Job) -> None:
    """The node loses power: its daemon and all processes of its jobs end without a warning; later it comes back."""
    pids = cluster.processes_of_node(job.node)
    cluster.daemons[job.node].kill()
    end(pids)
    wait_until(lambda: _left(cluster, job), WAIT_SECONDS, f"the end of job {job.id}")
    cluster.start_node(job.node)
    wait_until(cluster.all_nodes_up, WAIT_SECONDS, f"node {job.node}")


def cut_off_node(cluster: Cluster, job: Job) -> None:
    """The daemon of the node dies and the job lives on, unseen: SLURM starts it a second time elsewhere."""
    cluster.daemons[job.node].kill()
    wait_until(lambda: _left(cluster, job), WAIT_SECONDS, f"the end of job {job.id}")
    with suppress(TimeoutError):  # other elements of its array may go first
        wait_until(lambda: _again(cluster, job), 2 * REQUEUE_DELAY, f"the second start of job {job.id}")
    time.sleep(BESIDE)
    cluster.start_node(job.node)
    wait_until(cluster.all_nodes_up, WAIT_SECONDS, f"node {job.node}")


def restart_daemon_of_node(cluster: Cluster, job: Job) -> None:
    """The daemon of the node is killed and started again before anybody misses it."""
    cluster.daemons[job.node].kill()
    cluster.start_node(job.node)


def kill_worker(cluster: Cluster, job: Job) -> None:
    """One process of the job that trains is killed, as by a lack of memory."""
    end(cluster.trainers(job)[-1:])


def kill_job(cluster: Cluster, job: Job) -> None:
    """All processes of the job that are Python are killed; SLURM calls the job failed."""
    end(cluster.trainers(job))
    wait_until(lambda: _left(cluster, job), WAIT_SECONDS, f"the end of job {job.id}")


def restart_controller(cluster: Cluster, job: Job) -> None:
    """The controller is restarted for an upgrade."""
    cluster.daemons["slurmctld"].stop()
    cluster.start_controller()


def kill_controller(cluster: Cluster, job: Job) -> None:
    """The controller dies and is started again."""
    cluster.daemons["slurmctld"].kill()
    cluster.start_controller()


Disturbance = Callable[[Cluster, Job], None]
HEALING: tuple[Disturbance, ...] = (
    preempt,
    warn_of_end,
    terminate,
    requeue,
    set_node_down,
    restart_daemon_of_node,
    restart_controller,
    kill_controller,
)
"""Those after which the jobs come to their end by themselves."""
CRASHES: tuple[Disturbance, ...] = (kill_node, cut_off_node)
"""Those after which SLURM starts the jobs again; a second start was once seen killed, from a cause not yet found."""
DEADLY: tuple[Disturbance, ...] = (kill_worker, kill_job)
"""Those that cost a job or a run, which only ``sambench retry`` or another launch brings back."""


def storm(seed: int) -> list[Disturbance]:
    """Return all disturbances, each once, in a random order."""
    order = [*HEALING, *CRASHES, *DEADLY]
    random.Random(seed).shuffle(order)
    return order


def _signal(cluster: Cluster, job: Job, name: str) -> None:
    """Send a signal to a job. Where the job is about to end, scancel tries for a minute and a half, and fails."""
    cluster.does("scancel", f"--signal={name}", job.raw, timeout=WAIT_SECONDS * 3)


def _left(cluster: Cluster, job: Job) -> bool:
    """Tell whether the job has left the node it was on: it waits, has ended, or runs again."""
    now = next((other for other in cluster.queue() if other.raw == job.raw), None)
    return now is None or not now.active or now.restarts > job.restarts


def _again(cluster: Cluster, job: Job) -> bool:
    return any(other.raw == job.raw and other.restarts > job.restarts for other in cluster.running())


def _state(cluster: Cluster, raw: str) -> str:
    return next((job.state for job in cluster.queue() if job.raw == raw), "")
