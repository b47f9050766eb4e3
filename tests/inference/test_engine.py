"""export.py and engine.py: an ONNX file computes what PyTorch computes, at every size."""

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from nerdrain import NeRDRain, NeRDRainConfig
from nerdrain.errors import NerdrainError
from nerdrain.inference import engine as engine_module
from nerdrain.inference import export
from nerdrain.inference.derain import derain_tensor
from nerdrain.inference.engine import SETTINGS, Engine
from nerdrain.inference.layout import keep_channels_last
from nerdrain.model.transformer import TransformerBlock

CONFIG = NeRDRainConfig(
    width=4, blocks=(1, 1, 1), unets=(0, 1, 2), inr_hidden=8, fidelity="paper", heads=(1, 1, 2)
)
NAMES = ["full", "half", "inr_half"]


def random_network(config: NeRDRainConfig = CONFIG) -> NeRDRain:
    torch.manual_seed(0)
    return NeRDRain(config).eval()


@pytest.fixture(scope="session")
def network() -> NeRDRain:
    return random_network()


@pytest.fixture(scope="session")
def content(network) -> bytes:
    return export.to_onnx(network, every_output=True)


@pytest.fixture(scope="session")
def session(content) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content)


def image(height: int, width: int, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height))


@settings(max_examples=10)
@given(st.integers(1, 40), st.integers(1, 40))
def test_onnx_runtime_computes_the_same_at_every_size(network, session, height, width):
    x = image(height, width)
    with torch.inference_mode():
        expected = network(x)
    for name, found in zip(NAMES, session.run(NAMES, {"image": x.numpy()}), strict=True):
        ours = getattr(expected, name)
        assert found.shape == ours.shape
        assert abs(torch.from_numpy(found) - ours).max() < 1 / 255  # its weights are rounded


def test_the_graph_itself_is_exact(network, session):
    x = image(33, 17)
    with torch.inference_mode():
        expected = export.round_weights(network)(x).full
    assert (
        abs(torch.from_numpy(session.run(["full"], {"image": x.numpy()})[0]) - expected).max()
        < 1e-5
    )


def test_weights_are_float16_and_nothing_names_this_machine(network, content):
    model = onnx.load_model_from_string(content)
    kinds = {t.data_type for t in model.graph.initializer if numpy_helper.to_array(t).size >= 64}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert not [part for part in (b".py", b"site-packages", b"nerdrain/") if part in content]
    assert {p.key: p.value for p in model.metadata_props} == export.describe(network)
    assert not any(
        info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
        for info in onnx.shape_inference.infer_shapes(model).graph.value_info
    )


def test_one_file_computes_with_and_without_feedback(network):
    content = export.to_onnx(network, feedback_switch=True)
    session, x = onnxruntime.InferenceSession(content), image(24, 33)
    found = []
    for switch, expected in ((1.0, network), (0.0, export.without_feedback(network))):
        number = np.array(switch, np.float32)
        found.append(session.run(["full"], {"image": x.numpy(), "feedback": number})[0])
        with torch.inference_mode():
            assert abs(torch.from_numpy(found[-1]) - expected(x).full).max() < 1 / 255
    assert abs(found[0] - found[1]).max() > 1e-4


def test_a_lost_eps_is_noticed(network, content):
    """And every other wrong constant: the file is compared with PyTorch before it is written."""
    model = onnx.load_model_from_string(content)
    norm = next(node for node in model.graph.node if node.op_type == "LayerNormalization")
    epsilon = next(a for a in norm.attribute if a.name == "epsilon")
    epsilon.f = 0.1
    with pytest.raises(NerdrainError, match=r"differs from PyTorch's by .* no file was written"):
        export.check_against(model.SerializeToString(), export.round_weights(network), NAMES)


def test_an_eps_of_normalize_is_exported(network, content):
    """A query of zeros divides by 1e-12, not by 0."""
    rounded = export.round_weights(network)
    black = torch.zeros(1, 3, 16, 16)
    session = onnxruntime.InferenceSession(content)
    with torch.inference_mode():
        expected = rounded(black).full
    found = session.run(["full"], {"image": black.numpy()})[0]
    assert expected.isfinite().all()
    assert abs(torch.from_numpy(found) - expected).max() < 1e-5


class Shuffled(torch.nn.Module):
    """Only PixelUnshuffle and PixelShuffle, with a swap that shows the order of the channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.pixel_unshuffle(x, 2)
        return torch.nn.functional.pixel_shuffle(y * torch.arange(12.0)[:, None, None], 2)


def test_pixel_unshuffle_has_its_order():
    program = torch.onnx.export(
        Shuffled().eval(), (image(4, 6),), dynamo=True, optimize=False, verbose=False
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    found = session.run(None, {session.get_inputs()[0].name: image(4, 6).numpy()})[0]
    assert torch.equal(torch.from_numpy(found), Shuffled()(image(4, 6)))


def test_weights_that_float16_cannot_store_are_refused():
    network = random_network()
    next(network.parameters()).data.fill_(1e5)
    with pytest.raises(NerdrainError, match=r"above 65504, which float16 cannot store"):
        export.round_weights(network)


def test_channels_stay_last_in_every_block(network, content):
    core = openvino.Core()
    x = image(40, 24).numpy()
    model = core.read_model(content)
    model.reshape([1, 3, 40, 24])
    before = core.compile_model(model, "CPU", SETTINGS)(x)["full"]
    blocks = sum(isinstance(m, TransformerBlock) for m in network.modules())
    assert keep_channels_last(model) >= 5 * blocks  # two norms, queries, keys and values
    after = core.compile_model(model, "CPU", SETTINGS)(x)["full"]
    assert abs(after - before).max() < 1e-5


def test_without_feedback():
    network = random_network()
    other = export.without_feedback(network)
    assert other.config.feedback == "none"
    own = network.state_dict()
    assert all(torch.equal(own[name], t) for name, t in other.state_dict().items())
    assert len(other.state_dict()) < len(own)


def test_engine(network, content):
    engine = Engine(network, content)
    x = image(24, 40, batch=2)
    with torch.inference_mode():
        expected = network(x).full
        assert torch.equal(engine(x), expected)  # by PyTorch
        assert not engine.compiled
        again = engine(x)
        assert engine(x[:0]).shape == (0, 3, 24, 40)
    assert list(engine.compiled) == [(24, 40)]
    assert 0 < abs(again - expected).max() < 1 / 255
    assert engine.name.startswith("OpenVINO 20")


def test_engine_keeps_few_sizes(network, content, monkeypatch):
    monkeypatch.setattr(engine_module, "MOST_SHAPES", 2)
    engine = Engine(network, content)
    for side in (1, 2, 1, 3):
        engine.compile(side, side)
    assert list(engine.compiled) == [(1, 1), (3, 3)]


def test_tiles_by_the_engine(network, content):
    x = image(48, 112)
    expected = derain_tensor(x, network, tile=48, overlap=16)
    engine = Engine(network, content)
    assert abs(derain_tensor(x, engine, tile=48, overlap=16) - expected).max() < 1 / 255
    assert engine.compiled


def test_engine_refuses_files_of_other_weights(network, content):
    other = random_network(CONFIG.with_changes(norm="bias_free"))
    with pytest.raises(NerdrainError, match=r"belongs to other weights .* run `nerdrain export`"):
        Engine(other, content)
    with pytest.raises(NerdrainError, match=r"damaged .* run `nerdrain export` again"):
        Engine(network, content[: len(content) // 2])


def test_not_installed(network, content, monkeypatch, tmp_path):
    for module in (export, engine_module):
        monkeypatch.setattr(module, "is_installed", lambda: False)
    with pytest.raises(NerdrainError, match=r"pip install nerdrain\[fast\]"):
        export.to_onnx(network)
    with pytest.raises(NerdrainError, match=r"pip install nerdrain\[fast\]"):
        Engine(network, content)
    assert engine_module.find_engine(network, tmp_path / "model.safetensors") is None


def test_find_engine(network, content, tmp_path):
    checkpoint = tmp_path / "model.safetensors"
    assert engine_module.find_engine(network, checkpoint) is None
    (tmp_path / "model.onnx").write_bytes(content)
    assert engine_module.find_engine(network, checkpoint) is not None
