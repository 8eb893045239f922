"""The name and location of a data set."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """The source of a data set.

    Attributes:
        name: name of the data set in specs and records.
        location: first argument of :func:`~sambench.datasets.load`, such as ``parquet:DIR``.
    """

    name: str
    location: str

    def below(self, folder: Path) -> "Source":
        """Return the source with a relative place taken from a folder: it is found from wherever a command is given."""
        kind, colon, place = self.location.partition(":")
        return Source(self.name, f"{kind}:{folder / place}") if colon else self

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Read ``digits``, ``parquet:DIR`` or ``NAME=parquet:DIR``.

        Example:
            >>> Source.parse("cifar10-jpeg=parquet:data")
            Source(name='cifar10-jpeg', location='parquet:data')
        """
        name, equals, location = text.partition("=")
        if equals:
            return cls(name.strip(), location.strip())
        kind, colon, folder = text.partition(":")
        if colon:
            return cls(f"{kind}-{folder.rstrip('/').rpartition('/')[2]}".lower(), text)
        return cls(text, text)
