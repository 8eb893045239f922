"""``sambench site``: the results as pages that open anywhere."""

from pathlib import Path
from typing import Annotated

import typer

from .console import say, tell
from .options import RESULTS, Results, check_own, results_option


def site(
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("--output", help="folder, or with --single file \\[default: html in the results]")
    ] = None,
    single: Annotated[bool, typer.Option("--single", help="write one file that has everything in it")] = False,
) -> None:
    """Make a site of the results: tables to sort and filter, figures, cards, every run. It opens without a network."""
    check_own(output if single or output is None else output / "index.html", "Made by sambench")
    say(f"wrote {write_site(results, output, single=single)}")
    say(f"next: sambench publish published{results_option(results)}")


def write_site(
    results: str | Path,
    output: str | Path | None = None,
    *,
    single: bool = False,
    records: str | None = None,
    documentation: str = "",
) -> Path:
    """Write the site of a results folder: ``index.html`` with what it needs beside it, or one file.

    It works from ``file://`` and from any static host, and loads nothing from elsewhere. What this installation knows
    of the variants goes into it: cards, conformance, and which rows are stale.

    Args:
        results: the results folder.
        output: folder to write to, with ``single`` the file; by default ``html`` or ``html.html`` in the results.
        single: whether everything goes into one file.
        records: address of the folder of records as the page sees it; by default the relative path, for a folder within
            the results.
        documentation: address of the documentation as the page sees it; empty where there is none.

    Returns:
        The page.

    Raises:
        ConfigError: a package that a site takes is missing; the message names the extra that has it.
        StateError: there are no records, or the folder cannot be written.

    Example:
        >>> sb.write_site("results", "public")  # doctest: +SKIP
        PosixPath('public/index.html')
    """
    from ..benchmarks.conformance.variant_pages import describe
    from ..benchmarks.studying.judging import judge_all
    from ..benchmarks.studying.page import headline, section
    from ..benchmarks.training.behaviour import codes_today
    from ..results.records.store import Store
    from ..results.site.write import FOLDER, StudyText, write_pages
    from ..results.tables.boards import gather
    from ..variants import list_variants
    from .leaderboard import shown_checks

    results = Path(results)
    output = Path(output) if output else results / (f"{FOLDER}.html" if single else FOLDER)
    store, known = Store(results), {info.name for info in list_variants()}
    found = gather(store, codes_today())
    page = output if single else output / "index.html"
    for one in found.damaged:
        tell(("left out: ", "yellow"), str(one))
    checks = shown_checks(results, found)
    if records is None:
        inside = page.resolve().is_relative_to(results.resolve())
        records = "../" * (len(page.resolve().relative_to(results.resolve()).parts) - 1) + "runs/" if inside else ""
    studies = [
        StudyText(
            one.study.name,
            one.study.claim,
            one.finding.outcome if one.finding else "",
            headline(one),
            section(one),
        )
        for one in judge_all(found)
    ]
    docs = results.parent / "docs"
    beside = {"Theory": docs / "theory.md"}
    if (own := results / "theory" / "theory.md").is_file():  # of `sambench theory all`
        beside["Theory"] = own
    return write_pages(
        store,
        found,
        output,
        single=single,
        records=records,
        documentation=documentation,
        card=lambda name: describe(name, checks) if name in known else "",
        checks=checks,
        pages={name: path for name, path in beside.items() if path.is_file()},
        studies=studies,
    )
