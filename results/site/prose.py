"""Markdown of our own pages -> HTML that may stand among texts of others: no markup passes, formulas become MathML."""

import re
from collections.abc import Callable, Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from ...errors import ConfigError
from .mathml import mathml

_FORMULA = re.compile(r"(```.*?```|`[^`\n]*`)|\$\$(.+?)\$\$|(?<![\\$])\$([^$\n]+)\$", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->\n*", re.DOTALL)
NO_HEAD = re.compile(r"<thead>\s*<tr>(?:\s*<th[^>]*></th>)*\s*</tr>\s*</thead>")
"""The head of a table without headings, which Markdown cannot leave out."""
_HELD = re.compile("\ue000(\\d+)\ue001")


def html(text: str, link: Callable[[str], str] = str, image: Callable[[str], str] = str, deeper: int = 0) -> Markup:
    r"""Render Markdown.

    Args:
        text: the page; HTML in it is shown, not obeyed.
        link: address of a link as it is written -> as it is shown, empty for none.
        image: the same for an image.
        deeper: levels by which headings are lowered.

    Example:
        >>> print(html("a *b* <i> $x_1$", deeper=1).partition("<annotation")[0])
        <p>a <em>b</em> &lt;i&gt; <math><semantics><mrow><msub><mi>x</mi><mn>1</mn></msub></mrow>
    """
    page, formulas = hold_formulas(_COMMENT.sub("", text))
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(page)
    for token in tokens:
        _adapt(token, link, image, deeper)
    shown = NO_HEAD.sub("", reader.renderer.render(tokens, reader.options, {}))
    shown = shown.replace("<table>", '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>')
    return Markup(put_formulas(shown.replace("</table>", "</table></div>"), formulas))


def hold_formulas(text: str) -> tuple[str, list[str]]:
    """Take the formulas out of Markdown, so that nothing in them acts as such: the text to render, and the MathML."""
    formulas: list[str] = []

    def hold(found: re.Match[str]) -> str:
        if found[1]:
            return found[0]
        try:
            formulas.append(mathml(found[2] or found[3], display=found[2] is not None))
        except ConfigError:  # a formula of a plug-in, which need not keep to what is converted
            formulas.append(f"<code>{escape(found[2] or found[3])}</code>")
        return f"\ue000{len(formulas) - 1}\ue001"

    return _FORMULA.sub(hold, text.replace("\ue000", "").replace("\ue001", "")), formulas


def put_formulas(html: str, formulas: Sequence[str]) -> str:
    """Put formulas into what was rendered without them; a display is a block of its own."""
    html = re.sub("<p>\ue000(\\d+)\ue001</p>", "\ue000\\1\ue001", html)
    return _HELD.sub(lambda one: formulas[int(one[1])], html)


def _adapt(token: Token, link: Callable[[str], str], image: Callable[[str], str], deeper: int) -> None:
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(6, int(token.tag[1:]) + deeper)}"
    elif token.type in ("th_open", "td_open"):
        right = token.attrs.pop("style", "") == "text-align:right"  # a page allows no style but its own
        token.attrs |= ({"class": "n"} if right else {}) | ({"scope": "col"} if token.tag == "th" else {})
    elif token.type == "link_open":
        token.attrs["href"] = link(str(token.attrs["href"]))
        if not token.attrs["href"]:  # a link that leads nowhere is plain text
            del token.attrs["href"]
    elif token.type == "image":
        token.attrSet("src", image(str(token.attrGet("src"))))
    for child in token.children or ():
        _adapt(child, link, image, deeper)
