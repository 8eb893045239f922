"""Published numbers have one store, the variants' metadata: board and pages quote all of it, and nothing else."""

from collections import Counter
from pathlib import Path

import pytest
from synthetic import SPEC, build_record

from sambench.benchmarks.conformance import variant_pages as cards
from sambench.benchmarks.models import MODELS
from sambench.results.leaderboard import render as leaderboard
from sambench.results.records.record import RunRecord
from sambench.results.tables.boards import assemble
from sambench.results.tables.comparability import write
from sambench.results.tables.published import VALUE, by_source, on_workloads
from sambench.variants import list_variants, published_results

PAGE = Path("boards", "published-numbers.md")


def read_tables(text: str) -> Counter[tuple[str, ...]]:
    """Read (source, variant, setting, number) back from the page of published numbers."""
    found: Counter[tuple[str, ...]] = Counter()
    for part in text.split("\n## ")[1:]:
        source, _, body = part.partition("\n")
        lines = [line for line in body.splitlines() if line.startswith("|")]
        columns, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        for row in rows:
            cells = dict(zip(columns, row, strict=True))
            found[source, cells["Variant"], cells["Setting"].strip("–"), cells[VALUE]] += 1
    return found


def declared() -> Counter[tuple[str, ...]]:
    return Counter(
        (one.source, info.name, " ".join(f"{k}={write(v)}" for k, v in one.hyper.items()), one.accuracy())
        for info in list_variants()
        for one in info.published
    )


def test_the_board_quotes_what_the_variants_declare_and_nothing_else() -> None:
    pages = leaderboard.render(assemble([]), published=published_results())
    assert f"](boards/{PAGE.name})" in pages[Path("LEADERBOARD.md")]
    assert read_tables(pages[PAGE]) == declared()
    assert sum(declared().values()) > 50


def test_a_board_quotes_numbers_on_its_data_and_network_only() -> None:
    numbers = published_results()
    assert PAGE not in leaderboard.render(assemble([build_record()]), published=on_workloads(numbers, [SPEC]))
    found = on_workloads(numbers, [SPEC | {"dataset": "cifar100", "model": "resnet18"}])
    assert {(row["dataset"], row["network"]) for row in found} == {("cifar100", "ResNet-18")}


@pytest.mark.parametrize(("network", "model"), [("WRN-28-10", "wrn28_10"), ("ResNet-18", "resnet18")])
def test_a_network_is_the_model_of_its_name(network: str, model: str) -> None:
    MODELS.resolve(model)
    found = on_workloads(published_results(), [{"dataset": "cifar10", "model": model}])
    assert {row["network"] for row in found} == {network}


@pytest.mark.parametrize("info", [i for i in list_variants() if i.published], ids=lambda info: info.name)
def test_the_page_of_a_variant_quotes_the_same_numbers(info) -> None:
    page = cards.describe(info.name, {}).partition("## Published numbers")[2].partition("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("|")][2:]
    assert len(rows) == len(info.published)
    for row, one in zip(rows, info.published, strict=True):
        assert row.startswith(f"| {one.accuracy()} | {one.dataset} | {one.network} |")
        assert row.endswith(f"| {one.protocol} | {one.source} |")


def test_one_thing_has_one_number() -> None:
    """Two numbers for the same setting, protocol and source would be a mistake of ours or of the source."""
    keys = ("variant", "dataset", "network", "protocol", "source")
    told = Counter((*row["setting"].items(), *(row[key] for key in keys)) for row in published_results())
    assert [key for key, count in told.items() if count > 1] == []


def test_numbers_stand_beside_the_runs_of_the_same_method_cell_by_cell() -> None:
    def runs(variant: str, accuracy: float, **hyper: float | str) -> list[RunRecord]:
        about = {"variant": variant, "hyper": hyper, "dataset": "cifar10", "model": "wrn28_10"}
        return [build_record(accuracy=accuracy + seed / 100, seed=seed, **about) for seed in range(3)]

    records = [*runs("sgd", 0.90), *runs("unified_sam", 0.92, rho=0.1, lam=0.0, lam_clock="step")]
    pages = leaderboard.render(assemble(records), published=published_results())
    text = pages[Path("boards", "no-suite.md")].partition("**Versus published**")[2]
    source = text.partition("Oikonomou and Loizou 2025, Table 2")[2].partition("\n\n")[2].partition("\n\n")[0]
    rows = {cells[0]: cells[1:] for line in source.splitlines() if (cells := line.strip("| ").split(" | "))}
    rows = {name.strip(): [cell.strip() for cell in cells] for name, cells in rows.items()}
    assert rows["sgd"] == ["95.35 ± 0.06", "91.00 ± 2.48 (n = 3)", "−4.35", "–", "–"]
    (usam,) = [name for name in rows if name.startswith("usam (rho=0.1), here unified_sam")]  # lam = 0 is USAM
    assert rows[usam] == ["95.70 ± 0.01", "93.00 ± 2.48 (n = 3)", "−2.70", "+0.35", "+2.00"]
    assert rows["unified_sam (rho=0.3 lam=1-1/t)"] == ["95.99 ± 0.06", "–", "–", "+0.64", "–"]
    assert len([name for name in rows if "sam" in name]) == 20
    assert "Versus published" not in "".join(leaderboard.render(assemble(records)).values())


def test_numbers_stand_under_their_source_the_longest_table_first() -> None:
    sources = by_source(published_results())
    assert [len(source.rows) for source in sources] == sorted((len(s.rows) for s in sources), reverse=True)
    first = sources[0]
    assert first.name.startswith("Oikonomou and Loizou 2025, Table 2")
    assert first.shared.keys() == {"Data", "Network", "Protocol"}
    assert list(first.columns) == ["Variant", "Setting", VALUE]
    assert ["unified_sam", "rho=0.3 lam=1-1/t", "95.99 ± 0.06"] in first.rows
    assert all(len(row) == len(source.columns) for source in sources for row in source.rows)
    assert by_source([]) == []


def test_what_a_source_does_not_share_stands_in_each_row() -> None:
    """bSAM's README gave two numbers in its history, for two prior precisions: both are right and listed."""
    source = next(s for s in by_source(published_results()) if "bayesian-sam" in s.name)
    rows = [dict(zip(source.columns, row, strict=True)) for row in source.rows]
    on_cifar10 = {
        row["Protocol"].partition(" (")[0]: row[VALUE]
        for row in rows
        if (row["Variant"], row["Data"]) == ("bsam", "cifar10")
    }
    assert on_cifar10 == {"prior precision 10": "96.11", "prior precision 40": "95.95"}
    assert source.shared == {"Network": "ResNet-18"}
