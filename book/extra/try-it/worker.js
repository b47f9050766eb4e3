"use strict";

// Runs the network. tools/demo_assets.py packs this file behind ONNX Runtime's script, and try.js
// starts both as one classic worker, which also works where the page was opened from a disk.

let session;

// Frees a buffer now. A garbage collection would free it later, after several runs.
const free = (buffer) => buffer.transfer?.(0);

// The model's bytes come in two halves, the even ones and the odd ones (`halved` in demo_assets.py).
function joined(halves) {
  const from = new Uint8Array(halves);
  const bytes = new Uint8Array(from.length);
  const middle = Math.ceil(from.length / 2);
  for (let i = 0; i < from.length; i++) bytes[i] = from[(i >> 1) + (i & 1) * middle];
  return bytes;
}

async function start({ glue, wasm, model, threads }) {
  ort.env.wasm.numThreads = threads;
  const address = (bytes, type) => URL.createObjectURL(new Blob([bytes], { type }));
  ort.env.wasm.wasmPaths = { mjs: address(glue, "text/javascript"), wasm: address(wasm, "application/wasm") };
  const options = { executionProviders: ["wasm"], enableCpuMemArena: false, enableMemPattern: false };
  session = await ort.InferenceSession.create(joined(model), options);
  free(wasm);
  free(model);
  const side = 128; // two small runs: one prepares the code, the other measures its speed
  let begin;
  for (let i = 0; i < 2; i++) {
    begin = performance.now();
    await compute(new Float32Array(3 * side * side).fill(0.5), side, side, 1);
  }
  return { secondsPerPixel: (performance.now() - begin) / 1000 / side ** 2 };
}

function compute(planes, width, height, feedback) {
  return session.run({
    image: new ort.Tensor("float32", planes, [1, 3, height, width]),
    feedback: new ort.Tensor("float32", [feedback], []),
  });
}

// RGBA bytes to the three planes in [0, 1] that the network reads.
function toPlanes(rgba) {
  const size = rgba.length / 4;
  const planes = new Float32Array(3 * size);
  for (let i = 0; i < size; i++)
    for (let c = 0; c < 3; c++) planes[c * size + i] = rgba[4 * i + c] / 255;
  return planes;
}

// An output of the network to RGBA bytes, rounded like nerdrain rounds; a grey photo stays grey.
function toPicture(tensor, grey, alpha) {
  const [, , height, width] = tensor.dims;
  const size = width * height;
  const planes = tensor.data;
  const rgba = new Uint8ClampedArray(4 * size);
  const part = (at) => Math.min(Math.max(planes[at], 0), 1) * 255 + 0.5;
  for (let i = 0; i < size; i++) {
    const red = part(i), green = part(size + i), blue = part(2 * size + i);
    const mean = (red + green + blue) / 3;
    rgba[4 * i] = Math.floor(grey ? mean : red);
    rgba[4 * i + 1] = Math.floor(grey ? mean : green);
    rgba[4 * i + 2] = Math.floor(grey ? mean : blue);
    rgba[4 * i + 3] = alpha ? alpha[4 * i + 3] : 255;
  }
  return { rgba, width, height };
}

const isGrey = (rgba) => {
  for (let i = 0; i < rgba.length; i += 4)
    if (rgba[i] !== rgba[i + 1] || rgba[i] !== rgba[i + 2]) return false;
  return true;
};

async function run({ rgba, width, height, feedback }) {
  const begin = performance.now();
  const planes = toPlanes(rgba);
  const outputs = await compute(planes, width, height, feedback);
  free(planes.buffer);
  const grey = isGrey(rgba);
  const pictures = {};
  for (const [name, tensor] of Object.entries(outputs)) {
    pictures[name] = toPicture(tensor, grey, name === "full" ? rgba : undefined);
    free(tensor.data.buffer);
  }
  free(rgba.buffer);
  return { pictures, seconds: (performance.now() - begin) / 1000 };
}

self.onmessage = async ({ data }) => {
  try {
    const answer = await { start, run }[data.task](data);
    const moved = Object.values(answer.pictures ?? {}).map(({ rgba }) => rgba.buffer);
    self.postMessage(answer, moved);
  } catch (error) {
    self.postMessage({ error: String(error?.message ?? error) });
  }
};
