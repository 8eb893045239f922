"""rho_t = min(sigma_t / |g|, rho_max); w+ = base(w, g(w + rho_t g / |g|)); sigma_t: warm-up, plateau, cosine to 0."""

import numpy as np

SETTINGS = [
    {},
    {"sigma": 0.1, "rho_max": 999.0, "warmup": 0.2, "decay_start": 0.5},
    {"sigma": 0.02, "rho_max": 999.0, "warmup": 0.0, "decay_start": 0.0},
    {"sigma": 5.0, "rho_max": 0.4, "warmup": 0.0, "decay_start": 1.0},
    {"sigma": 0.05, "rho_max": 999.0, "warmup": 1.0},
]


def step(w, t, evaluate, descend, hyper, state, extra):
    now = t / extra.total_steps
    if now < hyper["warmup"]:
        sigma = hyper["sigma"] * now / hyper["warmup"]
    elif now < hyper["decay_start"]:
        sigma = hyper["sigma"]
    else:
        sigma = hyper["sigma"] * np.cos(np.pi / 2 * (now - hyper["decay_start"]) / (1 - hyper["decay_start"])) ** 2
    _, g = evaluate(w)
    norm = np.linalg.norm(g)
    _, worst = evaluate(w + min(sigma / norm, hyper["rho_max"]) * g / norm)
    return descend(w, worst)
