"""checkpoints.py: what loads gives the golden output; what does not says why in one sentence."""

import errno
import json
import os
import pickle
import re
import socket
import struct
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_recipe import DIM8, difference
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import nerdrain
from nerdrain import NeRDRain, NeRDRainConfig, NerdrainError, load_model
from nerdrain.checkpoints.untrusted import LARGEST_FILE, LARGEST_HEADER
from nerdrain.checkpoints.weights import (
    WEIGHTS,
    convert_released,
    fingerprint,
    models_folder,
    save_checkpoint,
    shipped_models,
)
from nerdrain.devices import peak_memory_mib
from nerdrain.errors import ChecksumWarning

SMALL = NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=5)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is loaded or saved, nobody is called."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return DIM8.write_pth(tmp_path_factory.mktemp("released") / "model_best.pth")


@pytest.fixture(scope="module")
def ours(released: Path) -> Path:
    out = released.parent / "ours.safetensors"
    convert_released(released, out)
    return out


def state_of(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)["state_dict"]


def same_weights(a: NeRDRain, b: NeRDRain) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def refusal(call: Callable[[], Any], path: Path) -> str:
    """The one sentence that a refusal consists of."""
    with pytest.raises(NerdrainError) as caught:
        call()
    message, error = str(caught.value), caught.value
    assert message.startswith(f"{path}: ") and message.endswith(".")
    sentence = message.removeprefix(f"{path}: ")
    assert "\n" not in sentence and not re.search(r"\.\s|\.\.$", sentence.replace("...", ""))
    assert ";" in sentence  # what is wrong; what mends it
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)
    return sentence


# --- what loads -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "prefix", "bare"),
    [
        ("m.pth", "", False),
        ("m.pth", "module.", False),
        ("m.pt", "", True),
        ("m.PTH", "module.", True),
        ("m.ckpt", "", False),
        ("m", "", False),
    ],
)
def test_a_released_file_gives_the_golden_output(
    tmp_path: Path, name: str, prefix: str, bare: bool
) -> None:
    path = DIM8.write_pth(tmp_path / name, prefix=prefix, bare=bare)
    model, io = load_model(path), DIM8.io()
    assert model.config == DIM8.config and not model.training
    with torch.no_grad():
        for field, image in model(io["input"])._asdict().items():
            assert difference(image, io[f"output.{field}"]) < 2e-5, field


def test_a_file_of_pytorch_before_1_6(tmp_path: Path, released: Path) -> None:
    path = DIM8.write_pth(tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert path.read_bytes()[:2] != b"PK"
    with pytest.warns(ChecksumWarning) as caught:
        model = load_model(path)
    (warning,) = (w for w in caught if w.category is ChecksumWarning)  # torch warns, too
    assert str(warning.message) == (
        f"{path}: a file of PyTorch before 1.6 has no checksum, so damage to its weights cannot be "
        "noticed; compare it with its source."
    )
    with warnings.catch_warnings(action="error"):
        assert same_weights(model, load_model(released))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_conversion(tmp_path: Path, prefix: str) -> None:
    source = DIM8.write_pth(tmp_path / "model.pth", prefix=prefix)
    out = tmp_path / "new" / "ours.safetensors"
    converted = convert_released(source, str(out))
    model, io = load_model(str(out)), DIM8.io()
    assert same_weights(model, converted) and same_weights(model, load_model(source))
    with torch.no_grad():
        assert difference(model(io["input"]).full, io["output.full"]) < 2e-5
    with safe_open(out, framework="pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["config"])["width"] == 8
    assert metadata["sha256"] == fingerprint(model.state_dict(), metadata["config"])
    assert metadata["nerdrain"] == nerdrain.__version__
    assert [p.name for p in out.parent.iterdir()] == ["ours.safetensors"]  # no .part left


def test_other_released_shapes_are_read_off_the_tensors(tmp_path: Path) -> None:
    """Heads, expansion, hidden units, norm, encoding and feedback of other released files."""
    from nerdrain.checkpoints.released import released_name

    for changes in (
        {"heads": (1, 1, 2), "blocks": (2, 1, 3), "inr_hidden": 9},
        {"expansion": 2.0, "norm": "bias_free"},
        {"inr_encoding": False, "feedback": "concat"},
    ):
        model = NeRDRain(SMALL.with_changes(**changes))
        path = tmp_path / "model.pth"
        torch.save({released_name(k): t for k, t in model.state_dict().items()}, path)
        loaded = load_model(path)
        assert loaded.config == model.config
        assert same_weights(loaded, model)


@given(
    width=st.integers(1, 5).map(lambda n: 4 * n),
    fidelity=st.sampled_from(["released", "paper"]),
    feedback=st.sampled_from(["bfpu", "concat", "none"]),
    unets=st.sampled_from([(1, 2, 3), (0, 1, 1), (0, 0, 1)]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
@settings(max_examples=8)
def test_save_and_load(tmp_path_factory: pytest.TempPathFactory, dtype, **changes: Any) -> None:
    model = NeRDRain(SMALL.with_changes(**changes)).to(dtype)
    path = save_checkpoint(model, tmp_path_factory.mktemp("saved") / "model.safetensors")
    loaded = load_model(path)
    assert loaded.config == model.config
    assert same_weights(loaded, model.float())  # bfloat16 files are computed with in float32
    assert all(p.requires_grad for p in loaded.parameters())


def test_loading_draws_no_random_numbers(ours: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_model(ours)
    assert torch.equal(torch.rand(1), expected)


def test_the_hubs_way_to_save_and_load(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = SMALL.with_changes(fidelity="paper", unets=(0, 2, 2))
    model = NeRDRain(config).eval()
    model.save_pretrained(tmp_path / "model")
    assert (tmp_path / "model" / WEIGHTS).is_file()
    loaded = NeRDRain.from_pretrained(tmp_path / "model")
    also = load_model(tmp_path / "model")  # a folder
    x = torch.rand(1, 3, 9, 14)
    assert loaded.config == also.config == config
    for a, b, c in zip(model(x), loaded(x), also(x), strict=True):
        assert (a is b is c is None) or (torch.equal(a, b) and torch.equal(a, c))
    # And a loaded model saves the same again.
    also.save_pretrained(tmp_path / "again")
    assert same_weights(load_model(tmp_path / "again"), model)
    assert NeRDRain.from_pretrained(tmp_path / "again").config == config


def test_a_hub_folder_without_a_good_configuration(tmp_path: Path) -> None:
    NeRDRain(SMALL).save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    for text, reason in [
        ("{", "Expecting property name"),
        ("[1]", "must be a mapping"),
        ("[" * 10**5, "recursion"),
        ('{"widht": 4}', "did you mean width"),
    ]:
        config.write_text(text, encoding="utf-8")
        message = refusal(lambda: load_model(tmp_path), config)
        assert "its configuration cannot be read" in message and reason in message
    config.unlink()
    message = refusal(lambda: load_model(tmp_path), tmp_path / WEIGHTS)
    assert "it has no nerdrain configuration, neither inside nor in config.json" in message


def test_shipped_models_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "nerd-rain-tiny"
    model = NeRDRain(SMALL)
    save_checkpoint(model, folder / WEIGHTS)
    monkeypatch.setattr("nerdrain.checkpoints.weights.models_folder", lambda: tmp_path)
    assert shipped_models() == ["nerd-rain-tiny"]
    assert same_weights(load_model("nerd-rain-tiny"), model)
    message = refusal(lambda: load_model("nerd-rain"), Path("nerd-rain"))
    assert "no weights of it are shipped (only nerd-rain-tiny)" in message
    message = refusal(lambda: load_model("nerd-rian"), Path("nerd-rian"))
    assert message.endswith("no such model file; did you mean nerd-rain.")
    message = refusal(lambda: load_model("unknown"), Path("unknown"))
    assert "no such model file; give a path, or a shipped name (nerd-rain-tiny)" in message


def test_where_shipped_models_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(nerdrain.__file__).parent
    assert models_folder() == package.parent / "data" / "checkpoints"
    # In an installed package they lie inside it, where pyproject.toml puts them.
    monkeypatch.setattr("nerdrain.files.PACKAGE", tmp_path / "nerdrain")
    (tmp_path / "nerdrain" / "shipped" / "checkpoints").mkdir(parents=True)
    assert models_folder() == tmp_path / "nerdrain" / "shipped" / "checkpoints"
    assert shipped_models() == []
    text = (package.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert '"data/checkpoints" = "nerdrain/shipped/checkpoints"' in text


# --- what does not load ---------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.99, 0.999999])
@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_a_truncated_released_file(tmp_path: Path, share: float, old: bool) -> None:
    path = DIM8.write_pth(tmp_path / "model.pth", _use_new_zipfile_serialization=not old)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert re.search("not a (whole|plain) PyTorch", refusal(lambda: load_model(path), path))


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.999999])
def test_a_truncated_file_of_ours(tmp_path: Path, ours: Path, share: float) -> None:
    path, whole = tmp_path / "model.safetensors", ours.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "not a whole safetensors file" in refusal(lambda: load_model(path), path)


class Bomb:
    """What unpickles by running a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_code_in_a_file_does_not_run(tmp_path: Path, kind: str) -> None:
    path, trace = tmp_path / "model.pth", tmp_path / "it-ran"
    content = {"state_dict": {**DIM8.weights(), "x": Bomb(trace)}}
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Bomb(trace)}, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    message = refusal(lambda: load_model(path), path)
    assert "holds more than tensors (code in it was not run)" in message
    assert refusal(lambda: convert_released(path, tmp_path / "out.safetensors"), path) == message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pth"]
    # The file is a bomb indeed: read without care, it goes off.
    if kind == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert trace.is_dir()


Damage = Callable[[dict[str, Any]], Any]


def rewidened(name: str) -> Damage:
    def change(state: dict[str, Any]) -> None:
        state[name] = torch.zeros(tuple(2 * n for n in state[name].shape))

    return change


DAMAGES: list[tuple[Damage, str]] = [
    (lambda s: s.pop("output_max.weight"), r"\(1 missing: output_max.weight\)"),
    (lambda s: s.update(extra=torch.zeros(2)), r"\(1 unknown: extra\)"),
    (
        rewidened("encoder_level2_mid2.0.norm1.body.weight"),
        r"width 8 and blocks \(1, 1, 1\) \(1 of another shape: "
        r"encoder_level2_mid2.0.norm1.body.weight has \(32,\) for \(16,\)\)",
    ),
    (
        rewidened("patch_embed_max.proj.weight"),
        r"width 8 .*\(1 of another shape: patch_embed_max.proj.weight has \(16, 6, 6, 6\)",
    ),
    (lambda s: s.pop("patch_embed_mid.proj.weight"), "no tensor patch_embed_mid.proj.weight"),
    (lambda s: s.pop("INR.imnet.layers.0.weight"), "no tensor INR.imnet.layers.0.weight"),
    (lambda s: s.update({"INR.imnet.layers.0.weight": torch.tensor(1.0)}), r"has the shape \(\)"),
    (lambda s: s.pop("latent_max1.0.attn.temperature"), "no tensor latent_max1.0.attn.temperature"),
    (lambda s: s.update({"latent_max1.0.attn.temperature": torch.ones(3, 1, 1)}), "3 heads cannot"),
    (
        lambda s: s.update({"latent_max1.0.ffn.project_in.weight": torch.ones(4, 32, 1, 1)}),
        r"1 of another shape: latent_max1.0.ffn.project_in.weight has \(4, 32, 1, 1\)",
    ),
    (lambda s: [s.pop(n) for n in list(s) if n.startswith("BF2")], "8 missing: BF2.gamma1.bias, "),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_tensors_that_do_not_fit(
    tmp_path: Path, released: Path, damage: Damage, message: str
) -> None:
    content = torch.load(released, weights_only=True)
    damage(content["state_dict"])
    path = tmp_path / "model.pth"
    torch.save(content, path)
    assert re.search(message, refusal(lambda: load_model(path), path))


@pytest.mark.parametrize(
    "content",
    [
        {"epoch": 3, "weights": torch.zeros(2)},
        {"state_dict": {}},
        {"state_dict": {"a": 1.0}},
        {"state_dict": [torch.zeros(2)]},
        {3: torch.zeros(2)},
        torch.zeros(3),
        [1, 2],
        {},
    ],
    ids=str,
)
def test_what_is_no_state_dict(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "model.pth"
    torch.save(content, path)
    assert 'no "state_dict" of named tensors' in refusal(lambda: load_model(path), path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".png"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", bytes(1000)])
def test_other_files(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    assert re.search("not a (whole|plain)", refusal(lambda: load_model(path), path))


# --- damage and malice in a .pth file -------------------------------------------------------------


def test_a_flipped_bit_of_a_weight_is_found(tmp_path: Path, released: Path) -> None:
    content = bytearray(released.read_bytes())
    with zipfile.ZipFile(released) as archive:
        weight = archive.read(f"{released.stem}/data/200")
    assert len(weight) > 100
    content[content.index(weight) + 3] ^= 0x40
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # reads it without a word
    assert "not a whole PyTorch file" in refusal(lambda: load_model(path), path)
    out = tmp_path / "o.safetensors"
    assert "not a whole PyTorch file" in refusal(lambda: convert_released(path, out), path)
    assert not out.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_weights_that_are_not_finite(
    tmp_path: Path, released: Path, value: float, old: bool
) -> None:
    state, path = state_of(released), tmp_path / "model.pth"
    state["output_max.weight"] = state["output_max.weight"].double()  # 1e300 overflows in float32
    state["output_max.weight"].view(-1)[7] = value
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    message = "its tensor output_max.weight holds NaN or infinity; copy or download it again."
    assert refusal(lambda: load_model(path), path) == message
    assert refusal(lambda: convert_released(path, tmp_path / "o.safetensors"), path) == message
    assert [file.name for file in tmp_path.iterdir()] == ["model.pth"]


def test_weights_of_ours_that_are_not_finite(tmp_path: Path) -> None:
    model = NeRDRain(SMALL)
    with torch.no_grad():
        model.scales["s3"].embed.weight[0] = float("nan")
    path = save_checkpoint(model, tmp_path / WEIGHTS)
    message = "its tensor scales.s3.embed.weight holds NaN"
    assert message in refusal(lambda: load_model(path), path)


def test_weights_stored_in_float16_are_half_as_large(tmp_path: Path) -> None:
    model = NeRDRain(SMALL)
    full = save_checkpoint(model, tmp_path / "full.safetensors")
    half = save_checkpoint(model, tmp_path / "half.safetensors", dtype=torch.float16)
    bytes_saved = full.stat().st_size - half.stat().st_size
    assert bytes_saved == pytest.approx(2 * sum(p.numel() for p in model.parameters()), rel=0.01)
    assert same_weights(load_model(half), model.half().float())


def test_weights_too_large_for_float16_are_refused(tmp_path: Path) -> None:
    model = NeRDRain(SMALL)
    with torch.no_grad():
        model.scales["s3"].embed.weight[0] = 1e5
    path = tmp_path / WEIGHTS
    with pytest.raises(NerdrainError, match=r"scales\.s3\.embed\.weight has values too large for"):
        save_checkpoint(model, path, dtype=torch.float16)
    assert not path.exists()


UNUSUAL: list[tuple[Callable[[Tensor], Any], str]] = [
    (lambda t: t.to_sparse(), r"\(_rebuild_sparse_tensor\); save dense floating-point tensors"),
    (lambda t: t.to("meta"), r"\(_rebuild_meta_tensor_no_storage\); save dense"),
    (
        lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
        r"\(_rebuild_qtensor\); save dense",
    ),
    (lambda t: torch.nested.nested_tensor([t, t]), r"\(_rebuild_nested_tensor\); save dense"),
    (lambda t: t.to(torch.int32), r"1 of another type: output_max.weight is torch.int32"),
    (lambda t: t.bool(), r"1 of another type: output_max.weight is torch.bool"),
    (lambda t: t.to(torch.complex64), r"output_max.weight is torch.complex64"),
    (lambda t: t.to(torch.float8_e4m3fn), r"(_rebuild_tensor_v3|torch.float8_e4m3fn)"),
]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("change", "message"), UNUSUAL)
@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_unusual_tensors(
    tmp_path: Path, released: Path, change: Callable[[Tensor], Any], message: str, old: bool
) -> None:
    state, path = state_of(released), tmp_path / "model.pth"
    state["output_max.weight"] = change(state["output_max.weight"])
    try:
        torch.save(state, path, _use_new_zipfile_serialization=not old)
    except Exception:
        pytest.skip("torch cannot save it so")
    assert re.search(message, refusal(lambda: load_model(path), path))


class Filled:
    """Unpickles to a bytearray of `size` bytes, which torch allows."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (self.size,)


def zeros(count: int) -> bytes:
    """A zip archive in which the entries of the directory are many."""
    entry = b"PK\x01\x02" + bytes(42)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0, 0, count * len(entry), 4, 0)
    return b"PK\x03\x04" + count * entry + end


def compressed(out: Path, released: Path, kind: int) -> None:
    with zipfile.ZipFile(released) as source, zipfile.ZipFile(out, "w", kind) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
        target.writestr(f"{released.stem}/data/bomb", bytes(2**28))


def write_huge(kind: str, path: Path, released: Path) -> None:
    state = state_of(released)
    if kind == "many blocks":
        block = {n: t for n, t in state.items() if n.startswith("latent_max1.0.")}
        for k in range(1, 20_000 // len(block)):
            state |= {n.replace(".0.", f".{k}.", 1): t for n, t in block.items()}
        torch.save(state, path)
    elif kind == "many names":
        torch.save(state | dict.fromkeys(map(str, range(60_000)), torch.zeros(1)), path)
    elif kind == "long names":
        torch.save(state | {"x" * 5 * 10**6: torch.zeros(1)}, path)
    elif kind.startswith("bytearray"):
        zipped = kind == "bytearray"
        torch.save({"a": Filled(7 * 10**9)}, path, _use_new_zipfile_serialization=zipped)
    elif kind == "directory":
        path.write_bytes(zeros(10**6))
    elif kind == "compressed":
        compressed(path, released, zipfile.ZIP_DEFLATED)
    elif kind == "sparse file":
        with path.open("wb") as file:
            file.truncate(LARGEST_FILE + 1)
    elif kind == "expanded":
        state["output_max.weight"] = torch.zeros(1).expand(10**6, 10**6)
        torch.save(state, path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("many blocks", r"blocks\[2\]=\d+: it should be less than or equal to 16"),
        ("many names", r"60000 unknown: 0, 1, 10, \.\.\."),
        ("long names", "larger than any NeRD-Rain checkpoint"),
        ("bytearray", "holds more than tensors"),
        ("bytearray, old", "holds more than tensors"),
        ("directory", "larger than any NeRD-Rain checkpoint"),
        ("compressed", "not a whole PyTorch file"),
        ("sparse file", "larger than any NeRD-Rain checkpoint"),
        ("expanded", r"output_max.weight has \(1000000, 1000000\) for"),
    ],
)
def test_huge_files_are_refused_at_once(
    tmp_path: Path, released: Path, kind: str, message: str
) -> None:
    path = tmp_path / "model.pth"
    write_huge(kind, path, released)
    started, before = time.process_time(), peak_memory_mib()
    assert re.search(message, refusal(lambda: load_model(path), path))
    assert time.process_time() - started < 5
    assert not peak_memory_mib() - before > 500


def test_names_in_a_file_are_printed_on_one_short_line(tmp_path: Path, released: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(state_of(released) | {"a\n\x1b[31m" + "b" * 10**5: torch.zeros(1)}, path)
    message = refusal(lambda: load_model(path), path)
    assert "1 unknown: a??[31mbbb" in message and len(message) < 300


def test_a_device_that_is_not_there(ours: Path) -> None:
    with pytest.raises(NerdrainError, match="device 'cuda:99' is not available here; "):
        load_model(ours, "cuda:99")
    with pytest.raises(NerdrainError, match="device 'gpu' is not a valid device name; use one of"):
        load_model(ours, "gpu")
    assert load_model(ours, torch.device("cpu")).config == DIM8.config


def test_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "nothing.pth"
    assert "no such model file" in refusal(lambda: load_model(path), path)
    assert "no such file" in refusal(lambda: convert_released(path, tmp_path / "o"), path)
    inside = tmp_path / WEIGHTS  # a folder without a model
    assert "no such model file" in refusal(lambda: load_model(tmp_path), inside)
    assert "no such file" in refusal(lambda: convert_released(tmp_path, tmp_path / "o"), tmp_path)
    folder = tmp_path / "folder.pth"
    folder.mkdir()
    assert "no such model file" in refusal(lambda: load_model(folder), folder / WEIGHTS)


def test_converting_what_is_already_ours(tmp_path: Path, ours: Path) -> None:
    message = refusal(lambda: convert_released(ours, tmp_path / "o.safetensors"), ours)
    assert re.search("not a whole PyTorch file", message)


@given(data=st.data())
@settings(max_examples=15)
def test_any_flipped_byte_of_the_weights_is_found(ours: Path, data: st.DataObject) -> None:
    content = bytearray(ours.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    position = data.draw(st.integers(header, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path = ours.parent / "flipped.safetensors"
    path.write_bytes(content)
    assert "do not match their SHA-256" in refusal(lambda: load_model(path), path)


def with_metadata(ours: Path, out: Path, *, sign: bool = False, **changes: str | None) -> Path:
    """The file with other metadata; with `sign`, the checksum is right again."""
    with safe_open(ours, framework="pt") as file:
        metadata = {**file.metadata(), **changes}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if sign:
        metadata["sha256"] = fingerprint(state, metadata["config"])
    save_file(state, out, {name: value for name, value in metadata.items() if value is not None})
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": None}, "no nerdrain configuration, neither inside nor"),
        ({"sha256": None}, "do not match their SHA-256"),
        ({"sha256": None, "config": None}, "no nerdrain configuration, neither inside nor"),
        ({"sha256": "0" * 64}, "do not match their SHA-256"),
        ({"config": "{"}, "configuration cannot be read"),
        ({"config": "[]"}, "configuration cannot be read"),
        ({"config": "[" * 10**5}, r"configuration cannot be read \(.*recursion"),
        ({"config": '{"width": ' + "[" * 900 + "]" * 900 + "}"}, r"cannot be read \(width=\[\[\["),
        ({"config": '{"' + "x" * 9000 + '": 1}'}, r"cannot be read \(there is no setting xxx"),
        ({"config": '{"width": ' + "9" * 5000 + "}"}, r"configuration cannot be read \("),
        ({"config": '{"depth": 3}'}, r"cannot be read \(there is no setting depth; "),
        ({"config": '{"width": 7}'}, r"cannot be read \(width=7: .*even width\)"),
        ({"config": '{"width": 8}'}, "do not fit a network of width 8 .* missing"),
    ],
)
def test_metadata_that_is_missing_or_wrong(
    tmp_path: Path, ours: Path, changes: dict[str, str | None], message: str
) -> None:
    sign = isinstance(changes.get("config"), str)
    path = with_metadata(ours, tmp_path / "model.safetensors", sign=sign, **changes)
    assert re.search(message, refusal(lambda: load_model(path), path))


def test_the_checksum_covers_the_configuration(tmp_path: Path, ours: Path) -> None:
    """Another value of a field without weights computes something else."""
    with safe_open(ours, framework="pt") as file:
        config = file.metadata()["config"]
    changed = config.replace('"inr_interpolation": true', '"inr_interpolation": false')
    assert changed != config
    path = with_metadata(ours, tmp_path / "model.safetensors", config=changed)
    assert "its configuration do not match their SHA-256" in refusal(lambda: load_model(path), path)
    # Nor does a configuration beside the file replace the one that was signed.
    path = with_metadata(ours, tmp_path / WEIGHTS, config=None)
    path.with_name("config.json").write_text(changed, encoding="utf-8")
    assert "do not match their SHA-256" in refusal(lambda: load_model(path), path)


def test_a_long_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"x": "y" * LARGEST_HEADER})
    assert "its header is too long" in refusal(lambda: load_model(path), path)
    header = b'{"__metadata__":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert "not a whole safetensors file" in refusal(lambda: load_model(path), path)


@pytest.mark.parametrize("reader", ["torch.load", "nerdrain.checkpoints.untrusted.safe_open"])
def test_a_file_that_the_system_withholds(
    ours: Path, released: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(reader, refuse)
    path = released if reader == "torch.load" else ours
    assert "could not be read (Permission denied)" in refusal(lambda: load_model(path), path)


# --- writing --------------------------------------------------------------------------------------


def test_the_same_weights_give_the_same_bytes(tmp_path: Path, released: Path, ours: Path) -> None:
    for k in range(8):
        convert_released(released, tmp_path / f"{k}.safetensors")
        assert (tmp_path / f"{k}.safetensors").read_bytes() == ours.read_bytes()
    header = int.from_bytes(ours.read_bytes()[:8], "little")
    assert header % 8 == 0


def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, ours: Path, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(ours.read_bytes())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for call in (
        lambda: save_checkpoint(NeRDRain(SMALL), path),
        lambda: convert_released(released, path),
    ):
        message = refusal(call, path)
        assert "could not be written (No space left on device) and is unchanged" in message
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert path.read_bytes() == ours.read_bytes()


@given(st.lists(st.sampled_from([torch.float32, torch.bfloat16, torch.int64]), max_size=3))
def test_the_fingerprint_sees_names_types_shapes_and_values(dtypes: list[torch.dtype]) -> None:
    state: dict[str, Tensor] = {str(k): torch.arange(6).to(d) for k, d in enumerate(dtypes)}
    assert fingerprint(state, "") == fingerprint(dict(reversed(state.items())), "")
    variants = [{**state, "more": torch.zeros(0)}]
    for name, tensor in state.items():
        others = {n: t for n, t in state.items() if n != name}
        variants += [
            others,
            {**others, f"{name}'": tensor},
            {**others, name: tensor.reshape(2, 3)},
            {**others, name: tensor.flip(0)},
            {**others, name: tensor.double()},
        ]
    digests = [fingerprint(variant, "") for variant in [state, *variants]]
    digests.append(fingerprint(state, "{}"))
    assert len(set(digests)) == len(digests)
    np.testing.assert_array_equal([len(d) for d in digests], 64)
