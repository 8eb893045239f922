"""Weight matrices keep the entries of g with |z| at or above its quantile; w+ = base(w, g(w + rho g~ / |g~|))."""

import numpy as np

SETTINGS = [
    {"rho": 0.2, "quantile": quantile, "per_layer": per_layer}
    for quantile in (0.95, 0.5, 0.31, 0.0, 1.0)
    for per_layer in (False, True)
]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    kept = g.copy()
    eps = hyper["rho"] * g / np.linalg.norm(g)
    for name, at in extra.slices.items():
        if len(extra.shapes[name]) > 1:
            z = np.abs((g[at] - g[at].mean()) / g[at].std(ddof=1))
            kept[at] = np.where(z >= np.quantile(z, hyper["quantile"]), g[at], 0)
            eps[at] = hyper["rho"] * kept[at] / np.linalg.norm(kept[at])
    if not hyper["per_layer"]:
        eps = hyper["rho"] * kept / np.linalg.norm(kept)
    _, worst = evaluate(w + eps)
    return descend(w, worst)
