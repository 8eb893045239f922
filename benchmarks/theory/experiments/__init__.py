"""The figures of the theory bench, one experiment a file; a new file that defines ``EXPERIMENT`` is found by itself."""

from .base import Experiment, get_experiment, list_experiments, read_data, run_experiment

__all__ = ["Experiment", "get_experiment", "list_experiments", "read_data", "run_experiment"]
