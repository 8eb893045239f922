"""The pool: one run that fails or a worker that dies stops nothing else."""

import pytest
import torch

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import Suite
from sambench.results.records.store import Store
from sambench.slurm.local import run_pool
from sambench.slurm.options import RunOptions
from sambench.slurm.planning import make_plan
from sambench.slurm.status import run_statuses

PLUGIN = '''
import os
from sambench.variants import StepRule, register

@register("{name}", summary="fails", paper=None, gradients=1)
class Fails(StepRule):
    """Fails."""

    def update(self, closure):
        {action}
'''


@pytest.fixture
def options(tmp_path):
    from sambench.variants import load_plugin

    plugins = []
    for name, action in (("raises_it", "raise RuntimeError('on purpose')"), ("dies_of_it", "os._exit(9)")):
        path = tmp_path / f"{name}.py"
        path.write_text(PLUGIN.format(name=name, action=action))
        plugins.append(str(path))
    for plugin in plugins:
        load_plugin(plugin)
    return RunOptions(tmp_path / "results", device="cpu", plugins=tuple(plugins))


def test_failures_stay_alone(options):
    fields = {"model": "wrn10_1", "subset": 96, "batch_size": 32, "epochs": 1}
    names = ("raises_it", "sgd", "dies_of_it", "sam")
    suite = Suite("s", "s", "", tuple(make_spec({**fields, "variant": name}) for name in names))
    store = Store(options.results)
    plan = make_plan(suite, store, torch.device("cpu"))
    heard = []
    ended = run_pool(plan.runs, options, 1, heard.append)
    assert [ended[spec.run_id] for spec in suite.specs] == ["failed", "completed", "lost", "completed"]
    assert [s.state for s in run_statuses(suite, store)] == ["failed", "done", "pending", "done"]
    assert store.read(suite.specs[0].run_id).error == "RuntimeError: on purpose"
    lost = next(event for event in heard if event.kind == "lost")
    assert "exit code 9" in lost.text
