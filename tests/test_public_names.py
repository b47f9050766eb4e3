"""The names that `import nerdrain` offers, and that none is imported before it is used."""

import subprocess
import sys
from pkgutil import iter_modules

import pytest

import nerdrain

# Name -> the module that defines it.
NAMES = {
    "PRESETS": "model.config",
    "Derained": "model.network",
    "NeRDRain": "model.network",
    "NeRDRainConfig": "model.config",
    "NerdrainError": "errors",
    "derain": "inference.derain",
    "load_model": "checkpoints.weights",
    "pick_device": "devices",
}
MODULES = {m.name for m in iter_modules(nerdrain.__path__) if not m.name.startswith("_")}


def test_completion_offers_the_public_names_and_modules():
    assert set(dir(nerdrain)) == set(nerdrain.__all__) == MODULES | NAMES.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_the_object_of_its_module(name):
    module = __import__(f"nerdrain.{NAMES[name]}", fromlist=[name])
    assert getattr(nerdrain, name) is getattr(module, name)


def test_modules_are_imported_when_they_are_used():
    code = (
        "import sys, nerdrain\n"
        "assert not any(name.startswith('nerdrain.') for name in sys.modules)\n"
        f"for name in {sorted(MODULES)}:\n"
        "    assert getattr(nerdrain, name) is sys.modules[f'nerdrain.{name}']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="derian"):
        _ = nerdrain.derian
