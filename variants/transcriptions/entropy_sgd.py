"""A walk of L Nesterov-momentum Langevin steps x_l around w, each on a batch of its own; mu its running mean.

x <- x - eta (g + beta v - gamma (w - x) + eps xi / sqrt(eta / 2)), v <- beta v + g, mu <- alpha mu + (1 - alpha) x,
gamma = min(scope (1 + scoping)^t, 1 / eta); the base optimizer is given w - mu. xi is drawn parameter by parameter, in
float32.
"""

import numpy as np
import torch

SETTINGS = [
    {"langevin": 3},
    {"langevin": 0},
    {"langevin": 1, "noise": 0.1},
    {"langevin": 4, "scope": 0.5, "scoping": 0.3, "noise": 0.05, "walk_lr": 0.3, "walk_momentum": 0.5, "memory": 0.4},
    {"langevin": 2, "scope": 5.0, "scoping": 0.3},
]


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    if hyper["langevin"] == 0:
        return descend(w, g)
    generator, x, mu, v = extra.noise(), w.copy(), w.copy(), np.zeros_like(w)
    gamma = min(hyper["scope"] * (1 + hyper["scoping"]) ** t, 1 / hyper["walk_lr"])
    for number in range(hyper["langevin"]):
        if number:
            _, g = extra.other(number).evaluate(x)
        v = hyper["walk_momentum"] * v + g
        shapes = extra.shapes.values()
        xi = np.concatenate([torch.randn(shape, generator=generator).numpy().ravel() for shape in shapes]).astype(float)
        push = g + hyper["walk_momentum"] * v - gamma * (w - x) + hyper["noise"] * xi / np.sqrt(hyper["walk_lr"] / 2)
        x = x - hyper["walk_lr"] * push
        mu = hyper["memory"] * mu + (1 - hyper["memory"]) * x
    return descend(w, w - mu)
