"""Descend along cross-entropy plus lam T^2 KL(softmax(teacher / T) || softmax(z / T)).

The teacher's logits are those of a, a moving average of the weights after each step: a_1 = w_1,
a_n = d a_{n-1} + (1 - d) w_n with d = min(decay, (1 + n) / (10 + n)); before the first step the teacher is w itself.
The derivative of the term by a sample's logits z is lam T (softmax(z / T) - softmax(teacher / T)).
"""

import numpy as np

SETTINGS = [
    {},
    {"mesa_start": 0.0},
    {"mesa_start": 0.4, "mesa_weight": 3.0, "mesa_temperature": 1.5, "mesa_decay": 0.5},
    {"mesa_start": 1.0},
]


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def step(w, t, evaluate, descend, hyper, state, extra):
    g, temperature = evaluate(w)[1], hyper["mesa_temperature"]
    if t >= hyper["mesa_start"] * extra.total_steps:
        teacher = extra.logits(state.get("a", w))
        cotangent = softmax(extra.logits(w) / temperature) - softmax(teacher / temperature)
        g = g + extra.vjp(w, hyper["mesa_weight"] * temperature * cotangent / extra.batch)
    after, n = descend(w, g), t + 1
    d = min(hyper["mesa_decay"], (1 + n) / (10 + n))
    state["a"] = after if n == 1 else d * state["a"] + (1 - d) * after
    return after
