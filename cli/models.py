"""``sambench models``: the models that are kept."""

from typing import Annotated

import typer

from .. import units
from ..errors import StateError
from ..markdown import count
from ..results.records.models import FINAL, ModelFile, list_models
from ..results.records.store import Store
from .console import listing, out, say
from .options import RESULTS, Plugins, Results, results_option, typed


def models(
    results: Results = RESULTS,
    check: Annotated[bool, typer.Option("--check", help="read every file and hold it to its digest")] = False,
    plugin: Plugins = None,
) -> None:
    """List the models that are kept beside the records; `sb.load_model(RUN)` returns one."""
    store = Store(results)
    found = list_models(store)
    if not found:
        raise StateError(f"no model is kept in {store.root}: `sambench run` and `launch` keep them with --keep weights")
    states = [_check(store, file) if check else "" for file in found]
    rows = [
        (file.run_id[:12], _label(store, file), _point(file), units.size(file.size), state)
        for file, state in zip(found, states, strict=True)
    ]
    out.print(listing(["run", "variant", "weights", "size", "state" if check else ""], rows, keys=3))
    total = units.size(sum(file.size for file in found))
    say(f"{count(len(found), 'model')} of {count(len({file.run_id for file in found}), 'run')}, {total}")
    if bad := [state for state in states if state not in ("", "good")]:
        raise StateError(f"{len(bad)} of {count(len(found), 'model')} cannot be used")
    one = typed(plugin) + results_option(results)
    say(f"next: sambench measure {found[0].run_id[:12]} --what gradient_norm{one}")


def _label(store: Store, file: ModelFile) -> str:
    if not store.has(file.run_id):
        return "no record yet"
    try:
        spec = store.read(file.run_id).spec
    except StateError:
        return "its record cannot be read"
    return f"{spec.get('variant')} on {spec.get('dataset')}, seed {spec.get('seed')}"


def _point(file: ModelFile) -> str:
    return "evaluated" if file.epoch == FINAL else f"after {file.epoch} epochs"


def _check(store: Store, file: ModelFile) -> str:
    from ..benchmarks.training.keeping import read_model  # torch

    try:
        read_model(store, file.run_id, file.epoch)
    except StateError as error:
        return str(error)
    return "good"
