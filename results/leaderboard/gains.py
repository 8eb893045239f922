"""The figure of the first page: what SAM and the best row gain over SGD, as SVG, the same bytes on every machine."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from ...plain_text import printable
from ..statistics.pairs import PairDifference

LEFT, RIGHT, ROW, TOP = 250, 830, 34, 62
"""Ends of the axis, height of a row and of what stands above the first, in pixels."""

_STYLE = """\
text { font: 13px sans-serif; fill: #24292f } .small { font-size: 11px; fill: #57606a }
.card { fill: #ffffff } .zero { stroke: #57606a } .grid { stroke: #d8dee4 }
.sam { stroke: #0969da; fill: #0969da } .best { stroke: #8c959f; fill: #8c959f }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9198a1 } .card { fill: #0d1117 }
.zero { stroke: #9198a1 } .grid { stroke: #30363d } .sam { stroke: #4493f8; fill: #4493f8 } }"""


class Gain(NamedTuple):
    """One line of the figure.

    Attributes:
        title: name of the table.
        error: error of SGD's best row, a share.
        sam: difference of SAM from it, ``None`` if there is none.
        best: difference of the best row from it.
        name: label of the best row.
    """

    title: str
    error: float
    sam: PairDifference | None
    best: PairDifference | None
    name: str


def draw(gains: Sequence[Gain]) -> str:
    """Draw errors relative to SGD's with their 95 % intervals; left of the line is better.

    Args:
        gains: the lines, from above; each has an error above 0 and at least one difference.
    """
    ends = [end for gain in gains for one in (gain.sam, gain.best) if one for end in _percent(gain, one)]
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**6) if max(map(abs, ends)) / step <= 10)
    low, high = min(0, *ends) // step * step, -(min(0, *(-end for end in ends)) // step) * step
    scale = (RIGHT - LEFT) / ((high - low) or 1)

    def x(value: float) -> str:
        return f"{LEFT + (value - low) * scale:.1f}"

    bottom = TOP + ROW * len(gains)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{bottom + 44}" '
        f'viewBox="0 0 860 {bottom + 44}" role="img">',
        "<title>Error relative to that of SGD, with 95 % intervals</title>",
        f"<style>{_STYLE}</style>",
        '<rect class="card" width="100%" height="100%"/>',
        '<circle class="sam" cx="20" cy="20" r="5"/><text x="32" y="24">SAM</text>',
        '<circle class="best" cx="90" cy="20" r="4"/>',
        '<text x="102" y="24">the best row of the table, picked after the runs: it looks better than it is</text>',
    ]
    ticks = [low + i * step for i in range(round((high - low) / step) + 1)]
    for tick in ticks:
        kind = "grid" if tick else "zero"
        parts.append(f'<line class="{kind}" x1="{x(tick)}" y1="{TOP - 20}" x2="{x(tick)}" y2="{bottom}"/>')
        parts.append(f'<text class="small" x="{x(tick)}" y="{bottom + 16}" text-anchor="middle">{_signed(tick)}</text>')
    for i, gain in enumerate(gains):
        y = TOP + ROW * i
        parts.append(f'<text x="12" y="{y - 1}">{_text(gain.title, 36)}</text>')
        parts.append(f'<text class="small" x="12" y="{y + 12}">best: {_text(gain.name, 36)}</text>')
        for kind, one, radius, at in (("best", gain.best, 4, y + 6), ("sam", gain.sam, 5, y - 6)):
            if one:
                near, far = _percent(gain, one)
                middle = -100 * one.estimate / gain.error
                parts.append(
                    f'<line class="{kind}" x1="{x(near)}" y1="{at}" x2="{x(far)}" y2="{at}" stroke-width="2"/>'
                )
                parts.append(f'<circle class="{kind}" cx="{x(middle)}" cy="{at}" r="{radius}"/>')
    parts.append(
        f'<text class="small" x="{(LEFT + RIGHT) / 2:.1f}" y="{bottom + 34}" text-anchor="middle">'
        "error less that of SGD, % of SGD’s; left is better</text>"
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _percent(gain: Gain, one: PairDifference) -> tuple[float, float]:
    return -100 * one.high / gain.error, -100 * one.low / gain.error


def _signed(tick: float) -> str:
    return f"{tick:+.0f}".replace("-", "−") if tick else "0"


def _text(text: str, most: int) -> str:
    """Escape a text, without its middle where it is long: what tells workloads apart stands at their ends."""
    text, head = printable(text, keep=""), most // 4
    return escape(text if len(text) <= most else f"{text[:head]}…{text[head + 1 - most :]}", quote=False)
