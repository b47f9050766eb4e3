"use strict";

// The page "Try it". The network runs in a worker, in this page: no photo leaves the reader's
// machine, and nothing is loaded before a photo is chosen.
//
// Scripts, and no fetch: a page that was opened from a disk may load scripts and nothing else. So
// each part (runtime, glue, wasm, model, and our photos) is a script that calls `nerdrainPart`
// with its compressed bytes as text.

(() => {
  const FOLDER = new URL(".", document.currentScript.src).href;
  const PARTS = ["runtime", "glue", "wasm", "model"];
  const LITTLE = 3.7; // a smaller change of a photo (root of the mean square, of 255) is almost no rain
  const $ = (id) => document.getElementById(id);

  class Problem extends Error {} // its message is the sentence for the reader

  // ---------------------------------------------------------------- parts

  const arrived = {};
  const texts = {};
  window.nerdrainPart = (name, text) => {
    texts[name] = text;
  };

  function loadPart(name) {
    arrived[name] ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${FOLDER}${name}.js`;
      script.onload = () => {
        resolve(unpack(texts[name]));
        delete texts[name];
        script.remove();
      };
      script.onerror = () => {
        delete arrived[name];
        reject(new Problem(`The file try-it/${name}.js could not be loaded; check your connection and try again.`));
      };
      document.head.append(script);
    });
    return arrived[name];
  }

  async function unpack(text) {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length); // Uint8Array.from would make an object per letter
    for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  // ---------------------------------------------------------------- the worker

  class Stopped extends Error {} // its message is the sentence for the reader
  let network; // a promise of {worker, secondsPerPixel}
  let halt; // the reader's wish to stop the present run: a promise that is only ever rejected
  let stop = () => {};

  function ask(worker, message) {
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.error ? reject(explain(data.error)) : resolve(data));
      worker.onerror = (event) => reject(explain(event.message));
      worker.postMessage(message);
    });
  }

  function explain(reason) {
    if (/memory|alloc|OOM|abort|out of bounds/i.test(reason))
      return new Problem("There is not enough memory for this photo; choose a smaller size, or close other pages.");
    return new Problem(`The network could not run in this browser (${String(reason).slice(0, 120)}).`);
  }

  async function startNetwork(tell) {
    if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function")
      throw new Problem("This browser is too old to run the network; use one from 2023 or later.");
    const parts = {};
    for (const [number, name] of PARTS.entries()) {
      tell(`Loading the network, part ${number + 1} of ${PARTS.length}.`, number / PARTS.length / 4);
      parts[name] = await loadPart(name);
    }
    tell("Starting the network.", 0.25);
    const { runtime, ...rest } = parts;
    const address = URL.createObjectURL(new Blob([runtime], { type: "text/javascript" }));
    const worker = new Worker(address);
    const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
    try {
      return { worker, ...(await ask(worker, { task: "start", threads, ...rest })) };
    } catch (problem) {
      worker.terminate();
      throw problem;
    }
  }

  // After a stop or a problem the next run starts a new worker, from the parts in memory.
  function dropNetwork() {
    network?.then(({ worker }) => worker.terminate()).catch(() => {});
    network = undefined;
  }

  // One run of the network; the bar moves by the time that a run is expected to take.
  async function compute(picture, feedback, tell) {
    halt = new Promise((_, reject) => (stop = (words = "Stopped.") => reject(new Stopped(words))));
    halt.catch(() => {});
    network ??= startNetwork(tell);
    const started = await Promise.race([network, halt]);
    const expected = started.secondsPerPixel * picture.width * picture.height;
    const work = feedback ? "Removing the rain" : "The network runs without feedback";
    const words = `${work}, about ${Math.max(1, Math.round(expected))} s.`;
    const begin = performance.now();
    const timer = setInterval(() => {
      const done = (performance.now() - begin) / 1000 / expected;
      tell(words, 0.3 + 0.65 * Math.min(done, 1));
    }, 200);
    tell(words, 0.3);
    try {
      const { data: rgba, width, height } = picture;
      const answer = ask(started.worker, { task: "run", rgba, width, height, feedback });
      const result = await Promise.race([answer, halt]);
      started.secondsPerPixel = result.seconds / (width * height);
      return result;
    } finally {
      clearInterval(timer);
    }
  }

  // ---------------------------------------------------------------- messages

  // The words and the bar of a run are where the reader started it.
  const say = (words, done) => write("try", words, done);
  const sayInside = (words, done) => write("try-feedback", words, done);

  function write(place, words, done) {
    const status = $(`${place}-status`);
    if (status.textContent !== words) status.textContent = words; // read aloud once
    const bar = $(`${place}-progress`);
    bar.hidden = done === undefined;
    if (done !== undefined) bar.value = done;
  }

  function warn(words) {
    $("try-problem").textContent = words;
    $("try-problem").hidden = !words;
  }

  // Runs one action of the reader; a problem becomes its sentence.
  const action = (work, tell = say) => async (...given) => {
    warn("");
    try {
      await work(...given);
    } catch (problem) {
      const stopped = problem instanceof Stopped;
      if (!stopped) {
        if (!(problem instanceof Problem)) console.error(problem);
        warn(problem instanceof Problem ? problem.message : `Something went wrong (${problem.message}).`);
        $("try-problem").scrollIntoView({ block: "nearest" }); // on a small screen it is below the samples
      }
      tell(stopped ? problem.message : "");
      dropNetwork();
    } finally {
      setBusy(false);
    }
  };

  // A disabled or hidden button would lose the focus. So the two buttons of a run only say that they
  // are disabled, and the focus goes from "Stop" to its neighbour before "Stop" is hidden.
  let busy = false;
  function setBusy(now) {
    busy = now;
    for (const name of ["try-run", "try-feedback"]) {
      const halting = $(`${name}-stop`);
      $(name).setAttribute("aria-disabled", busy);
      if (!busy && document.activeElement === halting) $(name).focus();
      halting.hidden = !busy;
    }
  }

  // ---------------------------------------------------------------- the photo

  let photo; // {blob, name, rain}: what the reader chose, and whether it starts with painted rain
  let clean; // a canvas: the photo at the size at which it is computed
  let turn = 0; // counts choices, so that a late one does not replace a newer one

  async function decode(blob) {
    if (!blob.size) throw new Problem("This file is empty; choose a photo.");
    try {
      return await createImageBitmap(blob, { imageOrientation: "from-image" });
    } catch {
      const kind = blob.type && !blob.type.startsWith("image/") ? "not a photo" : "damaged, too large or not a format that your browser reads";
      throw new Problem(`This file is ${kind}; choose a JPEG, PNG or WebP photo.`);
    }
  }

  async function show(chosen = photo) {
    const mine = ++turn;
    const bitmap = await decode(chosen.blob); // a wrong file leaves the photo as it was
    if (mine !== turn) return false;
    if (chosen !== photo) {
      photo = chosen;
      $("try-rain").checked = photo.rain;
      $("try-sliders").hidden = !photo.rain;
    }
    const largest = Number($("try-size").value);
    const factor = Math.min(1, largest / Math.max(bitmap.width, bitmap.height));
    const [width, height] = [bitmap.width, bitmap.height].map((n) => Math.max(1, Math.round(n * factor)));
    clean = Object.assign(document.createElement("canvas"), { width, height });
    const context = clean.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, width, height);
    $("try-scaled").hidden = factor === 1;
    $("try-scaled").textContent =
      `Your photo has ${bitmap.width} × ${bitmap.height} pixels. It was scaled down to ${width} × ${height}, to save time and memory.`;
    bitmap.close();
    showInput();
    return true;
  }

  const slider = (name) => Number($(`try-${name}`).value);

  function showInput() {
    const before = $("try-before");
    put(before, clean.getContext("2d").getImageData(0, 0, clean.width, clean.height));
    if ($("try-rain").checked) {
      const length = (slider("length") / 100) * Math.max(clean.width, clean.height);
      paintRain(before, { angle: slider("angle"), density: slider("density"), length });
    }
    $("try-after").hidden = true;
    $("try-stage").style.setProperty("--at", "100%");
    $("try-stage").style.maxWidth = `${(80 * clean.width) / clean.height}vh`; // a tall photo fits the screen
    $("try-at").hidden = $("try-result").hidden = $("try-inside").hidden = true;
    $("try-photo").hidden = false;
  }

  function put(canvas, picture) {
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  function input() {
    const before = $("try-before");
    return before.getContext("2d").getImageData(0, 0, before.width, before.height);
  }

  const choose = action(async (chosen, note = "") => {
    stop();
    if (await show(chosen)) {
      $("try-status").scrollIntoView(); // on a small screen the photo is below the samples
      await removeRain();
    }
    warn(note);
  });

  // ---------------------------------------------------------------- the result

  let last; // {rainy, pictures}: the input and the outputs of the last run

  async function removeRain() {
    const rainy = input();
    setBusy(true);
    const { pictures, seconds } = await compute(rainy, 1, say);
    last = { rainy, pictures: mapValues(pictures, toImageData) };
    put($("try-after"), last.pictures.full);
    $("try-after").hidden = $("try-at").hidden = $("try-result").hidden = $("try-inside").hidden = false;
    $("try-at").value = 50;
    $("try-at").dispatchEvent(new Event("input"));
    const change = lookInside();
    const size = `${rainy.width} × ${rainy.height} pixels`;
    $("try-download-size").textContent = `PNG, ${size}.`;
    $("try-download-full").hidden = $("try-scaled").hidden;
    const advice =
      change < LITTLE
        ? "The network found almost no rain. If you see rain, it differs from the rain of the training."
        : "Move the line to compare.";
    say(`Done in ${seconds.toFixed(1)} s: ${size}. ${advice}`);
  }

  const toImageData = ({ rgba, width, height }) => new ImageData(rgba, width, height);
  const mapValues = (object, change) =>
    Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));

  // Two pictures of one size: their difference as a picture, `gain` times as bright, the largest
  // change of a colour, and the root of the mean square change.
  function difference(a, b, gain, signed) {
    const result = new ImageData(a.width, a.height);
    let largest = 0;
    let squares = 0;
    for (let i = 0; i < a.data.length; i++) {
      const change = a.data[i] - b.data[i];
      if (i % 4 === 3) result.data[i] = 255;
      else {
        largest = Math.max(largest, Math.abs(change));
        squares += change ** 2;
        result.data[i] = signed ? gain * Math.max(change, 0) : gain * Math.abs(change);
      }
    }
    return { picture: result, largest, root: Math.sqrt(squares / (0.75 * a.data.length)) };
  }

  // Shows the outputs of the last run, and returns how much the network changed the photo.
  function lookInside() {
    const { rainy, pictures } = last;
    const scales = ["quarter", "half", "full", "inr_quarter", "inr_half"];
    for (const name of scales) {
      const figure = $(`try-${name}`).parentElement;
      figure.hidden = !pictures[name];
      if (pictures[name]) put($(`try-${name}`), pictures[name]);
    }
    const { picture, root } = difference(rainy, pictures.full, 2, true);
    put($("try-layer"), picture);
    $("try-without").hidden = $("try-change").hidden = true;
    sayInside("");
    return root;
  }

  const switchFeedbackOff = action(async () => {
    setBusy(true);
    const { pictures } = await compute(last.rainy, 0, sayInside);
    const without = toImageData(pictures.full);
    put($("try-without-picture"), without);
    put($("try-with-picture"), last.pictures.full);
    switchPicture(false);
    const { picture, largest } = difference(last.pictures.full, without, 8, false);
    put($("try-change-picture"), picture);
    $("try-without").hidden = $("try-change").hidden = false;
    sayInside(`Without feedback, no pixel changes by more than ${largest} of 255. Switch "With feedback" on and off to compare.`);
  }, sayInside);

  // Two results at the same place, so that the eye sees what changes.
  function switchPicture(on) {
    $("try-with").checked = on;
    $("try-with-picture").hidden = !on;
    $("try-without-picture").hidden = on;
  }

  function download() {
    $("try-after").toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${photo.name.replace(/\.[^.]*$/, "") || "photo"}-derained.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  // ---------------------------------------------------------------- what the reader does

  function chooseFrom(files, otherwise) {
    const images = [...files];
    if (!images.length) return warn(otherwise);
    const note = images.length > 1 ? `You gave ${images.length} files; the page took the first one.` : "";
    return choose({ blob: images[0], name: images[0].name || "photo", rain: false }, note);
  }

  const chooseSample = action(async (name) => {
    say("Loading the photo.", 0);
    const blob = new Blob([await loadPart(name)], { type: "image/jpeg" });
    await choose({ blob, name, rain: name === "dry" });
  });

  const changeSize = action(async () => {
    const words = "Now remove the rain again.";
    stop(words);
    if (photo && (await show())) say(words);
  });

  const runAgain = action(async () => {
    await removeRain();
  });

  function listen() {
    const box = $("try-it");
    $("try-file").addEventListener("change", (event) => {
      chooseFrom(event.target.files, "");
      event.target.value = ""; // the same file can be chosen again
    });
    for (const button of document.querySelectorAll("[data-sample]"))
      button.addEventListener("click", () => chooseSample(button.dataset.sample));
    box.addEventListener("dragover", (event) => {
      event.preventDefault();
      box.classList.add("over");
    });
    box.addEventListener("dragleave", () => box.classList.remove("over"));
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      box.classList.remove("over");
      chooseFrom(event.dataTransfer.files, "You dropped no file; drop a photo from a folder.");
    });
    document.addEventListener("paste", (event) => {
      if (event.target.closest?.("input, textarea")) return;
      chooseFrom(event.clipboardData.files, "You pasted no photo; copy a picture first.");
    });
    $("try-size").addEventListener("change", changeSize);
    for (const name of ["rain", "angle", "density", "length"])
      $(`try-${name}`).addEventListener("input", () => {
        const words = "The photo has changed. Now remove the rain.";
        stop(words);
        for (const output of box.querySelectorAll("output")) output.value = $(output.htmlFor[0]).value;
        $("try-sliders").hidden = !$("try-rain").checked;
        if (clean) showInput();
        say(words);
      });
    $("try-run").addEventListener("click", () => busy || runAgain());
    for (const name of ["try-run-stop", "try-feedback-stop"]) $(name).addEventListener("click", () => stop());
    $("try-with").addEventListener("change", (event) => switchPicture(event.target.checked));
    $("try-download").addEventListener("click", download);
    $("try-feedback").addEventListener("click", () => busy || switchFeedbackOff());
  }

  document.addEventListener("DOMContentLoaded", listen);
})();
