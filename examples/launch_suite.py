"""A suite of your own, launched from Python: what `sambench launch suite.toml` does, and the same run ids."""

import sys
from collections import Counter
from pathlib import Path

import sambench as sb

SUITE = """
title = "SAM against SGD on digits, a first look"
seeds = [0, 1, 2]

[spec]
dataset = "digits"
model = "mlp"
epochs = 3

[[runs]]
variant = "sgd"

[[runs]]
variant = "sam"
grid = { rho = [0.05, 0.1] }
"""

if __name__ == "__main__":  # the worker processes import this file
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "sambench-results")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "first_look.toml"
    file.write_text(SUITE)
    ended = sb.launch_suite(file, folder, sb.make_executor("local", workers=2))
    print(dict(Counter(ended.values())) or "everything was there already")
    frame = sb.load_results(folder)
    print(frame.groupby(["variant", "hyper.rho"], dropna=False)["accuracy"].agg(["mean", "std", "count"]))
