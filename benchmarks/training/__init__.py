"""One run: the loop, its state, the gradient oracle, the loader, evaluation, checkpoints."""
