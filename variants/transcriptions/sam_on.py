"""w+ = base(w, g(w + eps)), eps on normalization layers only: rho T^2 g / |T g|, or rho T sign(g)."""

import numpy as np

SETTINGS = [
    {"rho": 0.3, "layers": layers, "scaling": scaling, "p": p, "normalize_bias": bias}
    for layers in ("norm", "other", "all")
    for scaling in ("none", "elementwise", "layerwise")
    for p in ("2", "inf")
    for bias in (False, True)
]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    scale, wanted = np.ones_like(w), np.zeros_like(w)
    for name, at in extra.slices.items():
        is_norm = extra.kinds[name].endswith("Norm")
        wanted[at] = {"norm": is_norm, "other": not is_norm, "all": True}[hyper["layers"]]
        if "weight" in name or hyper["normalize_bias"]:
            size = {"none": 1, "elementwise": np.abs(w[at]), "layerwise": np.linalg.norm(w[at])}[hyper["scaling"]]
            scale[at] = size + (hyper["eta"] if hyper["scaling"] != "none" else 0)
    if hyper["p"] == "2":
        eps = hyper["rho"] * wanted * scale**2 * g / np.linalg.norm(wanted * scale * g)
    else:
        eps = hyper["rho"] * wanted * scale * np.sign(g)
    _, worst = evaluate(w + eps)
    return descend(w, worst)
