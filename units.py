"""Sizes and times as texts for people."""


def size(count: float) -> str:
    """Write a number of bytes with a unit.

    Example:
        >>> size(1_500_000), size(2e12)
        ('1.5 MB', '2.0 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Write a number of seconds with a unit.

    Example:
        >>> duration(45), duration(600), duration(7200), duration(1e6)
        ('45 s', '10.0 min', '2.0 h', '11.6 d')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 96 * 3600 else f"{seconds / 86400:.1f} d"
