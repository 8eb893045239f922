"""The version of the package, apart from its public names, so that a record can name it without importing those."""

__version__ = "0.1.0"
