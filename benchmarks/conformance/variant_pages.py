"""One page a variant and one table of the family, in Markdown, from what is declared beside each class.

The pages stand in ``docs/variants``. They are build products: :func:`write` makes them, :func:`stale` names those that
no longer say what the metadata says.
"""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...hyper import Hyper
from ...results.records.behaviour import PATH as BEHAVIOURS
from ...results.records.behaviour import behaviours_text, known_behaviours
from ...results.records.conformance import PATH, Checks, checks_text, conformance_checks
from ...variants import AVERAGES, HOOKS, VariantInfo, get_info, list_variants
from ..training.behaviour import behaviour_of
from . import CheckResult, list_checks, run

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "variants"
QUOTED = "Quoted, not measured here; protocols differ from source to source, so compare within one source only."
MARKS = {"pass": "holds", "fail": "**fails**", "n/a": "does not apply"}


# -- text ------------------------------------------------------------------------------------------------------


def markdown(docstring: str) -> str:
    r"""Turn a docstring (reStructuredText math and roles, Google sections) into Markdown.

    Example:
        >>> print(markdown(r'''A rule of :math:`\rho`, see :class:`~sambench.variants.sam.SAM`.
        ...
        ... .. math:: w = 1
        ...
        ... References:
        ...     A paper.'''))
        A rule of $\rho$, see `SAM`.
        <BLANKLINE>
        $$
        w = 1
        $$
        <BLANKLINE>
        ## References
        <BLANKLINE>
        A paper.
    """
    text = inspect.cleandoc(docstring)
    text = re.sub(r"^\.\. math::[ ]?(.*(?:\n(?:[ ]{4}.*)?)*)", _display, text, flags=re.MULTILINE)
    text = re.sub(r"^(References|Examples?|Raises|Args):\n((?:[ ]{4}.*\n?|\n)+)", _section, text, flags=re.MULTILINE)
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`").strip()


def _display(match: re.Match[str]) -> str:
    """Each paragraph of a math block is a display of its own."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(match[1]).strip())
    return "\n\n".join(f"$$\n{paragraph.strip()}\n$$" for paragraph in paragraphs) + "\n\n"


def _section(match: re.Match[str]) -> str:
    body = inspect.cleandoc(match[2])
    if ">>>" in body:
        body = f"```python\n{body}\n```"
    return f"## {match[1]}\n\n{body}\n"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _setting(values: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}={value}`" for key, value in values.items()) or "defaults"


def _search(hyper: Hyper) -> str:
    if hyper.search is None:
        return "not searched"
    *values, scale = hyper.search
    if scale in ("log", "linear"):
        return f"{values[0]} to {values[1]}{f' of {hyper.share_of}' if hyper.share_of else ''}, {scale}"
    return ", ".join(map(str, hyper.search))


# -- what is said ----------------------------------------------------------------------------------------------


def _cost(info: VariantInfo) -> str:
    hyper = {key: value.default for key, value in info.hyper.items()}
    gradients, forwards = info.declared_gradients(hyper), info.declared_forwards(hyper)
    text = f"{gradients:g} gradient evaluations" + (f" and {forwards:g} forward passes" if forwards else "")
    meant = {
        "fixed": "",
        "random": ", on average over independent steps",
        "adaptive": ", depending on the gradients seen",
    }
    depends = " at the defaults" if callable(info.gradients) or callable(info.forwards) else ""
    return text + depends + meant[info.cost]


def _source(info: VariantInfo) -> str:
    if info.paper is None:
        return "none"
    where = f"[arXiv {info.paper.arxiv}](https://arxiv.org/abs/{info.paper.arxiv})" if info.paper.arxiv else ""
    title = f"*{info.paper.title}*" if info.paper.title else ""
    code = f"original code: {info.paper.code}" if info.paper.code else ""
    return ". ".join(filter(None, [f"{info.paper.authors} ({info.paper.year})", title, where, code]))


def _facts(info: VariantInfo) -> list[list[str]]:
    waits = (
        "waits for the device, since its definition branches on a value" if info.synchronizes else "never waits for it"
    )
    return [
        ["status", info.status],
        ["paper", _source(info)],
        ["cost per step", _cost(info)],
        ["memory", f"{info.state:g} copies of the model kept, {info.transient:g} more in a step beside the gradient"],
        ["device", waits],
        ["needs", info.requirements()],
        ["sampler", info.sampler],
        *(
            [kind, name]
            for kind, name in (("loss hook", info.hook), ("weight average", info.average))
            if name != "none"
        ),
        ["neutral setting", "none" if info.neutral is None else _setting(info.neutral)],
    ]


def _conformance(verdicts: Mapping[str, str] | None, name: str) -> str:
    if verdicts is None:
        return f"Not checked here; run `sambench check {name}`."
    rows = [[str(one.number), one.summary, MARKS[verdicts[one.name]]] for one in list_checks() if one.name in verdicts]
    return table(["", "property", "result"], rows)


def describe(name: str, verdicts: Checks | None = None) -> str:
    """Return the page of one variant.

    Args:
        name: name of a registered variant.
        verdicts: of the conformance suite, variant -> check -> verdict; by default those of the package.
    """
    info = get_info(name)
    verdicts = conformance_checks() if verdicts is None else verdicts
    parts = [f"# {info.name}", info.summary[0].upper() + info.summary[1:] + "."]
    parts += [table(["", ""], _facts(info)), "## Rule", markdown(info.cls.__doc__ or "")]
    for kind in (HOOKS.get(info.hook), AVERAGES.get(info.average)):
        if kind.name != "none":
            parts += [f"## {kind.__name__}", markdown(kind.__doc__ or "").replace("## ", "### ")]
    if info.hyper:
        rows = [[f"`{k}`", str(h.default), h.describe(), _search(h), h.doc] for k, h in info.hyper.items()]
        parts += ["## Hyper-parameters", table(["name", "default", "valid", "search range", "meaning"], rows)]
    if info.defaults:
        rows = [[dataset, _setting(values)] for dataset, values in info.defaults.items()]
        parts += ["## Published settings", table(["data set", "setting"], rows)]
    if info.published:
        rows = [
            [o.accuracy(), o.dataset, o.network, _setting(o.hyper) if o.hyper else "–", o.protocol, o.source]
            for o in info.published
        ]
        columns = ["test accuracy, %", "data set", "network", "setting", "protocol", "source"]
        parts += ["## Published numbers", QUOTED, table(columns, rows)]
    if info.identities:
        rows = [[_setting(i.hyper), f"[{i.equals}]({i.equals}.md)", _setting(i.other)] for i in info.identities]
        parts += ["## Identities", "Proven by the conformance suite.", table(["at", "it is", "at"], rows)]
    if info.notes:
        parts += ["## Caveats", info.notes]
    parts += ["## Conformance", _conformance(verdicts.get(name), name)]
    return "\n\n".join(parts) + "\n"


def family() -> str:
    """Return the table of all variants."""
    rows = []
    for info in list_variants():
        hyper = {key: value.default for key, value in info.hyper.items()}
        forwards = info.declared_forwards(hyper)
        rows.append(
            [
                f"[{info.name}]({info.name}.md)",
                info.summary,
                f"{info.declared_gradients(hyper):g}" + (f" + {forwards:g} F" if forwards else ""),
                f"{info.state:g} / {info.transient:g}",
                ", ".join(info.needs) or "–",
                ", ".join(dict.fromkeys(i.equals for i in info.identities)) or "–",
                str(info.paper or "–"),
                "" if info.status == "reference" else "unverified",
            ]
        )
    columns = ["variant", "what it does", "cost", "memory", "needs", "contains", "paper", "status"]
    legend = (
        "Cost: gradient evaluations per step at the defaults, F forward passes. Memory: copies of the model kept, and "
        "alive in a step beside the gradient. Contains: variants that it is at some setting. Unverified: rule or "
        "hyper-parameters rest on no source that could be read."
    )
    return f"# The family\n\n{legend}\n\n{table(columns, rows)}\n"


# -- files -----------------------------------------------------------------------------------------------------


def pages(verdicts: Checks) -> dict[str, str]:
    """Return every page by its file name."""
    return {
        **{f"{info.name}.md": describe(info.name, verdicts) for info in list_variants()},
        "README.md": family(),
    }


def write(folder: Path = FOLDER, found: Path = PATH, results: list[CheckResult] | None = None) -> list[Path]:
    """Check every variant, write all pages and what was found, and remove the pages of variants that are gone.

    Args:
        folder: folder of the pages.
        found: file for the verdicts of the conformance suite.
        results: of the conformance suite, if it has just been run; by default it is run now.

    Returns:
        The paths of all files written.
    """
    verdicts: dict[str, dict[str, str]] = {}
    for result in run([info.name for info in list_variants()]) if results is None else results:
        verdicts.setdefault(result.variant, {})[result.check] = result.verdict
    made = pages(verdicts)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.suffix == ".md" and path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    found.write_text(checks_text(verdicts), encoding="utf-8")
    return [*(folder / name for name in made), found]


def remember(path: Path = BEHAVIOURS) -> Path:
    """Add how every variant behaves to those of all sources before, and return the path of the file."""
    known = {name: dict(sources) for name, sources in known_behaviours(path).items()}
    for info in list_variants():
        if behaviour := behaviour_of(info):
            known.setdefault(info.name, {})[info.source_hash()] = behaviour
    path.write_text(behaviours_text(known), encoding="utf-8")
    return path


def stale(folder: Path = FOLDER, found: Path = PATH) -> list[str]:
    """Return the file names of pages that are missing, out of date or of no variant."""
    due = pages(conformance_checks(found))
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    return sorted(name for name in due.keys() | there.keys() if due.get(name) != there.get(name))


if __name__ == "__main__":
    for page in [*write(), remember()]:
        print(page)
