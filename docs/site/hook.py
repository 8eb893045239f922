"""What mkdocs does not do by itself: pages from all over the repository, formulas, the API, the page of the results."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import sambench
from sambench.results.site.prose import NO_HEAD, hold_formulas, put_formulas

ROOT = Path(sambench.__file__).parent
SHOWN = (
    *("*.md", "CITATION.cff", "LICENSE", "docs/**/*.md", "docs/site/*.css", "docs/site/*.js", "docs/figures/**/*"),
    *("examples/*", "results/boards/*"),
)
"""Files that the site has, at the place that they have in the repository, so that links among them hold."""
BOARD = "board/index.html"
API = "# API\n\nEverything that `import sambench` gives.\n\n"

formulas: dict[str, list[str]] = {}
package = TemporaryDirectory()


@event_priority(100)  # before the plug-ins read theirs
def on_config(config: MkDocsConfig) -> None:
    """Put files in place of patterns in the navigation, and the package where the API is read from."""
    assert config.nav is not None
    config.nav = [_entry(entry) for entry in config.nav]
    if not (place := Path(package.name) / "sambench").is_symlink():  # a server builds again and again
        place.symlink_to(ROOT)  # it reads a package from a folder of its name alone
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [package.name]


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    ((name, target),) = entry.items()
    if isinstance(target, list):
        return {name: [_entry(one) for one in target]}
    return {name: [path.relative_to(ROOT).as_posix() for path in _found(target)] if "*" in target else target}


def _found(pattern: str) -> list[Path]:
    files = [path for path in ROOT.glob(pattern) if path.is_file()]
    return sorted(files, key=lambda path: (path.name != "README.md", path))


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Take the files of the repository instead of those of one folder."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    for path in dict.fromkeys(path for pattern in SHOWN for path in _found(pattern)):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    files.append(File.generated(config, "docs/api.md", content=API + "\n\n".join(map(_member, sambench.__all__))))
    files.append(File.generated(config, BOARD, content=""))


def _member(name: str) -> str:
    found = getattr(sambench, name)
    return f"::: {found.__module__}.{name}\n    options:\n      heading: sambench.{name}\n      toc_label: {name}"


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Keep formulas from what reads Markdown, and let folded parts be read by it."""
    text, formulas[page.file.src_uri] = hold_formulas(markdown)
    return text.replace("<details>", "<details markdown>")


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Put formulas back, as MathML; a table without headings has no empty ones."""
    return put_formulas(NO_HEAD.sub("", html), formulas.pop(page.file.src_uri))


def on_post_build(config: MkDocsConfig) -> None:
    """Write the page of the committed results beside the documentation."""
    sambench.write_site(ROOT / "results", Path(config.site_dir) / Path(BOARD).parent, documentation="../index.html")
