"""Models by name: small-image classifiers, one family a file; a new file that registers one is found by itself."""

from .registry import (
    MODELS,
    ModelInfo,
    Task,
    activation_bytes_of,
    build,
    build_for,
    forward_flops_of,
    parameters_of,
    register_model,
    state_bytes_of,
)

__all__ = [
    "MODELS",
    "ModelInfo",
    "Task",
    "activation_bytes_of",
    "build",
    "build_for",
    "forward_flops_of",
    "parameters_of",
    "register_model",
    "state_bytes_of",
]
