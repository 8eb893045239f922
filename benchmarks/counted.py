"""What a run computed, counted where it happens."""

from dataclasses import dataclass


@dataclass
class Counted:
    """What was computed so far. One gradient evaluation is one forward and backward over one full batch."""

    gradient_evaluations: float = 0.0
    forward_evaluations: float = 0.0
    samples: int = 0
    skipped_steps: int = 0
