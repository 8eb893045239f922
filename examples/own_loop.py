"""A variant in a training loop of your own: the optimizer evaluates the closure as often as it needs."""

import torch
from torch import nn

import sambench as sb

torch.manual_seed(0)
images, labels = torch.randn(256, 1, 8, 8), torch.randint(0, 10, (256,))
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = sb.create("unified_sam", model, base="sgd", lr=0.1, momentum=0.9, rho=0.05, lam="1-1/t")
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)

for epoch in range(5):
    for x, y in zip(images.split(64), labels.split(64), strict=True):

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        loss = optimizer.step(closure)
    schedule.step()
    print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.3f}")
