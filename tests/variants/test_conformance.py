"""Every registered variant passes every check of the conformance suite, or the check says why it does not apply."""

import io

import pytest
from rich.console import Console

from sambench.benchmarks.conformance import CheckResult, check, judge, list_checks, report, run, runner
from sambench.benchmarks.conformance.checks import data_parallel as distributed
from sambench.errors import ConfigError
from sambench.variants import get_info, list_variants

NAMES = [info.name for info in list_variants()]
CHECKS = {one.name: one for one in list_checks()}
EXEMPT = {
    "neutral": "declares no neutral setting",
    "identity": "declares no identity",
    "clip": "never steps its base",
}
"""The checks that may not apply to a variant of this package, and the only reason for each."""


@pytest.fixture(scope="session")
def _pairs_of_processes():
    """One pair of processes for the whole registry."""
    distributed.prepare(NAMES)


@pytest.mark.parametrize("check_name", CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_variant_conforms(name, check_name, request):
    if check_name == "ddp":
        request.getfixturevalue("_pairs_of_processes")
    result = judge(CHECKS[check_name], get_info(name))
    assert result.verdict != "fail", result.reason
    if result.verdict == "n/a":
        assert EXEMPT.get(check_name, "never") in result.reason


def test_the_nine_properties_are_all_there():
    assert [one.number for one in list_checks()] == sorted(one.number for one in list_checks())
    assert {one.number for one in list_checks()} == set(range(1, 10))
    assert all(one.summary and one.function.__module__.startswith("sambench.") for one in list_checks())


def test_every_result_carries_its_reason(monkeypatch):
    monkeypatch.setattr(distributed, "_outcomes", {"sgd": "not run here"})
    results = run(["sgd"])
    assert [result.check for result in results] == list(CHECKS)
    assert all(result.reason and result.seconds >= 0 for result in results)
    assert {result.check for result in results if result.verdict != "pass"} == {"identity", "ddp"}


def results_of(*triples):
    return [CheckResult(variant, one, verdict, f"because {variant}", 0.0) for variant, one, verdict in triples]


def text_of(results) -> str:
    console = Console(width=120, file=io.StringIO())
    console.print(report(results))
    return console.file.getvalue()


def test_report_of_several_shows_all_verdicts_and_the_reasons_that_are_no_pass():
    every = {"sam": "pass", "usam": "fail", "asam": "n/a"}
    text = text_of(results_of(*((name, one, verdict) for name, verdict in every.items() for one in CHECKS)))
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert rows["sam"].count("✓") == len(CHECKS)
    assert text.count("because usam") == text.count("because asam") == len(CHECKS)
    assert "because sam" not in text


def test_report_of_one_shows_every_reason():
    text = text_of(results_of(*(("sam", one, "pass") for one in CHECKS)))
    assert text.count("because sam") == len(CHECKS)


def test_check_returns_what_was_found(monkeypatch):
    console = Console(quiet=True)
    monkeypatch.setattr(
        runner, "run", lambda names: results_of(*((name, one, "pass") for name in names for one in CHECKS))
    )
    found = check(["sam", "sa*", "sgd"], console)
    assert {one.verdict for one in found} == {"pass"}
    assert {"sam", "sgd"} <= {one.variant for one in found}
    with pytest.raises(ConfigError, match="unknown variant 'sma'"):
        check(["sma"], console)
