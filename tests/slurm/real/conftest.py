"""A cluster for the session, a laboratory for each test, and the same runs made without a cluster to compare with.

Nothing in this folder is collected unless ``-m slurm`` asks for it: it installs packages and starts daemons, as root.
"""

from pathlib import Path

import pytest
from real_slurm.cluster import Cluster
from real_slurm.lab import Lab


def pytest_ignore_collect(config):
    return True if config.option.markexpr != "slurm" else None


@pytest.fixture(scope="session")
def cluster():
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _clean_cluster(cluster):
    """Leave the next test a cluster with all nodes, no jobs and the usual signals."""
    yield
    cluster.heal()


@pytest.fixture(scope="session")
def reference(cluster, tmp_path_factory):
    """Return the results of a suite, made in processes on this machine; each suite is made once."""
    made: dict[str, Path] = {}

    def make(suite: str) -> Path:
        if suite not in made:
            lab = Lab(cluster, tmp_path_factory.mktemp("reference"), suite)
            lab.launch_here()
            made[suite] = lab.results
        return made[suite]

    return make


@pytest.fixture
def lab(cluster, tmp_path):
    """Make a laboratory; keyword arguments are those of :class:`Lab`."""

    def make(suite: str, **settings) -> Lab:
        folder = tmp_path / f"lab{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return Lab(cluster, folder, suite, **settings)

    return make


@pytest.fixture
def measured(record_property):
    """Note a figure, for the table at the end of the session."""

    def note(**figures: object) -> None:
        for name, value in figures.items():
            record_property(name, f"{value:.1f}" if isinstance(value, float) else value)

    return note


def pytest_terminal_summary(terminalreporter):
    """Show what was measured, test by test."""
    reports = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    if any(report.user_properties for report in reports):
        terminalreporter.section("measured")
    for report in reports:
        figures = ", ".join(f"{name} {value}" for name, value in report.user_properties)
        if figures:
            terminalreporter.write_line(f"{report.nodeid.split('::')[-1]} ({report.duration:.0f} s): {figures}")
