"""The records of a results folder as a pandas table: any question that no board answers.

By default the records of this repository; give another folder as argument.
"""

import sys
from pathlib import Path

import sambench as sb

folder = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "results"
frame = sb.load_results(folder)
runs = frame[(frame["dataset"] == "digits") & (frame["status"] == "completed") & (frame["split"] == "full")]
table = runs.groupby("variant").agg(
    error=("accuracy", lambda accuracy: 100 * (1 - accuracy.mean())),
    runs=("run_id", "count"),
    gradients=("gradient_evaluations", "mean"),
)
print(table.sort_values("error").head(10).to_string(float_format="{:.2f}".format))
