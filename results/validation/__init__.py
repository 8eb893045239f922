"""Whether a folder of records keeps the rules: what a contribution has to pass."""

from .finding import Finding
from .folder import validate

__all__ = ["Finding", "validate"]
