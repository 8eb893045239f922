"""What m means: a part of the spec only where the batch has more than one perturbation, and on that many devices."""

import pytest

from sambench.benchmarks.m_sharpness import check_devices, read_m
from sambench.benchmarks.resolve import make_spec
from sambench.errors import ConfigError


def test_words_become_numbers():
    assert [read_m(text, 96, 3) for text in ("device", "batch", "16")] == [32, 96, "16"]
    with pytest.raises(ConfigError, match="batch_size=97 cannot be shared evenly by 3 devices"):
        read_m("device", 97, 3)


def test_m_of_the_whole_batch_is_the_run_without():
    assert make_spec({"variant": "sam", "batch_size": 64, "hyper": {"m": 64}}) == make_spec(
        {"variant": "sam", "batch_size": 64}
    )


def test_m_changes_the_run_and_reaches_no_optimizer():
    spec, plain = make_spec({"variant": "sam", "hyper": {"m": 32}}), make_spec({"variant": "sam"})
    assert spec.m == 32
    assert plain.m is None
    assert spec.run_id != plain.run_id
    assert spec.optimizer_arguments() == plain.optimizer_arguments()


def test_a_variant_with_an_m_of_its_own_keeps_it():
    spec = make_spec({"variant": "m_sam", "hyper": {"m": 32}})
    assert spec.m is None
    assert spec.optimizer_arguments()["m"] == 32


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hyper": {"m": 48}}, "m=48 is not valid: it must divide batch_size=128"),
        ({"hyper": {"m": 256}}, "m=256 is not valid: it must divide batch_size=128"),
        ({"hyper": {"m": 0}}, "m=0 is not valid: it must be an integer >= 1"),
        ({"hyper": {"m": 64}, "drop_last": False}, "cannot be combined with drop_last=False"),
        ({"hyper": {"m": 64}, "precision": "fp16"}, "cannot be combined with precision='fp16'.*take bf16"),
        ({"hyper": {"m": 64}, "variant": "ae_sam"}, "cannot be combined with variant 'ae_sam'"),
    ],
)
def test_what_devices_cannot_do_is_refused_when_the_spec_is_made(fields, message):
    with pytest.raises(ConfigError, match=message):
        make_spec({"variant": "sam", **fields})


def test_a_run_with_m_takes_its_number_of_devices():
    check_devices(None, 128, 7)
    check_devices(32, 128, 4)
    with pytest.raises(ConfigError, match="is a run on 4 devices, not on 2: give --devices 4"):
        check_devices(32, 128, 2)
