"""sambench: a benchmark suite for Sharpness-Aware Minimization and its variants."""

__version__ = "0.1.0"
