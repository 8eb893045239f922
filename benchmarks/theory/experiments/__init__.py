"""The figures of the theory bench, one experiment a file; each file that defines ``EXPERIMENT`` is found."""

from .base import Experiment, get_experiment, list_experiments, read_data, run_experiment

__all__ = ["Experiment", "get_experiment", "list_experiments", "read_data", "run_experiment"]
