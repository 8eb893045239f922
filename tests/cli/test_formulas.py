"""Documentation on a terminal: every formula in Unicode, no markup left."""

import importlib
import inspect
import re

import pytest

from sambench.cli.describe import KINDS
from sambench.cli.formulas import prose, unicode_math
from sambench.registry import definition_of


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_has_its_formulas_and_no_markup(kind):
    registry = KINDS[kind].registry
    for name, member in zip(registry.names(), registry.all(), strict=True):
        text = prose(inspect.getdoc(definition_of(member)) or "", 80)
        assert not re.search(r"\\[A-Za-z]|:\w+:`|\.\. math::", text), (name, text)
        assert all(len(line) <= 80 for line in text.splitlines() if "∇" in line), name


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"w_{t+1} = w_t - \eta g", "wₜ₊₁ = wₜ − ηg"),
        (r"-\frac{\|g\|^2}{2 n}", "−‖g‖²/(2n)"),
        (r"\frac{a + b}{\sqrt{x y}}", "(a + b)/√(xy)"),
        (r"\frac{\partial}{\partial x} f", "∂/∂x f"),
        (r"\mathrm{base}\Big(w, \tfrac{1}{2} g\Big)", "base(w, 1/2 g)"),
        (r"\begin{cases} 1 & x \ge 0 \\ 0 & \text{else} \end{cases}", "{1  x ≥ 0; 0  else"),
        (r"\hat g + \widehat{(a - b)} + \bar\delta_j", "\u011d + hat(a − b) + δ̄ⱼ"),
        (r"\sum_{i \in S} f_i, \quad f_S^{-1/2}", "∑_{i∈S} fᵢ,  f_S^{−1/2}"),
        (r"f'(x) \text{ if } x = -1", "f′(x) if x = −1"),
    ],
)
def test_what_a_reader_sees(tex, text):
    assert unicode_math(tex) == text


def test_a_formula_that_is_not_known_stays_as_it_is():
    assert prose(r"A rule of :math:`\unheard x`.", 80) == r"A rule of \unheard x."


def test_arguments_of_functions_are_left_out_and_lists_keep_their_lines():
    text = "One line.\n\nArgs:\n    x: what.\n\n- a\n- b\n\nRaises:\n    E: never."
    assert prose(text, 80) == "One line.\n\n- a\n- b"
    assert importlib.import_module("sambench.cli.formulas").prose("word " * 40, 40).count("\n") == 4
