"""`sambench validate`: whether records keep the rules."""

from pathlib import Path
from typing import Annotated

import typer

from ..datasets.registry import official_fingerprints
from .console import say
from .options import RESULTS, Plugins, Results, results_option


def validate(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="folder of records, as --results names it")
    ] = None,
    results: Results = RESULTS,
    plugin: Plugins = None,
    strict: Annotated[bool, typer.Option("--strict", help="fail on warnings, too, as for a contribution")] = False,
) -> None:
    """Hold a folder of records to docs/rules.md: hashes, seeds, budgets, hardware, code. Fails when one is broken.

    Each finding names the file, the value in it, what is wrong, and the way out.
    """
    from ..benchmarks.training.behaviour import codes_today
    from ..results import validation as rules

    results = folder or results
    findings = rules.validate(results, codes_today(), official_fingerprints())
    for finding in findings:
        say(("broken", "red") if finding.serious else ("warning", "yellow"), f" {finding}")
    broken = sum(finding.serious for finding in findings)
    say(f"{broken} broken rules, {len(findings) - broken} warnings in {results}")
    if broken or (strict and findings):
        raise typer.Exit(1)
    say(f"next: sambench leaderboard{results_option(results)}")
