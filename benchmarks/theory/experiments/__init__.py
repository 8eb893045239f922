"""The figures of the theory bench, one experiment a file; a new file that registers one is found."""

from .base import EXPERIMENTS, Experiment, read_data, run_experiment, run_experiments

__all__ = ["EXPERIMENTS", "Experiment", "read_data", "run_experiment", "run_experiments"]
