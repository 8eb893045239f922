"""Run the checks over variants, and show what came out."""

import time
from collections.abc import Iterable, Sequence

import torch
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ...errors import unknown
from ...plain_text import printable
from ...results.records.conformance import Findings
from ...variants import VariantInfo, get_info, list_variants
from ...version import __version__
from ..training.behaviour import behaviour_of
from .check import Check, CheckResult, Failed, NotApplicable, Verdict, list_checks

MARKS: dict[Verdict, tuple[str, str]] = {"pass": ("✓", "green"), "fail": ("✗", "bold red"), "n/a": ("–", "dim")}


def judge(check: Check, info: VariantInfo) -> CheckResult:
    """Run one check on one variant; whatever it raises is an answer."""
    start = time.perf_counter()
    verdict: Verdict = "pass"
    try:
        with torch.random.fork_rng(devices=[]):
            reason = check.function(info)
    except Failed as failure:
        verdict, reason = "fail", str(failure)
    except NotApplicable as exemption:
        verdict, reason = "n/a", str(exemption)
    except Exception as error:  # a variant under test may raise anything, and the others are to be checked too
        verdict, reason = "fail", f"raises {type(error).__name__}: {error}"
    return CheckResult(info.name, check.name, verdict, " ".join(reason.split()), time.perf_counter() - start)


def run(names: Sequence[str]) -> list[CheckResult]:
    """Check variants by name, each by every check.

    Raises:
        ConfigError: a name is not registered.
    """
    infos = [get_info(name) for name in names]
    for check in list_checks():
        if check.prepare is not None:
            check.prepare(names)
    return [judge(check, info) for info in infos for check in list_checks()]


def expand(names: Iterable[str]) -> list[str]:
    """Return the names that names and shell patterns stand for, each once.

    Raises:
        ConfigError: a name is not registered, or no registered name is like a pattern.
    """
    found: dict[str, None] = {}
    for name in names:
        infos = list_variants(name) if "*" in name else [get_info(name)]
        if not infos:
            raise unknown("pattern of variants", name, [info.name for info in list_variants()])
        found |= dict.fromkeys(info.name for info in infos)
    return list(found)


def overview(results: Sequence[CheckResult]) -> Table:
    """Return one row a variant and one column a check."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption="✓ holds   ✗ does not   – says nothing about this variant",
        caption_justify="left",
    )
    table.add_column("variant", no_wrap=True)
    checks = list_checks()
    for check in checks:
        table.add_column(f"{check.number}\n{check.name}", justify="center", no_wrap=True)
    verdicts: dict[tuple[str, str], Verdict] = {(r.variant, r.check): r.verdict for r in results}
    for name in dict.fromkeys(r.variant for r in results):
        table.add_row(name, *(Text(*MARKS[verdicts[name, check.name]]) for check in checks))
    return table


def reasons(results: Iterable[CheckResult]) -> Table:
    """Return one row a result, with its reason in full."""
    table = Table(show_header=False, box=None, padding=(0, 1))
    for result in results:
        mark, style = MARKS[result.verdict]
        table.add_row(Text(mark, style), result.variant, Text(result.check, "bold"), Text(printable(result.reason)))
    return table


def report(results: Sequence[CheckResult]) -> Group | Table:
    """Return what is printed: for one variant every reason, for several a table and the reasons that are not a pass."""
    if len({result.variant for result in results}) == 1:
        return reasons(results)
    return Group(overview(results), reasons(result for result in results if result.verdict != "pass"))


def check(names: Iterable[str], console: Console) -> list[CheckResult]:
    """Check variants (names or patterns), print the outcome, and return it."""
    chosen = expand(names)
    start = time.perf_counter()
    with console.status(f"checking {len(chosen)} variants"):
        results = run(chosen)
    console.print(report(results))
    failed = [result for result in results if result.verdict == "fail"]
    held = sum(result.verdict == "pass" for result in results)
    console.print(
        f"{held} of {len(results)} checks hold, {len(failed)} fail, {len(results) - held - len(failed)} do not apply; "
        f"{time.perf_counter() - start:.0f} s"
    )
    return results


def findings(results: Iterable[CheckResult], name: str) -> Findings:
    """Put together what was found about a variant as it is, for the board to show."""
    info = get_info(name)
    return Findings(
        variant=name,
        source=info.source_hash(),
        behaviour=behaviour_of(info),
        sambench=__version__,
        checks={one.check: one.verdict for one in results if one.variant == name},
    )
