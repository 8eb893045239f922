"""a_1 = w_1; a_n = d a_{n-1} + (1 - d) w_n, d = min(decay, (1 + n) / (10 + n)) or the decay itself."""

SETTINGS = [
    {},
    {"ema_warmup": False},
    {"ema_decay": 0.3},
    {"ema_decay": 0.9, "ema_warmup": False},
    {"ema_decay": 1.0, "ema_warmup": False},
]


def step(w, t, evaluate, descend, hyper, state, extra):
    return descend(w, evaluate(w)[1])


def evaluated(w, t, hyper, state, extra):
    n = t + 1
    d = min(hyper["ema_decay"], (1 + n) / (10 + n)) if hyper["ema_warmup"] else hyper["ema_decay"]
    state["a"] = w if n == 1 else d * state["a"] + (1 - d) * w
    return state["a"]
