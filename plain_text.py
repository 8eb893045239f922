"""Texts of others as they may be shown: nothing in them acts on a terminal or moves what stands beside it."""


def printable(text: str, keep: str = "") -> str:
    r"""Write out what cannot be printed: control and escape characters, changes of direction, lone surrogates.

    Args:
        text: any text.
        keep: characters that stay although they are no printable ones, as line breaks in a text of several lines.

    Example:
        >>> print(printable("a\x1b[31m\u202eb\udcff"))
        a\x1b[31m\u202eb\udcff
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape").decode("ascii") for one in text
    )
