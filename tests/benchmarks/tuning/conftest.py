"""A small suite, tuned in this process."""

import pytest

from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.training.run import run_spec
from sambench.errors import SambenchError

TEXT = """
title = "A small suite"
description = "Two lines\\nof text."
tracks = ["E", "G"]
seeds = [7, 8]
[spec]
model = "mlp"
subset = 96
batch_size = 32
epochs = 1
[tuning]
trials = 3
finalists = 2
seeds = [1000, 1001]
[[runs]]
variant = "sgd"
[[runs]]
variant = "unified_sam"
lam = 0.5
[[runs]]
variant = "esam"
"""


@pytest.fixture(scope="session")
def small_suite(tmp_path_factory):
    def make(text=TEXT):
        path = tmp_path_factory.mktemp("small") / "small.toml"
        path.write_text(text)
        return load_suite(str(path))

    make.text = TEXT
    return make


@pytest.fixture(scope="session")
def runner():
    """Make runs in this process; what failed is reported, as the pool does. ``made`` lists them."""

    def into(store):
        def run(specs):
            errors = {}
            for spec in specs:
                if not store.has(spec.run_id):
                    run.made.append(spec)
                try:
                    run_spec(spec, store)
                except SambenchError as error:
                    errors[spec.run_id] = str(error)
            return errors

        run.made = []
        return run

    return into
