r"""Which schedules bring the last iterate of SAM to a minimum (Khanh et al. 2024; Nam et al. 2023).

With :math:`\sum \eta_t = \infty`, :math:`\sum \eta_t^2 < \infty` and :math:`\sum \eta_t \rho_t^2 < \infty` gradients
vanish, on any smooth function and on samples. With a constant rho the last condition fails, and what happens depends on
the function: a 2-cycle follows the steps down, :math:`a_t = \eta_t\rho\lambda / (2 - \eta_t\lambda)`, while the
floors of samples that disagree, and of functions that are not convex, do not depend on eta at all.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..figures import GUARANTEE, Frame, canvas, colors, draw_trials
from ..landscapes import OneVariable, opposed, parabola, waves
from ..methods import Method, record_grid
from ..sampling import Floats, make_sampling
from ..step_sizes import Constants, StepSize
from ..verdicts import verdict
from .base import EXPERIMENTS, Experiment, tidy
from .bouncing import amplitude

ETA, RHO = 0.3, 0.4
SCHEDULES = {
    "both constant": (0.0, 0.0),
    "ρ falls": (0.0, 0.5),
    "η falls": (0.75, 0.0),
    "both fall": (0.75, 0.5),
}
"""The powers of 1 + t/20 that eta and rho are divided by; the last meets the conditions."""


def _step(eta: float, powers: tuple[float, float]) -> StepSize:
    def rule(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
        return eta / (1 + t / 20) ** powers[0], RHO / (1 + t / 20) ** powers[1]

    return rule


def _cases() -> dict[str, tuple[OneVariable, str, float]]:
    """Return function, sampling, and the floor that a constant rho leaves however short the steps are."""
    pulled, rests = opposed(parabola, RHO)
    wave, slope = waves(RHO)
    return {
        "parabola": (OneVariable("parabola", [parabola(1.0, 0.0)], 1.0, 1.0, 0.0), "full", 0.0),
        "samples that disagree": (pulled, "uniform", float(pulled.gap(pulled.minimizer.new_tensor([rests])))),
        "wave": (wave, "full", slope**2),
    }


def measure(quick: bool) -> Frame:
    steps = 300 if quick else 10_000
    record, parts = record_grid(steps, 60), []
    constants = Constants(1, 1, 1, 1, 1, steps)
    for case, (problem, sampled, floor) in _cases().items():
        eta = ETA if sampled == "full" else ETA / 3
        methods = [Method("sam", _step(eta, powers), constants, label=name) for name, powers in SCHEDULES.items()]
        trials = 1 if sampled == "full" else 20
        result = solve(problem, make_sampling(sampled, problem), methods, record=record, trials=trials)
        value = (result.slope**2 if case == "wave" else result.gap).ravel()
        data = tidy(result, methods, case=case, floor=floor).assign(value=value).drop(columns=["gap", "relative"])
        for method in methods:
            gamma, rho, _ = method.schedule(record.astype(np.float64))
            # Beside the shrinking steps the cycle follows with a delay that vanishes.
            cycle = (0.5 * amplitude_of(gamma, rho) ** 2) if case == "parabola" else np.full(len(record), floor)
            data.loc[data["method"] == method.label, "closed"] = np.tile(cycle, trials)
        parts.append(data)
    return pd.concat(parts, ignore_index=True)


def amplitude_of(gamma: Floats, rho: Floats) -> Floats:
    """Return the amplitude of the 2-cycle at each step, for curvature 1."""
    return np.array([amplitude(g, 1.0, r) for g, r in zip(gamma, rho, strict=True)])


def draw(data: Frame) -> Figure:
    cases = list(dict.fromkeys(data["case"]))
    figure = canvas(columns=len(cases), width=3.2, height=3.0)
    for axes, case in zip(figure.axes, cases, strict=True):
        part = data[data["case"] == case]
        axes.set(xscale="log", yscale="log", xlabel="step", title=case, ylabel="‖∇f‖²" if case == "wave" else "f - f*")
        for name, color in colors(SCHEDULES).items():
            line = part[part["method"] == name]
            draw_trials(axes, line, y="value", label=str(name), color=color)
            if case == "parabola":
                first = line[line["step"] > 0]
                axes.plot(first["step"], first["closed"], **{**GUARANTEE, "color": color})
        if case != "parabola":
            axes.axhline(float(part["floor"].iloc[0]), **GUARANTEE)
    figure.axes[0].plot([], [], label="closed form", **GUARANTEE)
    figure.axes[0].legend(fontsize=7)
    return figure


def ends(data: Frame) -> Frame:
    """Return the means over trials and over the half decades before the last step and a tenth of it, with the floor.

    A mean, because gradients swing through zero: at a single step they are small by chance.
    """
    share = data["step"] / data["step"].max()
    at = {name: data[share.between(end / 10**0.5, end)] for name, end in (("end", 1.0), ("tenth", 0.1))}
    keys = ["case", "method"]
    table = pd.DataFrame({name: part.groupby(keys, sort=False)["value"].mean() for name, part in at.items()})
    table["closed"] = at["end"].groupby(keys, sort=False)["closed"].mean()
    table["floor"] = at["end"].groupby(keys, sort=False)["floor"].first()
    return table.reset_index()


def findings(data: Frame) -> list[str]:
    table = ends(data)
    rows = [
        "| function | schedule | before a tenth of the run | before the end | floor of a constant ρ |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| {r.case} | {r.method} | {r.tenth:.1e} | {r.end:.1e} | {f'{r.floor:.1e}' if r.floor else 'none'} |"
        for r in table.itertuples()
    ]
    by = {(row.case, row.method): row for row in table.itertuples()}
    return [
        "Gap, or ‖∇f‖² of the wave, mean over trials and half a decade of steps:\n\n" + "\n".join(rows),
        *_sentences(by),
    ]


def _sentences(by: dict) -> list[str]:
    cases = list(dict.fromkeys(case for case, _ in by))
    falling = {case: by[case, "both fall"].end / by[case, "both fall"].tenth for case in cases}
    slow = [case for case, ratio in falling.items() if not ratio < 0.5]
    to_zero = verdict(
        None if any(0.5 <= falling[case] < 0.9 for case in slow) else not slow,
        "With both falling, as the conditions ask, the last iterate goes to a minimum on all of them: over the last "
        f"decade of steps by a factor of {1 / max(falling.values()):.2g} at least.",
        f"With both falling it does not go to a minimum on: {'; '.join(slow)}.",
        "over the last decade of steps some run falls by less than half, and still falls",
    )
    kept = [case for case in cases if by[case, "η falls"].floor]
    off = max(abs(by[case, "η falls"].end / by[case, "η falls"].floor - 1) for case in kept)
    stuck = verdict(
        off <= 0.1,
        f"Shorter steps alone do not remove the floor of a constant ρ where samples disagree or f is not convex: the "
        f"ends are within {100 * off:.2g} % of the closed form, on samples with the noise that is left at that step.",
        f"Shorter steps alone do not end at the closed form of the floor: off by {100 * off:.2g} %.",
    )
    bowl = by["parabola", "η falls"]
    share = abs(bowl.end / bowl.closed - 1)
    cycle = verdict(
        share <= 0.1,
        "On the parabola they are enough: the gap follows the shrinking 2-cycle, at the end within "
        f"{100 * share:.2g} %.",
        f"On the parabola the gap does not follow the shrinking 2-cycle: off by {100 * share:.2g} % at the end.",
    )
    return [to_zero, f"{stuck} {cycle}"]


EXPERIMENTS.register(
    Experiment(
        "last-iterate",
        "Which schedules bring the last iterate to a minimum",
        f"SAM from η = {ETA:g} (a third of it on samples) and ρ = {RHO:g}, each constant or falling (η as t to the "
        "power -.75, ρ as t to the power -.5), on three functions of one variable. Khanh et al. (2024) and Nam et al. "
        "(2023) let both fall. Dashed: the 2-cycle of the present η and ρ, and the floor of a constant ρ.",
        measure,
        draw,
        findings,
    )
)
