"""w+ = base(w, g(w + rho T^2 g / |T g|)), T a diagonal matrix: |w| + eta on weights and 1 elsewhere, or |w| on all."""

import numpy as np

SETTINGS = [{"rho": rho, "scale_all": all_} for rho in (0.5, 2.0) for all_ in (False, True)] + [{"eta": 0.0}]


def step(w, t, evaluate, descend, hyper, state, extra):
    scale = np.ones_like(w)
    for name, at in extra.slices.items():
        if hyper["scale_all"]:
            scale[at] = np.abs(w[at])
        elif name.endswith("weight"):
            scale[at] = np.abs(w[at]) + hyper["eta"]
    _, g = evaluate(w)
    _, worst = evaluate(w + hyper["rho"] * scale**2 * g / np.linalg.norm(scale * g))
    return descend(w, worst)
