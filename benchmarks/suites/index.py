"""The run ids and labels of a suite, from a cache: ``status`` and ``cancel`` need no more and start without torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points

from ...datasets.source import Source
from ...registry import ENTRY_POINTS
from .files import SUITES
from .from_cache import from_cache


@dataclass(frozen=True)
class SuiteIndex:
    """What can be said of the runs of a suite without resolving them again.

    Args:
        name: name of the suite.
        run_ids: sha256 of each run's spec, in the order of the suite.
        labels: each run in short, for people.
    """

    name: str
    run_ids: tuple[str, ...]
    labels: tuple[str, ...]


def suite_index(name_or_path: str, sources: Sequence[Source] = (), plugins: Sequence[str] = ()) -> SuiteIndex:
    """Return the index of a suite, read from the cache if the suite and all that resolves it are unchanged.

    Args:
        name_or_path: a shipped suite or the path of a TOML file.
        sources: data sets whose place differs from what the suite says; with any, the suite is read anew.
        plugins: files that were loaded; with any, of the suite too, or with one that is installed, it is read anew.

    Raises:
        ConfigError: as :func:`~sambench.benchmarks.suites.suite.load_suite`.
    """
    name, text, _ = SUITES.read(name_or_path)
    if sources or plugins or "plugins" in text or entry_points(group=ENTRY_POINTS):
        return _read(name_or_path, sources)
    return from_cache(
        "suite",
        f"{name}\n{text}",
        lambda: asdict(_read(name_or_path, sources)),
        lambda found: SuiteIndex(name, tuple(map(str, found["run_ids"])), tuple(map(str, found["labels"]))),
    )


def _read(name_or_path: str, sources: Sequence[Source]) -> SuiteIndex:
    from .suite import load_suite  # torch, for the step rules

    suite = load_suite(name_or_path, tuple(sources))
    return SuiteIndex(suite.name, suite.run_ids, suite.labels)
