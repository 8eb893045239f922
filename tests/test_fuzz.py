"""Generated input for every parser: an expected error or a usable result, never another exception, nothing changed.

Each target runs twice: a second in `make test`, and with many more examples under the mark `slow`.
"""

import hashlib
import io
import json
import random
from contextlib import suppress

import pytest
import torch
from fuzzing import changed, damaged, fed, texts, values
from hypothesis import strategies as st
from synthetic import build_record, build_trial

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.spec import RunSpec
from sambench.benchmarks.suites.files import SUITES as SHIPPED
from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.suites.toml_text import table
from sambench.benchmarks.training.checkpoint import MAGIC, Checkpoints
from sambench.cli.model_options import read_fields, read_settings
from sambench.errors import SambenchError
from sambench.reading import parse_toml
from sambench.registry import load_plugin
from sambench.results.leaderboard.render import render
from sambench.results.records.manifest import read_manifest
from sambench.results.records.record import RunRecord, run_id_of
from sambench.results.records.store import Damaged, Store
from sambench.results.records.trials import read_ledger, write_ledger
from sambench.results.tables.boards import assemble
from sambench.results.tables.dataframe import frame
from sambench.slurm.cluster.profile import PROFILES, load_profile

SPEC = RunSpec(variant="sam", hyper={"rho": 0.1}).model_dump(mode="json")
RECORD = json.loads(build_record(split="holdout").model_dump_json())
MANIFEST = {
    "schema_version": 1, "name": "s", "title": "S", "description": "", "command": "c", "seeds": [1],
    "tracks": [{"name": "E", "budget": 4.0, "runs": ["a" * 64]}], "untracked": ["b" * 64],
    "tuning": {"ledger": "s.parquet", "sha256": "c" * 64},
}  # fmt: skip
PLUGIN = """from sambench.hyper import Hyper
from sambench.variants import StepRule, register

@register("fuzz", summary="s", paper=None, gradients=1.0, hyper={"rho": Hyper(0.1, "radius", low=0)})
class Fuzz(StepRule):
    def inner_step(self, closure):
        return self.gradient(closure)
"""
PROFILE = {"title": "t", "partition": "p", "gpus": 1, "time": "4:00:00", "memory_gb": 4.0, "setup": ["a"], "extra": {}}


def expected(act, *arguments):
    """Call a function; return None where it raises an error of this package."""
    with suppress(SambenchError):
        return act(*arguments)
    return None


@fed(st.dictionaries(st.sampled_from([*SPEC, "x"]), values, max_size=4) | changed(SPEC))
def test_spec(folder, fields):
    spec = expected(make_spec, fields)
    if spec is not None:
        assert RunSpec.model_validate(spec.model_dump()).run_id == spec.run_id
        assert spec.label()


SUITES = [SHIPPED.read(name)[1] for name in SHIPPED.names() if not name.startswith("unified-sam-")]


@st.composite
def suites(draw):
    text = draw(st.sampled_from(SUITES))
    if draw(st.booleans()):
        return draw(damaged(text.encode()))
    content = draw(changed(parse_toml(text)))
    return json_to_toml(content).encode("utf-8", "surrogatepass")


def json_to_toml(content):
    return table(content).replace("NaN", "nan").replace("Infinity", "inf").replace("= null", '= "null"')


@fed(suites())
def test_suite(folder, data):
    (folder / "s.toml").write_bytes(data)
    expected(load_suite, str(folder / "s.toml"))
    assert (folder / "s.toml").read_bytes() == data


@fed(changed(PROFILE) | st.binary(max_size=60))
def test_profile(folder, content):
    data = content if isinstance(content, bytes) else json_to_toml(content).encode("utf-8", "replace")
    (folder / "p.toml").write_bytes(data)
    profile = expected(load_profile, str(folder / "p.toml"), {})
    if profile is not None:
        assert profile.minutes > 0
        assert profile.cpus_per_task > 0
        assert "\n" not in repr((profile.partition, profile.extra, profile.setup)).replace("\\n", "\n")


@fed(st.tuples(st.sampled_from(PROFILES.names()), st.dictionaries(st.sampled_from(sorted(PROFILE)), texts, max_size=3)))
def test_profile_flags(folder, given_):
    name, options = given_
    if isinstance(options.get("extra"), str):
        options["extra"] = {options["extra"]: options["extra"]}
    expected(load_profile, name, options)


@st.composite
def records(draw):
    if draw(st.booleans()):
        return RECORD["run_id"], draw(damaged(json.dumps(RECORD).encode()))
    content = draw(changed(RECORD))
    if isinstance(content.get("spec"), dict):
        with suppress(ValueError):  # it has no hash
            content["run_id"] = run_id_of(content["spec"])
    return content.get("run_id", ""), json.dumps(content).encode()


@fed(records())
def test_record(folder, made):
    run_id, data = made
    store = Store(folder)
    store.runs.mkdir(exist_ok=True)
    path = store.path(run_id if isinstance(run_id, str) and len(run_id) == 64 and run_id.isalnum() else "0" * 64)
    path.write_bytes(data)
    found = list(store.scan())
    boards = assemble(found)
    assert all(page.encode() for page in render(boards).values())
    if isinstance(found[0], RunRecord):
        frame(found)
    else:
        assert isinstance(found[0], Damaged)
    assert path.read_bytes() == data
    assert len(store.statuses()) == 1
    path.unlink()


@fed(changed(MANIFEST).map(lambda content: json.dumps(content).encode()) | damaged(json.dumps(MANIFEST).encode()))
def test_manifest(folder, data):
    (folder / "s.json").write_bytes(data)
    expected(read_manifest, folder / "s.json")


LEDGER = io.BytesIO()


@pytest.fixture(scope="module", autouse=True)
def _ledger(tmp_path_factory):
    path = tmp_path_factory.mktemp("ledger") / "l.parquet"
    write_ledger([build_trial("sam", number) for number in range(3)], path)
    LEDGER.write(path.read_bytes())


@fed(st.integers(0, 2**32))
def test_ledger(folder, seed):
    made, drawn = bytearray(LEDGER.getvalue()), random.Random(seed)
    for _ in range(drawn.randint(1, 6)):
        made[drawn.randrange(len(made))] ^= drawn.randint(1, 255)
    (folder / "l.parquet").write_bytes(bytes(made[: drawn.choice([None, None, len(made) // 2])]))
    expected(read_ledger, folder / "l.parquet")


CHECKPOINT = {"run_id": st.just("a" * 64) | values, "fingerprint": st.just("f" * 64) | values, "state": values}


@fed(values | st.fixed_dictionaries(CHECKPOINT) | st.binary())
def test_checkpoint(folder, content):
    made = Checkpoints(folder, "a" * 64, "f" * 64)
    path, body = folder / "step-000000001.pt", io.BytesIO()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, body)
        path.write_bytes(MAGIC + hashlib.sha256(body.getvalue()).hexdigest().encode() + b"\n" + body.getvalue())
    expected(made.load, path)
    assert all(state["step"] == 1 for state in made.states())


@fed(damaged(PLUGIN.encode()))
def test_plugin(folder, data):
    number = len(list(folder.iterdir()))
    path = folder / f"p{number}.py"
    path.write_bytes(data)
    expected(load_plugin, path)


FLAGS = [name for name, value in SPEC.items() if not isinstance(value, bool | dict)]


@fed(st.tuples(st.dictionaries(st.sampled_from(FLAGS), texts, max_size=3), st.lists(texts, max_size=2)))
def test_flags(folder, given_):
    """What `sambench run` makes of the texts of its flags, and of those of --set."""
    fields, settings = given_
    expected(lambda: make_spec({**read_fields(fields), "hyper": read_settings(settings)}))
    expected(lambda: make_spec({"variant": "sam", "hyper": read_settings([f"rho={text}" for text in settings])}))
