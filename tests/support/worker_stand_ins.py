"""Programs that stand for the processes of a run: they speak like them and cost no import of torch."""

DONE = """print('{"kind": "step", "step": 3, "total": 6}'); print('{"kind": "done"}')"""
WITHOUT_A_WORD = "import os; os._exit(7)"
KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
REFUSED = """import sys; print('{"kind": "refused", "text": "no such data set"}'); sys.exit(1)"""
FAILED = """import sys; print('{"kind": "failed", "text": "ValueError: seven"}'); sys.exit(1)"""
FOR_EVER = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
UNTIL_ASKED = """
import signal, sys
def stop(number, frame):
    print('{"kind": "interrupted", "text": "stopped after step 4 of 6"}')
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
print('{"kind": "step", "step": 4, "total": 6}', flush=True)
signal.pause()
"""


def by_rank(*programs):
    """A program that does what the program of its rank does."""
    return f"import os; exec({list(programs)!r}[int(os.environ['RANK'])])"
