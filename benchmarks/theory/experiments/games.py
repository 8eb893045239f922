"""Min-max games: descent-ascent, extragradient and Hamiltonian steps against their guarantees."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..bounds import Recursion, curve
from ..figures import GUARANTEE, Frame, canvas, colors, draw_trials
from ..games.affine import AffineGame, Method, play
from ..games.bilinear import bilinear
from ..games.extragradient import INDEPENDENT, SAME_SAMPLE
from ..games.hamiltonian import HAMILTONIAN
from ..games.past_extragradient import PAST
from ..games.quadratic import quadratic
from ..games.sgda import SGDA
from ..methods import record_grid
from ..sampling import make_sampling
from ..trend import endings
from .base import EXPERIMENTS, Experiment
from .guarantee import table_of_guarantees

METHODS: dict[str, Method] = {
    "SGDA": SGDA,
    "extragradient, same sample": SAME_SAMPLE,
    "extragradient, independent": INDEPENDENT,
    "past extragradient": PAST,
    "Hamiltonian": HAMILTONIAN,
}


def measure(
    quick: bool, sampling: str | None = None, steps: int | None = None, trials: int = 10, seed: int = 0
) -> Frame:
    length = steps or (200 if quick else 6_000)
    record = np.union1d(record_grid(length, 40), record_grid(length, 60, log=False))
    samplings = (sampling,) if sampling else ("uniform", "importance")
    cases = [(game, name) for game in (bilinear(), quadratic()) for name in samplings]
    return pd.concat([_case(game, name, record, trials, seed) for game, name in cases], ignore_index=True)


def _case(game: AffineGame, name: str, record: np.ndarray, trials: int, seed: int) -> Frame:
    sampling = make_sampling(name, game)
    parts = []
    for label, method in METHODS.items():
        gamma = method.step_size(game, sampling)
        away = play(game, sampling, method, gamma, record, trials, seed)
        step = method.guarantee(game, sampling, gamma)
        parts.append(guaranteed(away, record, step, method.head).assign(method=label, gamma=gamma))
    return pd.concat(parts).assign(case=f"{game.name}, {name}")


def guaranteed(away: np.ndarray, record: np.ndarray, step: Recursion, head: float = 1.0) -> Frame:
    """Return one row for each trial and recorded step of ``away`` (trials, R), with the guarantee beside it."""
    whole = Recursion(np.repeat(step.factor, record[-1]), np.repeat(step.noise, record[-1]))
    bound = curve(head * float(away[0, 0]), whole)[record]
    return pd.DataFrame(
        {
            "trial": np.repeat(np.arange(len(away)), len(record)),
            "step": np.tile(record, len(away)),
            "gap": away.ravel(),
            "relative": (away / away[:, :1]).ravel(),
            "bound": np.tile(np.where(np.isnan(step.factor), np.nan, bound), len(away)),
            "factor": step.factor[0],
            "reach": 0.0,
        }
    )


def draw(data: Frame) -> Figure:
    cases = list(dict.fromkeys(data["case"]))
    figure = canvas(columns=2, rows=(len(cases) + 1) // 2, width=4.0, height=2.9)
    for axes, case in zip(figure.axes, cases, strict=False):
        part = data[data["case"] == case]
        axes.set(xscale="log", yscale="log", title=case, xlabel="step", ylabel="‖z - z*‖²")
        for label, color in colors(data["method"]).items():
            line = part[part["method"] == label]
            shown = line[line["gap"] < 100 * line["gap"].iloc[0]]  # what diverges leaves the picture
            draw_trials(axes, shown, y="gap", label=str(label), color=color)
            first = line[line["trial"] == 0]
            axes.plot(first["step"], first["bound"], **{**GUARANTEE, "color": color})
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=6)
    return figure


def findings(data: Frame) -> list[str]:
    said = table_of_guarantees(data, "‖z - z*‖²")
    for case, part in data.groupby("case", sort=False):
        lines = {str(label): line for label, line in part.groupby("method", sort=False)}
        said.append(f"{case}, at the end: {endings(lines)}.")
    return said


EXPERIMENTS.register(
    Experiment(
        "games",
        "Min-max games",
        "A bilinear game (monotone, with a solution that descent-ascent turns around) and a quadratic one (strongly "
        "monotone), finite sums of ten components with known constants, under uniform and importance sampling: "
        "stochastic gradient descent-ascent (Loizou et al. 2021), extragradient with the same and with independent "
        "samples (Gorbunov et al. 2022), past extragradient, which calls the field once a step (Choudhury et al. "
        "2023), and Hamiltonian descent (Loizou et al. 2020). Each takes the step size of its theorem; dashed is the "
        "guarantee, derived in `benchmarks/theory/games/` with the game's own constants. 10 trials.",
        measure,
        draw,
        findings,
    )
)
