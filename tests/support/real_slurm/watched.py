"""A plug-in whose steps can be watched and slowed down from outside, with not one bit of the result changed.

``SAMBENCH_TEST_JOURNAL`` names a file that gets one line a step: which run (by its seed), which step, which process of
which job. ``SAMBENCH_TEST_PAUSE`` is for how many seconds a step sleeps, which makes runs long and costs no CPU.
"""

import os
import time

import torch

from sambench.variants import Hyper, register
from sambench.variants.vasso import VaSSO


@register(
    "watched",
    summary="VaSSO that leaves a trace",
    paper=None,
    gradients=2,
    state=1,
    transient=2,
    hyper={"rho": Hyper(0.1, "radius", low=0), "theta": Hyper(0.4, "weight of the new gradient", low=0, high=1)},
    neutral={"rho": 0.0},
)
class Watched(VaSSO):
    """VaSSO: its running average and the base's momentum are lost by a resumption that forgets anything."""

    def update(self, closure):
        loss = super().update(closure)
        if loss.dtype == torch.float64:  # one of the steps that tell its behaviour
            return loss
        if journal := os.environ.get("SAMBENCH_TEST_JOURNAL"):
            job, restart = os.environ.get("SLURM_JOB_ID", "-"), os.environ.get("SLURM_RESTART_COUNT", "0")
            line = f"{self.seed} {self.steps} {os.getpid()} {job} {restart} {time.time():.3f}\n"
            descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.write(descriptor, line.encode())
            os.close(descriptor)
        time.sleep(float(os.environ.get("SAMBENCH_TEST_PAUSE", "0")))
        return loss
