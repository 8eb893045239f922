"""A plug-in for runs under torchrun: SAM, to one of whose processes something happens, as ``$MISHAP`` says.

``MISHAP=kill:4`` is: SIGKILL to the process of rank 1 in the fourth step of this start.
"""

import itertools
import os
import signal
import time

from sambench.variants.registry import VARIANTS, register
from sambench.variants.sam import SAM

INFO = VARIANTS.get("sam")
STEP = itertools.count(1)
WHAT, _, WHEN = os.environ.get("MISHAP", "").partition(":")


def strike():
    """Let happen what was asked for; a signal goes to the launcher, and is waited for until it was passed on."""
    if WHAT == "fail":
        raise ValueError("the device caught fire")
    if WHAT == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    heard, number = [], getattr(signal, WHAT)
    before = signal.getsignal(number)
    signal.signal(number, lambda *arguments: (heard.append(number), before(*arguments)))
    os.kill(os.getppid(), number)
    while not heard:
        time.sleep(0.01)


@register("mishap", summary=INFO.summary, paper=INFO.paper, gradients=2, hyper=INFO.hyper, neutral=INFO.neutral)
class Mishap(SAM):
    """SAM."""

    def ascent(self, at):
        if WHAT and os.environ["RANK"] == "1" and next(STEP) == int(WHEN):
            strike()
        return super().ascent(at)
