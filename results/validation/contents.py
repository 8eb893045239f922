"""Reads a folder of records once; a file that cannot be read becomes a finding and does not stop the rest."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import StateError
from ...plain_text import printable
from ..records.behaviour import Code, code_of
from ..records.manifest import FOLDER as SUITES
from ..records.manifest import SuiteManifest, first_batches, manifest_files, read_manifest
from ..records.record import RunRecord
from ..records.retractions import Retraction, scan_retractions
from ..records.store import Damaged, DamagedError, Store
from ..records.trials import FOLDER as LEDGERS
from ..records.trials import Trial, ledger_hash, read_ledger
from ..tables.comparability import key_of, method_of, workload_of
from ..tables.index import index_of, wrong_rows
from ..tables.tiers import VERIFICATION
from .finding import Finding


class Entry(NamedTuple):
    """A record, and what it is compared by.

    Attributes:
        file: path of the record, relative to the folder.
        record: the record, with the best held-out point and the last of its curve alone.
        workload: canonical text of the workload, equal for runs that may be compared.
        method: canonical text of the method, equal for runs that differ only in their seed.
        code: the code of the variant that made it.
        evaluations: gradient evaluations per step, as counted; where the batch grows, per step of the first size.
    """

    file: str
    record: RunRecord
    workload: str
    method: str
    code: Code
    evaluations: float

    @property
    def spec(self) -> dict[str, Any]:
        """Fully resolved spec of the run."""
        return self.record.spec

    @property
    def status(self) -> str:
        """``completed``, ``diverged`` or ``failed``."""
        return self.record.status

    @property
    def name(self) -> str:
        """Variant and seed, for messages."""
        return f"{self.spec['variant']} seed {self.spec['seed']}"

    @property
    def epochs(self) -> int:
        """Number of completed epochs."""
        return self.record.curve[-1].epoch if self.record.curve else 0


@dataclass
class Contents:
    """Everything that a folder of records holds.

    Attributes:
        root: the folder of records.
        entries: run id -> its final record, or that of its last failed attempt.
        again: run id -> record of the re-run on another machine.
        manifests: the manifests of all suites.
        ledgers: file name of a ledger -> its trials.
        retractions: lists of retracted runs, with reasons.
        findings: files that could not be read, and ledgers that do not match their manifest.
    """

    root: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    again: dict[str, Entry] = field(default_factory=dict)
    manifests: list[SuiteManifest] = field(default_factory=list)
    ledgers: dict[str, list[Trial]] = field(default_factory=dict)
    retractions: list[Retraction] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def trials(self, manifest: SuiteManifest) -> list[Trial]:
        """Return the trials that chose the settings of a suite."""
        return self.ledgers.get(manifest.tuning.ledger, []) if manifest.tuning else []


def read(root: Path) -> Contents:
    """Read a folder of records.

    Args:
        root: the store's folder, with ``runs`` in it.

    Raises:
        StateError: the folder is no store of records.
    """
    if not (root / "runs").is_dir():
        raise StateError(f"{root} is no folder of records: it has no folder 'runs'; name the one that --results gave")
    found = Contents(root)
    _read_records(Store(root), root, found.entries, found.findings)
    if (root / VERIFICATION).is_dir():
        _read_records(Store(root / VERIFICATION), root, found.again, found.findings)
    for path in manifest_files(root):
        try:
            found.manifests.append(read_manifest(path))
        except DamagedError as error:
            found.findings.append(_unreadable(root, error.damaged))
    for one in scan_retractions(root):
        if isinstance(one, Damaged):
            found.findings.append(_unreadable(root, one))
        else:
            found.retractions.append(one)
    for manifest in found.manifests:
        if manifest.tuning:
            path = root / LEDGERS / manifest.tuning.ledger
            try:
                found.ledgers[manifest.tuning.ledger] = read_ledger(path)
                found.findings += _check_hash(manifest, path)
            except DamagedError as error:
                found.findings.append(_unreadable(root, error.damaged))
    return found


def _read_records(store: Store, root: Path, entries: dict[str, Entry], findings: list[Finding]) -> None:
    folder = store.runs.relative_to(root).as_posix()
    for item in store.scan():
        if isinstance(item, Damaged):
            findings.append(_unreadable(root, item))
        else:
            ending = ".failed.json" if item.status == "failed" else ".json"
            best = item.best_epoch
            kept = (*(p for p in item.curve[:-1] if p.epoch == best), *item.curve[-1:])
            entries[item.run_id] = Entry(
                f"{folder}/{item.run_id}{ending}",
                item.model_copy(update={"curve": kept}),  # a folder has thousands of curves
                key_of(workload_of(item)),
                key_of(method_of(item)),
                code_of(item.spec["variant"], item.variant_source, item.environment.behaviour),
                item.counters.gradient_evaluations / max(1, first_batches(item)),
            )
    for run_id in wrong_rows(store, (entry.record for entry in entries.values())):
        findings.append(
            Finding(
                entries[run_id].file,
                "its row in the index that boards are made from",
                "it says something else than the record",
                f"Delete {index_of(store).folder()}, which boards make anew",
            )
        )


def _check_hash(manifest: SuiteManifest, path: Path) -> list[Finding]:
    assert manifest.tuning is not None
    if (digest := ledger_hash(path)) == manifest.tuning.sha256:
        return []
    return [
        Finding(
            f"{SUITES}/{manifest.name}.json",
            f"tuning.sha256 = {manifest.tuning.sha256[:12]}",
            f"the ledger {path.name} has the hash {digest[:12]}: it is not the one that chose the settings",
            "Restore the ledger of that tuning, or tune and run again",
        )
    ]


def _unreadable(root: Path, damaged: Damaged) -> Finding:
    file = printable(damaged.path.relative_to(root).as_posix())
    return Finding(file, f"the {damaged.kind}", damaged.problem, damaged.way_out.removesuffix("."))
