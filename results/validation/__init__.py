"""Checks that a folder of records keeps the rules; a contribution has to pass them."""

from .finding import Finding
from .folder import validate

__all__ = ["Finding", "validate"]
