"""The plotting library that a site carries: Vega-Lite with Vega and Vega-Embed, from the package vl-convert-python.

Of what Python packages ship it is the small one, 0.9 MB to Plotly's 4.8, and the only one that draws where no text may
be run as a program: its expressions are interpreted.
"""

from importlib.metadata import version

from ...atomic import atomic_write_bytes, default_folder, make_folder
from ...errors import ConfigError


def plotting_library() -> str:
    """Return the library as one script; its making takes seconds and depends on the package alone, so it is kept.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise ConfigError(
            "a site takes vl-convert-python, which has its plotting library; `pip install 'sambench[site]'` installs it"
        ) from error
    path = default_folder("site", "SAMBENCH_CACHE") / f"vega-{version('vl-convert-python')}.js"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    script = vl_convert.javascript_bundle(None)
    make_folder(path.parent)
    atomic_write_bytes(path, script.encode())
    return script
