"""Where a data set comes from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where a data set comes from: the name that specs and records carry, and what the loader is given."""

    name: str
    location: str

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
