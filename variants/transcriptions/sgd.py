"""w+ = base(w, g(w))."""


def step(w, t, evaluate, descend, hyper, state, extra):
    _, g = evaluate(w)
    return descend(w, g)
