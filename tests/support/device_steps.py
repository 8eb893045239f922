"""Steps of every variant, in float64 on a small BatchNorm network, by a group of two processes."""

from sambench.benchmarks.training.classification import ClassificationOracle
from sambench.benchmarks.training.probe import BATCH, Probe
from sambench.variants import get_info, list_variants
from sambench.variants.settings import small

STEPS = 5
NAMES = [info.name for info in list_variants()]
DEVICE = [name for name in NAMES if get_info(name).cost != "adaptive" and "m" not in get_info(name).hyper]


def trial(name, oracle=ClassificationOracle, norm="batch", **setting):
    """A variant at step 0, on SGD with momentum and weight decay."""
    return Probe(get_info(name), {**small(get_info(name)), **setting}, norm=norm, oracle=oracle)


def adversarial(oracle=ClassificationOracle):
    """SAM on inputs under attack at step 0."""
    setting = {"adversarial_iterations": 2, "adversarial_epsilon": 50.0}
    return Probe(get_info("sam"), setting, norm="batch", oracle=oracle, hook="adversarial")


def work(process_group, folder):
    """Make steps of every variant over whole batches, then by each device on its half, then at odd splits."""
    done = {}

    def whole(model):
        return ClassificationOracle(model, process_group=process_group)

    def halves(model):
        return ClassificationOracle(model, process_group=process_group, whole=False)

    for name in NAMES:
        run = trial(name, whole)
        loss = run.step(STEPS)
        done[name, "whole"] = run.tensors(), loss, run.oracle.counters, run.oracle.logits, run.oracle.scores("loss")
    for name in DEVICE:
        run = trial(name, halves)
        run.optimizer.mean_over_devices = process_group.mean_
        run.step(STEPS)
        done[name, "halves"] = run.tensors(), run.oracle.counters, run.oracle.scores("loss")
    for name, setting in (("m_sam", {"m": 1}), ("bsam", {"splits": BATCH})):
        run = trial(name, whole, norm="layer", **setting)
        run.step(STEPS)
        done[name, "single"] = run.tensors()
    run = trial("sam", lambda model: ClassificationOracle(model, process_group=process_group, accumulate=5))
    run.step(STEPS)
    done["sam", "accumulated"] = run.tensors()
    run = adversarial(lambda model: ClassificationOracle(model, process_group=process_group, accumulate=2))
    run.step(STEPS)
    done["sam", "adversarial"] = run.tensors(), run.oracle.counters
    return done
