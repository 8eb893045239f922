"""Training by compiled passes: what the record says of it, and what it may not be mixed with."""

import pytest
import torch

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.errors import StateError
from sambench.results.leaderboard.footnotes import notes
from sambench.results.records.store import Store
from sambench.results.tables.boards import Section
from sambench.results.tables.grouping import Collection
from sambench.results.tables.workload_table import tables

FIELDS = {"variant": "sam", "dataset": "digits", "model": "wrn10_1", "subset": 64, "batch_size": 32, "epochs": 1}


def test_a_compiled_run_says_so_and_a_row_that_mixes_both_is_named(tmp_path):
    store = Store(tmp_path)
    plain, compiled = (
        run_spec(make_spec({**FIELDS, "seed": seed}), store, compiler=compiler)
        for seed, compiler in ((0, None), (1, "eager"))
    )
    assert (plain.environment.compiler, compiled.environment.compiler) == (None, "eager")
    assert compiled.run_id == make_spec({**FIELDS, "seed": 1}).run_id
    assert compiled.weights == run_spec(make_spec({**FIELDS, "seed": 1}), Store(tmp_path / "plain")).weights
    collection = Collection()
    for record in (plain, compiled):
        collection.add(record)
    (workload,) = tables(collection)
    (row,) = workload.rows
    assert row.compilers == ("", "eager")
    assert "**Compiled and not compiled** runs in one row: sam." in notes(Section(None, workload, {}, {}))


def test_a_run_goes_on_as_it_was_begun():
    spec, data, cpu = make_spec({**FIELDS, "model": "mlp"}), load("digits"), torch.device("cpu")
    state = TrainState(spec, data, cpu, compiler="eager").state_dict()
    with pytest.raises(StateError, match="was begun with --compile and would go on to other bits"):
        TrainState(spec, data, cpu).load_state_dict(state)
    old = {key: value for key, value in TrainState(spec, data, cpu).state_dict().items() if key != "compiler"}
    TrainState(spec, data, cpu).load_state_dict(old)
