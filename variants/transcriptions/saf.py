"""Descend along cross-entropy plus lam T^2 KL(softmax(past / T) || softmax(z / T)), past: logits E epochs ago.

The derivative of the term by a sample's logits z is lam T (softmax(z / T) - softmax(past / T)).
"""

import numpy as np

SETTINGS = [
    {},
    {"saf_delay": 1, "saf_start": 0.0},
    {"saf_delay": 2, "saf_weight": 3.0, "saf_temperature": 1.5, "saf_start": 0.5},
    {"saf_delay": 1, "saf_start": 1.0},
]


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def step(w, t, evaluate, descend, hyper, state, extra):
    z, temperature = extra.logits(w), hyper["saf_temperature"]
    g = evaluate(w)[1]
    past = state.get((extra.epoch - hyper["saf_delay"], t % extra.steps_per_epoch))
    if past is not None and t >= hyper["saf_start"] * extra.total_steps:
        cotangent = softmax(z / temperature) - softmax(past / temperature)
        g = g + extra.vjp(w, hyper["saf_weight"] * temperature * cotangent / extra.batch)
    state[extra.epoch, t % extra.steps_per_epoch] = z
    return descend(w, g)
