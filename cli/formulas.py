r"""Docstrings on a terminal: formulas in Unicode, roles as plain names, paragraphs as wide as the screen."""

import inspect
import re
import textwrap
from unicodedata import normalize
from xml.etree.ElementTree import Element, fromstring

from ..errors import ConfigError
from ..results.site.mathml import mathml

_PLAIN = "0123456789+−=()aehijklmnoprstuvxβγρϕχ"
_BELOW = dict(zip(_PLAIN, "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
_RAISED = "0123456789+−=()abcdefghijklmnoprstuvwxyzT⊤′"
_ABOVE = dict(zip(_RAISED, "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᵀ′", strict=True))
_ACCENTS = {"^": ("\u0302", "hat"), "~": ("\u0303", "tilde"), "¯": ("\u0304", "mean"), "→": ("\u20d7", "vec")}
"""How an accent is written on a letter, and before what is none."""
_SPACED = set("=≠<>≤≥∈∉≈∼≡←→↦⇒⊂⊆∝∣≪≫+−±⋅×∘⊙∗∪∩")
_OPEN, _AFTER, _TIGHT = set("([{⟨⌊⌈/"), set(",;"), set("([{⟨)]}⟩⌋⌉,.;:/′")
_SIGNS = set("+−±")
_QUAD = "\u2003"
_SCRIPTS = "[{}\u0302\u0303\u0304\u20d7]*".format("".join(sorted({*_BELOW.values(), *_ABOVE.values()})))
_ATOM = rf"[∂√]?(\d+|\w|‖[^‖]*‖|\([^()]*\)|⟨[^⟨⟩]*⟩){_SCRIPTS}"
_FACTORS = rf"{_ATOM}|[^\s+−⋅/,=]+|\[[^\[\]]*\]{_SCRIPTS}"
"""What needs no parentheses below a line of a fraction, and above it."""


def unicode_math(tex: str) -> str:
    r"""Write a formula in one line of text; what has no letter above or below the line stands after ``^`` or ``_``.

    Args:
        tex: the formula without its dollars.

    Raises:
        ConfigError: a command is not known, or braces do not match.

    Example:
        >>> print(unicode_math(r"w_{t+1} = w_t - \eta \nabla f_S\Big(w_t + \rho \frac{g_t}{\|g_t\|}\Big)^2"))
        wₜ₊₁ = wₜ − η∇f_S(wₜ + ρ gₜ/‖gₜ‖)²
    """
    row = fromstring(mathml(tex)).find("semantics/mrow")
    text = "" if row is None else re.sub(" +", " ", _row(row))
    return re.sub(f" ?{_QUAD}+ ?", "  ", re.sub(r" (?=[)\]⟩,.:])", "", normalize("NFC", text))).strip()


def prose(docstring: str, width: int) -> str:
    r"""Lay a docstring out for a terminal.

    Arguments and errors are left out: they are of a function, and nobody calls it from there.

    Args:
        docstring: its text.
        width: columns of the terminal.

    Example:
        >>> print(prose(r'''A rule of :math:`\rho`, see :class:`~sambench.variants.sam.SAM`.
        ...
        ... .. math:: w = \frac{1}{2}
        ... ''', 80))
        A rule of ρ, see SAM.
        <BLANKLINE>
            w = 1/2
    """
    text = inspect.cleandoc(docstring)
    text = re.sub(r"^(Args|Raises|Returns|Shapes):\n((?:[ ]{4}.*\n?|\n)+)", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\.\. math::[ ]?(.*(?:\n(?:[ ]{4}.*)?)*)", lambda found: _display(found, width), text, flags=re.M)
    text = re.sub(r":math:`([^`]+)`", lambda found: _formula(found[1]), text)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text).replace("``", "")
    return "\n\n".join(_fill(part, width) for part in re.split(r"\n\s*\n", text.strip()))


def _display(found: re.Match[str], width: int) -> str:
    parts = re.split(r"\n\s*\n", inspect.cleandoc(found[1]).strip())
    return "\n".join(line for part in parts for line in _lines(_formula(part), width)) + "\n\n"


def _lines(formula: str, width: int) -> list[str]:
    """Break a formula between its clauses, and a clause only where it is longer than a line."""
    lines = [""]
    for clause in formula.split("  "):
        joined = "  ".join(filter(None, [lines[-1], clause]))
        if len(joined) <= width - 4:
            lines[-1] = joined
        else:
            lines += textwrap.wrap(clause, width - 8, subsequent_indent="    ", break_long_words=False)
    return [f"    {line}" for line in lines if line]


def _formula(tex: str) -> str:
    try:
        return unicode_math(tex)
    except ConfigError:  # a formula of a plug-in, which need not keep to what is converted
        return tex


def _fill(paragraph: str, width: int) -> str:
    """Break a paragraph anew; what is indented, a list or code keeps its lines."""
    if re.search(r"^(\s|[-*] |\d+\. |>>>|[=+|])", paragraph, flags=re.MULTILINE):
        return paragraph
    return textwrap.fill(paragraph, width=width, break_long_words=False, break_on_hyphens=False)


def _row(parent: Element, close: bool = False) -> str:
    """Write the parts of a row side by side.

    Args:
        parent: the row.
        close: whether it is above or below the line, where nothing is spaced.
    """
    text, operand, wide = "", False, False
    for part in parent:
        shown = _part(part, close)
        if part.tag == "mo" and shown in _SPACED and not close:
            sign = shown in _SIGNS and not operand
            text = f"{text}{shown}" if sign else f"{text} {shown} "
            operand = wide = False
        elif part.tag in ("mspace", "mtext") or not shown:
            text += shown.strip(" ") if close else shown
            operand = operand or part.tag == "mtext"
        else:
            word = part.tag == "mi" and len(shown) > 1
            apart = operand and (wide or word or part.tag == "mfrac") and shown[0] not in _TIGHT
            text += " " * apart + shown + " " * (shown in _AFTER and not close)
            operand = not (shown in _OPEN or shown in _AFTER)
            wide = operand and (word or part.tag == "mfrac" or shown[0] in "∑∏⋃")
    return text


def _part(part: Element, close: bool) -> str:
    inner = list(part)
    match part.tag:
        case "mrow":
            return _row(part, close)
        case "mspace":
            width = float(str(part.get("width")).removesuffix("em"))
            return "" if width <= 0 or close else _QUAD if width >= 1 else " "
        case "mfrac":
            above, below = (_part(one, close) for one in inner)
            return f"{_grouped(above, _FACTORS)}/{_grouped(below, _ATOM)}"
        case "msqrt":
            return "√" + _grouped(_row(part, close), _ATOM)
        case "mover" if part.get("accent"):
            base, (mark, name) = _part(inner[0], close), _ACCENTS.get(str(inner[1].text), ("", ""))
            simple = re.fullmatch(_ATOM, base) and base[0].isalpha()
            return f"{base[0]}{mark}{base[1:]}" if simple else name + _grouped(base, r"\(.*\)")
        case "msup" | "mover":
            return _part(inner[0], close) + _script(inner[1], "^", _ABOVE)
        case "msub" | "munder":
            return _part(inner[0], close) + _script(inner[1], "_", _BELOW)
        case "msubsup" | "munderover":
            base, below, above = inner
            return _part(base, close) + _script(below, "_", _BELOW) + _script(above, "^", _ABOVE)
        case "mtable":
            rows = [[_part(cell, close) for cell in line] for line in inner]
            return "; ".join(_QUAD.join(cell.strip() for cell in line if cell.strip()) for line in rows)
        case "mtr" | "mtd":
            return _row(part, close)
        case "mtext":
            return f" {part.text or ''} "
        case _:
            return part.text or ""


def _script(part: Element, mark: str, letters: dict[str, str]) -> str:
    text = _part(part, close=True)
    if text and all(one in letters for one in text):
        return "".join(letters[one] for one in text)
    return f"{mark}{text}" if len(text) == 1 else f"{mark}{{{text}}}"


def _grouped(text: str, simple: str) -> str:
    """Put a text into parentheses unless it is of a simple kind."""
    return text if re.fullmatch(simple, text) else f"({text})"
