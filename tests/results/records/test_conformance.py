"""What the conformance suite found is part of the package, in one form."""

from sambench.benchmarks.conformance import list_checks
from sambench.results.records.conformance import PATH, checks_text, conformance_checks
from sambench.variants import list_variants


def test_every_check_of_every_variant_is_in_the_committed_file():
    names = {check.name for check in list_checks()}
    found = conformance_checks()
    assert set(found) == {info.name for info in list_variants()}
    assert all(set(checks) == names for checks in found.values())
    assert PATH.read_text(encoding="utf-8") == checks_text(found)


def test_where_nothing_was_found_there_is_nothing(tmp_path):
    assert conformance_checks(tmp_path / "none.json") == {}
