"""A model and a data set of your own as plug-ins, trained by the harness: no file of the suite is edited.

sambench run --plugin examples/own_data_and_model.py --model narrow16 --dataset stripes --variant sam --epochs 2
"""

import sys

import torch
from torch import nn

import sambench as sb
from sambench.benchmarks.models import register_model
from sambench.datasets import build, register_dataset


@register_model("narrow{width}", "one hidden layer of so many units", examples=("narrow8",))
def narrow(task, width):
    inputs = task.channels * task.image_size**2
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, int(width)), nn.ReLU(), nn.Linear(int(width), task.classes))


@register_dataset("stripes", "noise with a bright row or a bright column", augment="none")
def stripes(name, folder, cache):
    random = torch.Generator().manual_seed(0)

    def part(count):
        images = torch.randint(0, 128, (count, 1, 8, 8), generator=random, dtype=torch.uint8)
        labels = torch.arange(count) % 2
        images[labels == 0, :, 3, :] = 255
        images[labels == 1, :, :, 3] = 255
        return images, labels

    return build(name, part(256), part(64), ("row", "column"))


if __name__ == "__main__":
    store = sb.Store(sys.argv[1] if len(sys.argv) > 1 else "sambench-results")
    fields = {"dataset": "stripes", "model": "narrow16", "batch_size": 32, "epochs": 2}
    for variant in ("sgd", "sam"):
        record = sb.run_spec(sb.make_spec({**fields, "variant": variant}), store)
        print(f"{variant}: test accuracy {record.metrics.accuracy:.1%} of {record.metrics.count}")
