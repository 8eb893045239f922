"""m-sharpness on several devices: each perturbs the weights by its own m samples of the batch.

The hyper-parameter ``m`` belongs to every variant, and only specs whose batch has more than one perturbation carry it:

- without m the batch has one perturbation, on however many devices ("batch"). Their number is then no part of a spec.
  Several devices make the steps of one, equal up to the order in which floats are summed; another processor or another
  number of threads changes as much. Such things stand in the record (``environment.devices``), so that a published run
  can be made again on other hardware;
- with m, each of batch_size / m devices makes the variant's step on its own m samples, and the base optimizer gets the
  mean of their directions ("device"). For SAM this is m-sharpness (Foret et al. 2021, section 4.1) as published code
  trains it, with the first pass unsynchronized. It changes what a run computes, so m is part of the spec, and the run
  takes exactly that many devices.

A variant that has an m of its own (``m_sam``) takes care of it itself, in the same way on any number of devices.
"""

from collections.abc import Mapping

from ..errors import ConfigError
from ..hyper import Hyper, Value
from ..variants import VariantInfo

M = Hyper(1, "samples that share a perturbation: each of batch_size / m devices perturbs by its own", low=1)


def read_m(text: Value, batch_size: int, devices: int) -> Value:
    """Turn the words into a number: ``batch`` is the whole batch, ``device`` the share of one of the devices.

    Raises:
        ConfigError: the batch cannot be shared evenly.

    Example:
        >>> read_m("device", batch_size=128, devices=4), read_m("batch", batch_size=128, devices=4)
        (32, 128)
    """
    if text == "device":
        if batch_size % devices:
            raise ConfigError(f"m=device: batch_size={batch_size} cannot be shared evenly by {devices} devices")
        return batch_size // devices
    return batch_size if text == "batch" else text


def without_whole_batch(hyper: Mapping[str, Value], batch_size: int) -> dict[str, Value]:
    """Leave out an m that is the whole batch: it is the run without m, and one run has one spec."""
    return {key: value for key, value in hyper.items() if key != "m" or value != batch_size}


def check_m(m: Value | None, batch_size: int, drop_last: bool, precision: str, info: VariantInfo) -> None:
    """Check that devices with perturbations of their own can make a run.

    Raises:
        ConfigError: they cannot, with the reason.
    """
    if m is None:
        return
    if batch_size % int(m):
        raise ConfigError(f"m={m} is not valid: it must divide batch_size={batch_size}, one part for each device")
    for wrong, what in (
        (not drop_last, "drop_last=False: the last batch of an epoch need not have a part for each device"),
        (precision == "fp16", "precision='fp16': one device would skip a step without the others; take bf16"),
        (
            info.cost == "adaptive",
            f"variant {info.name!r}: its gradients decide what it evaluates, and devices would decide differently",
        ),
    ):
        if wrong:
            raise ConfigError(f"m={m} cannot be combined with {what}")


def check_devices(m: int | None, batch_size: int, devices: int) -> None:
    """Check that a run can be made on this number of devices.

    Raises:
        ConfigError: m needs another one.
    """
    if m is not None and devices * m != batch_size:
        raise ConfigError(
            f"m={m} with batch_size={batch_size} is a run on {batch_size // m} devices, not on {devices}: "
            f"give --devices {batch_size // m}, or leave m out"
        )
