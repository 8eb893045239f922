"""Writes the site of a results folder: one page with what it needs beside it, or all of it in one file."""

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ...atomic import atomic_write_bytes, make_folder
from ...errors import ConfigError, StateError
from ...plain_text import printable
from ...reading import read_bytes
from ...version import __version__
from ..leaderboard.cells import COLUMNS, LEFT
from ..leaderboard.front import figure
from ..records.conformance import Checks
from ..records.manifest import TRACKS
from ..records.record import RunRecord
from ..records.store import Store
from ..tables.boards import Boards
from ..tables.cross_workload import across_workloads, nothing_across
from ..tables.dataframe import curves, frame
from ..tables.measured import good_measurements, with_measurements
from .plotting import plotting_library
from .slices import slices
from .tables import ENVIRONMENT, Part, Runs, parts_of

FOLDER = "html"
"""Folder of the site in a results folder."""
PAGE = "index.html"
HERE = Path(__file__).parent
_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


class StudyText(NamedTuple):
    """A study as a page shows it.

    Attributes:
        name: its name.
        claim: what is claimed.
        outcome: ``supported``, ``contradicted``, ``undecided``, or empty where its runs are not made yet.
        headline: the verdict with the numbers that decide.
        text: everything, as Markdown.
    """

    name: str
    claim: str
    outcome: str
    headline: str
    text: str


def write_pages(
    store: Store,
    found: Boards,
    output: Path,
    *,
    single: bool = False,
    records: str = "",
    documentation: str = "",
    card: Callable[[str], str] = lambda _: "",
    checks: Checks | None = None,
    pages: Mapping[str, Path] = MappingProxyType({}),
    studies: Sequence[StudyText] = (),
) -> Path:
    """Write the site of a store, and return its page.

    Args:
        store: the store.
        found: its tables.
        output: the folder to write to, or with ``single`` the file.
        single: whether everything goes into one file.
        records: address of the folder of records as seen from the page, with a slash; empty where there is none.
        documentation: address of the documentation in the same way.
        card: name of a variant -> its page in Markdown, empty for one that is not known here.
        checks: variant -> conformance check -> result.
        pages: name of a section -> a page in Markdown, whose images lie beside it.
        studies: the claims that were put to a test.

    Raises:
        ConfigError: a package that a site takes is not installed.
        StateError: there is no record, or the folder cannot be written.
    """
    try:
        import markdown_it  # noqa: F401  (the two come with most installations, and are named by the extra)
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise ConfigError(f"a site takes {error.name}; `pip install 'sambench[site]'` installs it") from error
    from .prose import html

    good = [record for record in store.scan() if isinstance(record, RunRecord)]
    if not good:
        raise StateError(f"there are no records in {store.runs}; `sambench run` and `launch` write them there")
    measurements = good_measurements(store)
    runs = Runs(good)
    parts = parts_of(found, runs, checks or {})
    files = _downloads(good, measurements)
    own = {name: (HERE / name).read_text(encoding="utf-8") for name in ("surface.js", "site.js")}
    scripts, laid = {"plots.js": plotting_library(), **own}, slices(measurements, good)
    style = (HERE / "site.css").read_text(encoding="utf-8")
    images = _Images(single)
    compared = [section for section in found.sections if not section.reference]
    shown = {line.variant for part in parts for table in part.tables for line in table.lines}
    jinja = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    jinja.filters |= {"markdown": lambda text, deeper=0: html(text, deeper=deeper), "plain": printable}
    text = jinja.get_template("page.html").render(
        version=__version__,
        policy=_policy(scripts, style, single),
        documentation=documentation,
        style=style if single else "",
        scripts=scripts,
        single=single,
        columns=[(name, name in LEFT) for name in COLUMNS],
        tracks=TRACKS,
        parts=parts,
        tables=[table for part in parts for table in part.tables],
        found=found,
        slices=laid,
        studies=studies,
        gains=_address("gains.svg", drawn.encode()) if (drawn := figure(found)) else "",
        across="\n\n".join(across_workloads(compared)) or nothing_across(compared),
        cards={name: html(page, link=_link, deeper=1) for name in sorted(shown) if (page := card(name))},
        pages={name: html(path.read_text(encoding="utf-8"), _link, images.of(path), 1) for name, path in pages.items()},
        files={name: (len(data), _packed(data) if single else "") for name, data in files.items()},
        data=_in_script(_data(parts, runs, records) | {"slices": laid}),
    )
    if single:
        make_folder(output.parent)
        atomic_write_bytes(output, text.encode())
        return output
    make_folder(output)
    for name, content in {**scripts, "site.css": style}.items():
        atomic_write_bytes(output / name, content.encode())
    for name, data in (files | images.found).items():
        atomic_write_bytes(output / name, data)
    atomic_write_bytes(output / PAGE, text.encode())
    return output / PAGE


class _Images:
    """Finds the images of Markdown pages, as SVG where there is one, and says where the site has them."""

    def __init__(self, single: bool):
        self.single = single
        self.found: dict[str, bytes] = {}

    def of(self, page: Path) -> Callable[[str], str]:
        """Return what turns an address in a page into one in the site, empty where there is no such image."""

        def address(source: str) -> str:
            path = (page.parent / source).with_suffix(".svg")
            path = path if path.is_file() else page.parent / source
            if not re.fullmatch(r"(?:[\w-]+/)*[\w-]+\.(?:png|svg)", source) or not path.is_file():
                return ""
            if self.single:
                return _address(path.name, read_bytes(path))
            self.found[path.name] = read_bytes(path)
            return path.name

        return address


def _address(name: str, data: bytes) -> str:
    """Return an image as an address that holds it."""
    return f"data:{_TYPES[Path(name).suffix]};base64,{base64.b64encode(data).decode()}"


def _downloads(records: Sequence[RunRecord], measurements: Sequence[Any]) -> dict[str, bytes]:
    table = with_measurements(frame(records), measurements)
    packed = {}
    for name, one in (("runs.parquet", table), ("curves.parquet", curves(records))):
        buffer = io.BytesIO()
        one.to_parquet(buffer, index=False)
        packed[name] = buffer.getvalue()
    return {"runs.csv": table.to_csv(index=False).encode(), **packed}


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def _data(parts: Sequence[Part], runs: Runs, records: str) -> dict[str, Any]:
    return {
        "records": records,
        "environment": ENVIRONMENT,
        "environments": [list(made) for made in runs.environments],
        "runs": runs.listed,
        "tables": {table.id: table.data for part in parts for table in part.tables},
    }


def _in_script(value: Any) -> str:
    """Write JSON that can stand in a script element: no text in it can end the element or a line of a script."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _policy(scripts: Mapping[str, str], style: str, single: bool) -> str:
    """Say what a browser may load: this page's own scripts, style and images, nothing from elsewhere."""
    beside = "'self' file:"  # not every browser takes a page on a disk for the origin of what lies beside it
    code, looks = (" ".join(map(_hash, texts)) if single else beside for texts in (scripts.values(), [style]))
    images = "data:" if single else f"data: {beside}"
    own = f"script-src {code}; style-src {looks}; img-src {images}"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _link(target: str) -> str:
    """Return where a link of a page leads from the site: to a card, to the network, or nowhere."""
    if found := re.fullmatch(r"(?:variants/)?(\w+)\.md", target):
        return f"#card-{found[1]}"
    return target if target.startswith("https://") else ""
