"""What every test shares: a fixed hypothesis profile, one torch thread, no display, no network."""

import os

# Before anything imports them: plots need no display, nothing is downloaded, and a GPU that
# happens to be there changes no number (NERDRAIN_DEVICE=cuda pytest runs the suite on it).
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("NERDRAIN_DEVICE", "cpu")
# Without a GPU, Triton's interpreter runs the kernels; Triton reads this when it is imported.
if os.environ["NERDRAIN_DEVICE"] == "cpu":
    os.environ.setdefault("TRITON_INTERPRET", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "nerdrain",
    derandomize=True,  # the same examples on every run and machine
    deadline=None,  # a slow machine is no failure
    max_examples=25,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("nerdrain")

# Workers of pytest-xdist share the cores, and sums keep one order of operations.
torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz",
        choices=("share", "full"),
        default="share",
        help="how many damaged files tests/fuzz reads; the full number takes much longer",
    )
