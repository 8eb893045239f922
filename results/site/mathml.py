r"""TeX as it stands in docstrings -> MathML, which browsers show without a script and screen readers read aloud."""

import re
import unicodedata
from html import escape, unescape

from ...errors import ConfigError

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|[^\s]")
_GROUP = re.compile(r"\s*\{([^{}]*)\}")
_SYMBOLS = {
    "|": "‖", "{": "{", "}": "}", "epsilon": "ϵ", "varepsilon": "ε", "phi": "ϕ", "varphi": "φ", "infty": "∞",
    "to": "→", "cdot": "⋅", "dots": "…", "ldots": "…", "cdots": "⋯", "circ": "∘", "top": "⊤", "perp": "⊥", "mid": "∣",
    "ge": "≥", "geq": "≥", "le": "≤", "leq": "≤", "neq": "≠", "odot": "⊙", "nabla": "∇", "partial": "∂", "star": "⋆",
}  # fmt: skip
"""Commands whose name is not, or not with that meaning, the name of a character in HTML."""
_SPACES = {",": 0.17, ":": 0.22, ";": 0.28, "!": -0.17, " ": 0.25, "quad": 1, "qquad": 2}
_ACCENTS = {"hat": "^", "widehat": "^", "tilde": "~", "widetilde": "~", "bar": "¯", "overline": "¯", "vec": "→"}
_FUNCTIONS = {"min", "max", "cos", "sin", "log", "exp", "det", "sup", "inf", "arg", "tr"}
_LIMITS = {"min", "max", "sup", "inf", "sum", "prod", "bigcup"}
_FONTS = {"mathrm", "operatorname", "mathbf", "mathcal", "mathbb"}
_SIZES = {"big": 1.2, "Big": 1.8, "bigg": 2.4, "Bigg": 3, "left": 0, "right": 0}
_IGNORED = {"textstyle", "displaystyle", "limits", "nolimits"}
_ROW_ENDS = ("}", "&", "\\\\", "\\end", "\\right")


def mathml(tex: str, display: bool = False) -> str:
    r"""Convert a formula; what the reader sees is MathML, and the TeX goes with it as an annotation.

    Args:
        tex: the formula without its dollars.
        display: whether it stands on a line of its own.

    Raises:
        ConfigError: a command is not known, or braces do not match.

    Example:
        >>> mathml(r"\rho^2").partition("<annotation")[0]
        '<math><semantics><mrow><msup><mi>ρ</mi><mn>2</mn></msup></mrow>'
    """
    reader = _Reader(tex)
    body = reader.row()
    if reader.next:
        raise ConfigError(f"formula {tex!r:.80} ends before {reader.next!r}; braces and environments must match")
    kind = ' display="block"' if display else ""
    note = f'<annotation encoding="application/x-tex">{escape(tex.strip())}</annotation>'
    return f"<math{kind}><semantics>{body}{note}</semantics></math>"


class _Reader:
    """Recursive descent over the tokens of a formula; each method returns the MathML of what it read."""

    def __init__(self, tex: str):
        self.tex, self.at = tex, 0

    @property
    def next(self) -> str:
        """The next token, empty at the end."""
        found = _TOKEN.search(self.tex, self.at)
        return found[0] if found else ""

    def take(self) -> str:
        found = _TOKEN.search(self.tex, self.at)
        if found is None:
            raise ConfigError(f"formula {self.tex!r:.80} ends too early")
        self.at = found.end()
        return found[0]

    def row(self) -> str:
        parts = []
        while self.next and self.next not in _ROW_ENDS:
            parts.append(self.scripted())
        return f"<mrow>{''.join(parts)}</mrow>"

    def scripted(self) -> str:
        """Read an atom with what stands below and above it."""
        name = self.next.removeprefix("\\")
        base, below, above = self.atom(), "", ""
        while self.next in ("_", "^", "'"):
            match self.take():
                case "_":
                    below = self.atom()
                case "^":
                    above = self.atom()
                case _:
                    above += "<mo>′</mo>"
        above = f"<mrow>{above}</mrow>" if above.count("<mo>′") > 1 else above
        under, over = ("munder", "mover") if name in _LIMITS else ("msub", "msup")
        if below and above:
            both = under + over.removeprefix("m")
            return f"<{both}>{base}{below}{above}</{both}>"
        kind = under if below else over
        return f"<{kind}>{base}{below}{above}</{kind}>" if below or above else base

    def atom(self) -> str:
        token = self.take()
        if token == "{":
            body = self.row()
            self.close("}")
            return body
        if token.startswith("\\"):
            return self.command(token[1:])
        return _leaf(token)

    def close(self, expected: str) -> None:
        if self.next != expected:
            raise ConfigError(f"formula {self.tex!r:.80} lacks {expected!r} before {self.next!r}")
        self.take()

    def text(self) -> str:
        found = _GROUP.match(self.tex, self.at)
        if found is None:
            raise ConfigError(f"formula {self.tex!r:.80}: a text in braces is expected at {self.tex[self.at :]!r:.20}")
        self.at = found.end()
        return found[1]

    def command(self, name: str) -> str:
        if name in _SPACES:
            return f'<mspace width="{_SPACES[name]}em"/>'
        if name in _IGNORED:
            return ""
        if name in ("frac", "tfrac", "dfrac"):
            return f"<mfrac>{self.atom()}{self.atom()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self.atom()}</msqrt>"
        if name in _ACCENTS:
            return f'<mover accent="true">{self.atom()}<mo>{_ACCENTS[name]}</mo></mover>'
        if name == "text":
            return f"<mtext>{escape(self.text())}</mtext>"
        if name in _FONTS:
            text = self.text()
            return f'<mi mathvariant="normal">{escape(text)}</mi>' if len(text) == 1 else f"<mi>{escape(text)}</mi>"
        if name in _SIZES:
            token = self.take()
            mark = "" if token == "." else _symbol(token[1:]) if token.startswith("\\") else token
            size = f' minsize="{_SIZES[name]}em"' if _SIZES[name] else ""
            return f"<mo{size}>{escape(mark)}</mo>"
        if name in _FUNCTIONS:
            return f"<mi>{name}</mi>"
        if name == "begin":
            return self.environment(self.text())
        return _leaf(_symbol(name))

    def environment(self, name: str) -> str:
        lines, cells = [], [self.row()]
        while self.next in ("&", "\\\\"):
            if self.take() == "&":
                cells.append(self.row())
            else:
                lines.append(cells)
                cells = [self.row()]
        self.close("\\end")
        if self.text() != name:
            raise ConfigError(f"formula {self.tex!r:.80}: the environment {name!r} does not end")
        rows = "".join(f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in line)}</mtr>" for line in [*lines, cells])
        return f"{'<mo>{</mo>' * (name == 'cases')}<mtable>{rows}</mtable>"


def _symbol(name: str) -> str:
    found = _SYMBOLS.get(name) or unescape(f"&{name};")
    if found.startswith("&"):
        raise ConfigError(f"command \\{name} of a formula is not known; write it with commands of plain TeX")
    return found


def _leaf(text: str) -> str:
    if text[0].isdigit():
        return f"<mn>{text}</mn>"
    if unicodedata.category(text[0]).startswith("L") or text in "∇∂∞⊤":
        return f"<mi>{text}</mi>"
    shown = {"-": "−", "*": "∗"}.get(text, text)
    return f'<mo stretchy="false">{shown}</mo>' if shown in "()[]|‖{}" else f"<mo>{escape(shown)}</mo>"
