"""Formulas: every one of the documentation becomes MathML that a parser takes, and wrong ones are refused."""

import xml.etree.ElementTree as ElementTree

import pytest

from sambench.benchmarks.conformance.variant_pages import describe
from sambench.errors import ConfigError
from sambench.results.site.mathml import mathml
from sambench.results.site.prose import html
from sambench.variants import list_variants


def plain(formula):
    return "".join(ElementTree.fromstring(mathml(formula)).find("semantics/mrow").itertext())


@pytest.mark.parametrize("name", [info.name for info in list_variants()])
def test_every_card_has_its_formulas(name):
    shown = str(html(describe(name)))
    assert "<code>\\" not in shown  # what a formula that is not converted leaves
    for part in shown.split("<math")[1:]:
        ElementTree.fromstring("<math" + part.partition("</math>")[0] + "</math>")


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"w_{t+1} = w_t - \eta g", "wt+1=wt−ηg"),
        (r"\frac{\|g\|^2}{2}", "‖g‖22"),
        (r"\begin{cases} 1 & x \ge 0 \\ 0 & \text{else} \end{cases}", "{1x≥00else"),
        (r"\mathrm{base}\Big(w\Big)", "base(w)"),
        (r"f'(x)", "f′(x)"),
    ],
)
def test_what_a_reader_sees(tex, text):
    assert plain(tex) == text


@pytest.mark.parametrize("tex", ["{a", "a}", r"\frac{1}", r"\unheard", r"\begin{cases} a", r"\text x", "x_"])
def test_what_is_no_formula_is_refused(tex):
    with pytest.raises(ConfigError, match="formula"):
        mathml(tex)


def test_markup_in_markdown_is_shown_and_not_obeyed():
    shown = str(html("<script>alert(1)</script> [a](javascript:alert(1)) ![b](x.png)", image=lambda _: ""))
    assert "<script" not in shown
    assert 'href="javascript' not in shown
    assert 'src="x.png"' not in shown
