"use strict";

// Paints bright streaks into a picture. They are simpler than the rain of chapter 0.
// `angle` is in degrees from vertical, `density` in streaks per 10,000 pixels, `length` in pixels.
function paintRain(canvas, { angle, density, length }) {
  let state = 1; // the same streaks at the same place whenever one slider moves
  const random = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const streaks = Math.round((density * width * height) / 10000);
  const tilt = (angle * Math.PI) / 180;
  context.save();
  context.globalCompositeOperation = "lighter";
  context.lineCap = "round";
  for (let i = 0; i < streaks; i++) {
    const x = random() * width;
    const y = random() * height;
    const half = (length * (0.5 + random())) / 2;
    const grey = Math.round(40 + 110 * random() ** 2);
    context.lineWidth = 0.8 + 1.2 * random();
    context.strokeStyle = `rgb(${grey},${grey},${grey})`;
    context.beginPath();
    context.moveTo(x - half * Math.sin(tilt), y - half * Math.cos(tilt));
    context.lineTo(x + half * Math.sin(tilt), y + half * Math.cos(tilt));
    context.stroke();
  }
  context.restore();
}
