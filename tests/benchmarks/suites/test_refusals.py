"""What a suite cannot mean is refused when it is read: one message, nothing guessed, nothing left out."""

import pytest

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import load_suite
from sambench.errors import ConfigError

RUN = '[[runs]]\nvariant = "sam"\n'
TUNED = f'tracks = ["E"]\nseeds = [3]\n{RUN}[tuning]\ntrials = 4\n'
CALIBRATED = f"""tracks = ["T"]
{RUN}
[time]
seconds = 60
[time.calibration]
device_name = "d"
threads = 1
host = "h"
torch = "2"
turns = 3
"""
SUITES = {
    "grid is a number": (RUN + "grid = 3", "grid=3"),
    "grid is a text": (RUN + 'grid = "x"', "grid='x'"),
    "grid of a number": (RUN + "grid = {rho = 0.1}", r"grid\.rho=0\.1"),
    "grid of nothing": (RUN + "grid = {rho = []}", r"grid\.rho=\[\]"),
    "hyper is a text": (RUN + 'hyper = "a"', "hyper='a'"),
    "variant is a number": ("[[runs]]\nvariant = 3", "variant=3"),
    "a table as a field": (RUN + "lr = {a = 1}", "lr="),
    "epochs is true": (RUN + "epochs = true", "epochs=True"),
    "lr is true": (RUN + "lr = true", "lr=True"),
    "rho is true": (RUN + "rho = true", "rho=True"),
    "a time is a text": (f'tracks = ["T"]\n{RUN}[time]\nseconds = "x"', r"time\.seconds='x'"),
    "a time is nan": (f'tracks = ["T"]\n{RUN}[time]\nseconds = nan', r"time\.seconds=nan"),
    "a time is negative": (f'tracks = ["T"]\n{RUN}[time]\nseconds = -1', r"time\.seconds=-1"),
    "a time of nothing": (f"{RUN}[time]\nsecond = 3", r"time\.second=3"),
    "a calibration of nan": (CALIBRATED + "[time.calibration.seconds]\nsam = nan", "sam=nan"),
    "a calibration of 1e-300": (CALIBRATED + "[time.calibration.seconds]\nsam = 1e-300", "sam=1e-300"),
    "5,000 digits": (RUN + "epochs = " + "9" * 5000, "not valid TOML"),
    "5,000 hex digits": (RUN + "epochs = 0x" + "f" * 5000, "64 are the most"),
    "nested": (RUN + "x = " + "[" * 5000 + "]" * 5000, "nests too deep"),
    "track twice": (f'tracks = ["E", "E"]\n{RUN}', "'E' stands in it twice"),
    "seed twice": (f"seeds = [1, 1]\n{RUN}", "1 stands in it twice"),
    "a negative seed": (f"seeds = [-1]\n{RUN}", r"seeds\.0=-1"),
    "a track without tracks": (RUN + 'track = "X"', "track 'X' is not one of the suite's, which has none"),
    "an unknown track": (f'tracks = ["X"]\n{RUN}', "unknown track 'X'"),
    "title of a megabyte": (f'title = "{"x" * 10**5}"\n{RUN}', "title="),
    "control characters": (f'title = "\\u001b[31m"\n{RUN}', "no control characters"),
    "range from -1": (TUNED + 'lr = [-1, 1, "log"]', "lr"),
    "log range from 0": (TUNED + 'lr = [0, 1, "log"]', "0 < low where the scale is log"),
    "equal ends": (TUNED + 'lr = [1, 1, "log"]', "low < high"),
    "reversed": (TUNED + 'weight_decay = [1, 0.1, "linear"]', "low < high"),
    "infinite": (TUNED + 'lr = [1, inf, "log"]', "inf"),
    "unknown scale": (TUNED + 'lr = [0.1, 1, "weird"]', "weird"),
    "tuning seeds": (TUNED + "seeds = [9, 9]", "9 stands in it twice"),
    "negative tuning seeds": (TUNED + "seeds = [-9]", r"seeds\.0=-9"),
    "trials is true": (TUNED.replace("trials = 4", "trials = true"), "trials=True"),
    "tuned by a path": (f'{RUN}[tuned]\nledger = "../x"\nsha256 = "{"0" * 64}"', "ledger='../x'"),
}


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_refused(name, tmp_path):
    text, message = SUITES[name]
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_suite(str(tmp_path / "s.toml"))
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("kind", ["directory", "pipe", "link to itself", "10 MB"])
def test_what_is_no_file_of_a_suite_is_told(kind, tmp_path, hostile_file):
    path = hostile_file(tmp_path / "s.toml", kind)
    with pytest.raises(ConfigError, match=r"s\.toml' (cannot be read|does not exist)"):
        load_suite(str(path))


@pytest.mark.parametrize("name", ["a\nb.toml", "\x1b[31m.toml", "\udcff.toml"])
def test_the_name_of_a_suite_can_be_printed(name, tmp_path):
    (tmp_path / name).write_text(RUN)
    with pytest.raises(ConfigError, match="rename it"):
        load_suite(str(tmp_path / name))


SPECS = {
    "warm-up longer than the run": ({"warmup_epochs": 100, "epochs": 1}, "warmup_epochs=100.0 is not valid: the run"),
    "milestones that descend": ({"milestones": [0.75, 0.5]}, "they must ascend"),
    "equal milestones": ({"milestones": [0.5, 0.5]}, "they must ascend"),
    "more micro-batches than samples": ({"accumulate": 64, "batch_size": 32}, "accumulate=64 is not valid"),
    "epochs of 400 digits": ({"epochs": 10**400}, "epochs=1000"),
    "epochs of 5,000 digits": ({"epochs": 10**5000}, "epochs=a number of very many digits"),
    "seed beyond 64 bits": ({"seed": 2**63}, "seed="),
    "rho of 400 digits": ({"variant": "sam", "hyper": {"rho": 10**400}}, "rho=1000"),
    "rho of 5,000 digits": ({"variant": "sam", "hyper": {"rho": 10**5000}}, "rho=a number of very many"),
    "rho beyond single precision": ({"variant": "sam", "hyper": {"rho": 1e300}}, "rho=1e\\+300"),
    "lr of 1e308": ({"lr": 1e308}, r"lr=1e\+308"),
    "weight decay of 1e308": ({"weight_decay": 1e308}, r"weight_decay=1e\+308"),
    "a crop larger than memory": ({"augment": "crop:999999999"}, "512"),
    "a crop of 5,000 digits": ({"augment": "crop:" + "9" * 5000}, "augment="),
    "a base that compiles for ever": ({"base": "kron"}, "it compiles its step"),
    "a superscript": ({"batch_size": "²"}, "batch_size='²'"),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_is_refused(name):
    fields, message = SPECS[name]
    with pytest.raises(ConfigError, match=message) as caught:
        make_spec(fields)
    assert len(str(caught.value)) < 1000
