"""What the tests of single steps share: rules that a plain closure is enough for, and a comparison of bits."""

import torch

NAMES = ["sgd", "sam", "usam", "unified_sam", "asam"]


def bits(tensors):
    """Raw bytes: equal when every bit is, signs of zeros and payloads of NaNs included."""
    return [t.detach().contiguous().flatten().view(torch.uint8).tolist() for t in tensors]
