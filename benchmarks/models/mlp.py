"""A multilayer perceptron without norms: smooth enough for exact checks, small enough for any machine."""

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import initialize

WIDTH = 128


class MLP(nn.Module):
    """Two hidden ReLU layers of 128 units on the flattened image.

    Args:
        inputs: numbers in one image, channels times height times width.
        classes: number of logits of the output layer.

    Shapes:
        (n, channels, h, w) -> (n, classes).
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(inputs, WIDTH)
        self.hidden2 = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.hidden2(F.relu(self.hidden1(x.flatten(1))))))
