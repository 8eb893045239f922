"""Publishing and pulling: nothing is lost on the way, and nothing that is not what the manifest says comes in."""

import json
import socketserver
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from site_store import fill
from synthetic import build_record
from typer.testing import CliRunner

import sambench.cli.publish as cli_publish
from sambench import cli
from sambench.errors import ConfigError, SambenchError, StateError
from sambench.results.records.models import model_path
from sambench.results.records.store import Store
from sambench.results.site import write
from sambench.results.site.publication import MANIFEST, pack, seal


@pytest.fixture(autouse=True)
def _no_site(monkeypatch, request):
    """Write no site but where it is asked for: it takes a second."""
    monkeypatch.setattr(write, "plotting_library", lambda: "")
    if "site" not in request.node.name:
        monkeypatch.setattr(
            cli_publish, "write_site", lambda _, output, **__: (output / "index.html").write_text("<p>")
        )


@pytest.fixture
def store(tmp_path):
    store = fill(tmp_path / "theirs", workloads=1, methods=2)
    model = model_path(store, store.run_ids()[0])
    model.parent.mkdir()
    model.write_bytes(b"weights")
    (store.root / "checkpoints").mkdir()
    (store.root / "checkpoints" / "private").write_text("not for others")
    again = Store(store.root / "verification")
    again.write(next(store.records()))
    return store


@pytest.fixture
def published(store, tmp_path):
    output = tmp_path / "public"
    assert "it begins at" in sambench("publish", output, "--results", store.root)
    return output


def sambench(*words):
    result = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, [str(word) for word in words])
    if isinstance(result.exception, SambenchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def files(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_is_published_is_the_evidence_and_the_site(store, published):
    there = files(published)
    assert set(there) - {MANIFEST} == set(json.loads(there[MANIFEST])["files"])
    assert {"index.html", "site.js", "runs.parquet", "suites/suite-0.json"} <= set(there)
    assert not [name for name in there if "checkpoints" in name]
    assert b'"records":"runs/"' in there["index.html"]
    for name, data in files(store.root).items():
        assert name.startswith("checkpoints/") or there[name] == data


def test_what_is_pulled_is_what_was_published(store, published, tmp_path):
    mine = tmp_path / "mine"
    assert "10 new" in sambench("pull", published, "--results", mine)
    kept = {name: data for name, data in files(store.root).items() if not name.startswith("checkpoints/")}
    assert files(mine) == kept
    assert "0 new, 10 here already" in sambench("pull", published, "--results", mine)
    assert files(mine) == kept
    assert not list(mine.glob(".pull-*"))


def test_a_host_is_read_as_a_folder_is(store, published, tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(published))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sambench("pull", f"http://127.0.0.1:{server.server_port}/", "--results", tmp_path / "mine")
        server.shutdown()
    assert Store(tmp_path / "mine").run_ids() == store.run_ids()


def damaged(published, store):
    path = published / "runs" / f"{store.run_ids()[0]}.json"
    path.write_bytes(path.read_bytes().replace(b'"completed"', b'"diverged"'))


def longer(published, store):
    with open(published / "models" / f"{store.run_ids()[0]}.safetensors", "ab") as file:
        file.write(b"!")


def lost(published, store):
    (published / "suites" / "suite-0.json").unlink()


def unsealed(published, store):
    (published / MANIFEST).write_text('{"files": 1}')


@pytest.mark.parametrize("change", [damaged, longer, lost, unsealed])
def test_what_is_not_as_its_manifest_says_changes_nothing(store, published, tmp_path, change):
    change(published, store)
    with pytest.raises(StateError, match=r"manifest|nothing was changed"):
        sambench("pull", published, "--results", tmp_path / "mine")
    assert files(tmp_path / "mine") == {}


def test_a_name_that_leads_elsewhere_is_not_read(published, tmp_path):
    (tmp_path / "secret").write_text("a secret")
    manifest = json.loads((published / MANIFEST).read_text())
    entry = manifest["files"]["index.html"]
    manifest["files"] |= {"../secret": entry, "suites/../../secret.json": entry, "/etc/passwd": entry}
    (published / MANIFEST).write_text(json.dumps(manifest))
    sambench("pull", published, "--results", tmp_path / "mine")
    assert not [name for name in files(tmp_path) if name.startswith("mine/") and "secret" in name]


def test_what_is_here_stays(store, published, tmp_path):
    mine = fill(tmp_path / "mine", workloads=1, methods=2)
    (mine.root / "suites" / "suite-0.json").write_text("mine")
    with pytest.raises(StateError, match="1 file of"):
        sambench("pull", published, "--results", mine.root)
    assert (mine.root / "suites" / "suite-0.json").read_text() == "mine"


def test_a_new_publication_replaces_the_old_one_and_nothing_else(store, published, tmp_path):
    (published / "CNAME").write_text("bench.example")
    model_path(store, store.run_ids()[0]).unlink()
    store.write(build_record(variant="asam", seed=3))
    sambench("publish", published, "--results", store.root)
    there = files(published)
    assert there["CNAME"] == b"bench.example"
    assert not [name for name in there if name.startswith("models/")]
    assert len([name for name in there if name.startswith("runs/")]) == 11
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="something else"):
        pack(store.root, tmp_path / "other")
    with pytest.raises(ConfigError, match="outside"):
        pack(store.root, store.root / "public")


def test_what_others_keep_in_the_folder_outlives_every_publication(store, published):
    """A host's own files and a repository are in no manifest, and so are not taken for what was published before."""
    own = {"CNAME": b"bench.example", ".git/HEAD": b"ref: refs/heads/pages", "notes/mine.txt": b"mine"}
    for name, data in own.items():
        (published / name).parent.mkdir(exist_ok=True)
        (published / name).write_bytes(data)
    for _ in range(3):
        sambench("publish", published, "--results", store.root)
        there = files(published)
        assert {name: there[name] for name in own} == own
        assert set(json.loads(there[MANIFEST])["files"]) == set(there) - {MANIFEST, *own}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
    ],
    ids=["torn", "no HTTP", "short"],
)
def test_a_host_that_breaks_off_is_told(tmp_path, answer):
    class Broken(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(StateError, match=r"cannot read manifest|is no manifest"):
            sambench("pull", f"http://127.0.0.1:{server.server_address[1]}/", "--results", tmp_path / "mine")
        server.shutdown()


def test_the_same_results_have_the_same_manifest(store, tmp_path):
    manifests = []
    for name in ("a", "b"):
        manifests.append(seal(tmp_path / name, pack(store.root, tmp_path / name)))
    assert manifests[0] == manifests[1]
