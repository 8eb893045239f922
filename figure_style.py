"""What all figures look like before each adds its own: colours, lines and letters, as matplotlib's settings."""

from typing import Any

COLORBLIND = (
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
)
"""Ten colours that colour-blind readers can distinguish: the palette ``colorblind`` of seaborn."""


def white_grid(scale: float) -> dict[Any, Any]:
    """Return settings of matplotlib for a white background with a grid, no ticks, and small letters.

    Args:
        scale: of lines and markers.

    Example:
        >>> white_grid(0.5)["lines.linewidth"]
        0.75
    """
    dark, letters = ".15", 12 * 0.8
    widths = {"axes.linewidth": 1.25, "grid.linewidth": 1.0, "lines.linewidth": 1.5, "lines.markersize": 6.0}
    widths |= {"patch.linewidth": 1.0}
    for axis in ("xtick", "ytick"):
        widths |= {f"{axis}.major.width": 1.25, f"{axis}.minor.width": 1.0}
        widths |= {f"{axis}.major.size": 6.0, f"{axis}.minor.size": 4.0}
    sizes = dict.fromkeys(("font.size", "axes.labelsize", "axes.titlesize", "legend.title_fontsize"), letters)
    return {
        **{name: scale * width for name, width in widths.items()},
        **sizes,
        **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 11 * 0.8),
        **dict.fromkeys(("axes.labelcolor", "xtick.color", "ytick.color", "text.color"), dark),
        **dict.fromkeys(("axes.edgecolor", "grid.color"), ".8"),
        "axes.axisbelow": True,
        "axes.grid": True,
        "font.family": ["sans-serif"],
        "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
        "lines.solid_capstyle": "round",
        "patch.edgecolor": "w",
        "patch.force_edgecolor": True,
        "xtick.bottom": False,
        "ytick.left": False,
    }
