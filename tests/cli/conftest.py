"""How the tests run a command, and what they give it: photographs and a small model."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from nerdrain import NeRDRain, NeRDRainConfig
from nerdrain.checkpoints.weights import save_checkpoint
from nerdrain.cli import app

RNG = np.random.default_rng(4)


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """Run a command in this process."""
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def succeeds(run) -> Callable[..., str]:
    """Run a command that succeeds; returns its stdout."""

    def run_command(*arguments: object) -> str:
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.stdout

    return run_command


@pytest.fixture(scope="session")
def fails(run) -> Callable[..., str]:
    """Run a command that fails without a traceback; returns its stderr."""

    def run_command(*arguments: object, code: int = 1) -> str:
        result = run(*arguments)
        assert result.exit_code == code, result.output
        assert isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result.stderr

    return run_command


@pytest.fixture(scope="session")
def fails_in_a_sentence(fails) -> Callable[..., str]:
    """Run a command that fails; its stderr is one line."""

    def run_command(*arguments: object) -> str:
        text = fails(*arguments)
        assert re.fullmatch(r"nerdrain: [^\n]+\.\n", text), text
        return text

    return run_command


@pytest.fixture(scope="session")
def photo() -> Callable[..., Path]:
    """Write a small image of random pixels."""

    def write(path: Path, height: int = 20, width: int = 24) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def pixels() -> Callable[[Path], np.ndarray]:
    """Read an image as an array."""
    return lambda path: np.asarray(Image.open(path))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small network with random weights."""
    torch.manual_seed(0)
    network = NeRDRain(NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=8))
    return save_checkpoint(network, tmp_path_factory.mktemp("model") / "m.safetensors")


@pytest.fixture
def stop_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, BaseException], None]:
    """Make a function of the package raise an error."""

    def patch(target: str, error: BaseException) -> None:
        def stop(*args: object, **kwargs: object) -> None:
            raise error

        monkeypatch.setattr(target, stop)

    return patch
