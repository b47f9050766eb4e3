"""Make the files that the page "Try it" and the front page load, in _build/extra/try-it.

The shipped model is exported to ONNX, with all outputs and a switch for the feedback. ONNX Runtime
comes from node_modules (tools/site_assets.py installs it). Each is one script that calls
`nerdrainPart` with its bytes, compressed and in base64, because a page that was opened from a disk
may load scripts and nothing else. Pictures of both pages are derained here, with the same model.
"""

from __future__ import annotations

import base64
import gzip
import io
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import nerdrain
from nerdrain.data.photos import load_photo
from nerdrain.data.rain import add_rain
from nerdrain.evaluation.metrics import to_uint8
from nerdrain.inference.derain import derain
from nerdrain.inference.export import to_onnx
from nerdrain.model.network import NeRDRain

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "book" / "extra" / "try-it"
TARGET = ROOT / "_build" / "extra" / "try-it"
RUNTIME = ROOT / "node_modules" / "onnxruntime-web"
MODEL = "nerd-rain-tiny"

# Name on the page, photograph, style of rain and its seed.
SAMPLES = (
    ("liberty", "statueof-liberty", "light", 0),
    ("kingfisher", "kingfisher", "light", 1),
    ("horse", "horse", "heavy", 3),
    ("dry", "neuschwanstein-castle", None, 0),
)
LARGEST = (480, 400)  # pixels of a sample, which keeps all that a reader loads below 6 MB
FRONT = "kingfisher"


def write_part(name: str, content: bytes) -> int:
    """Write one part as a script, and return the size that a server sends compressed."""
    text = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    script = f'nerdrainPart("{name}", "{text}");\n'.encode()
    (TARGET / f"{name}.js").write_bytes(script)
    return len(gzip.compress(script, 9))


def halved(content: bytes) -> bytes:
    """The even bytes, then the odd ones: of float16 weights, the bytes with exponents are alike.

    So they compress to 4 % less. `joined` in worker.js is the inverse.
    """
    return content[::2] + content[1::2]


def runtime_parts() -> dict[str, bytes]:
    """The runtime with our worker behind it, the module that starts its wasm, and the wasm."""
    dist = RUNTIME / "dist"
    scripts = [dist / "ort.wasm.min.js", SOURCES / "worker.js"]
    return {
        "runtime": b"\n".join(path.read_bytes() for path in scripts),
        "glue": (dist / "ort-wasm-simd-threaded.mjs").read_bytes(),
        "wasm": (dist / "ort-wasm-simd-threaded.wasm").read_bytes(),
    }


def to_jpeg(picture: Image.Image, quality: int) -> bytes:
    """A picture as JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def write_pictures(model: NeRDRain) -> None:
    """Write the photographs to choose from, and the pair of the front page."""
    for name, photo, style, seed in SAMPLES:
        small = Image.fromarray(load_photo(photo))
        small.thumbnail(LARGEST)
        picture = np.asarray(small)
        if style is not None:
            picture = to_uint8(add_rain(picture, style, seed)[0])
        content = to_jpeg(Image.fromarray(picture), 80)
        write_part(name, content)
        (TARGET / f"{name}.jpg").write_bytes(content)
    rainy = to_uint8(add_rain(load_photo(FRONT), "light", 1)[0])
    (TARGET / "front-rainy.jpg").write_bytes(to_jpeg(Image.fromarray(rainy), 88))
    (TARGET / "front-derained.jpg").write_bytes(to_jpeg(Image.fromarray(derain(rainy, model)), 88))


def main() -> int:
    """Write all files again, and print how much a reader loads."""
    if not RUNTIME.is_dir():
        print("run `python tools/site_assets.py` first: it installs the runtime", file=sys.stderr)
        return 1
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    model = nerdrain.load_model(MODEL)
    parts = runtime_parts()
    parts["model"] = halved(to_onnx(model, every_output=True, feedback_switch=True))
    sizes = {name: write_part(name, content) for name, content in parts.items()}
    write_pictures(model)
    listed = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in sizes.items())
    print(f"{TARGET}: {sum(sizes.values()) / 1e6:.2f} MB compressed ({listed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
