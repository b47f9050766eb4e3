"use strict";

// The before/after slider: two pictures on top of each other, and a range input that covers them.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".before-after")) {
    const range = box.querySelector("input");
    const move = () => {
      box.style.setProperty("--at", `${range.value}%`);
      range.setAttribute("aria-valuetext", `left ${range.value} % with rain, the rest without`);
    };
    range.addEventListener("input", move);
    move();
  }
});
