"use strict";

// What the pages need beyond the theme's own scripts. No page loads anything from another host.

(() => {
  const site = document.currentScript.src;

  // require.js reads this when it loads (pages with widgets only): modules are this site's own.
  window.require = { baseUrl: new URL("vendor/", site).href };

  // The theme's icons replace <i> by <svg>; the widgets' Play keeps references to its <i>.
  window.FontAwesomeConfig = { autoReplaceSvg: "nest" };

  // Widgets typeset their labels through MathJax 2's queue, the pages carry MathJax 3. This
  // listener is registered before the widgets' own, and MathJax has loaded when it runs.
  window.addEventListener("load", () => {
    if (window.MathJax && !window.MathJax.Hub) {
      window.MathJax.Hub = {
        Queue: ([, , element]) => window.MathJax.typesetPromise([element]),
      };
    }
  });

  // A slider's handle takes its name, and its value as it is spoken, from the texts beside it:
  // its own label, or the caption of the picture that it changes ("Streaks: 40").
  const name = () => {
    for (const slider of document.querySelectorAll(".widget-slider")) {
      const handle = slider.querySelector(".noUi-handle");
      if (!handle) continue;
      const caption = slider.closest(".widget-vbox")?.querySelector("figcaption");
      const label = slider.querySelector(".widget-label")?.textContent || caption?.textContent;
      const value = slider.querySelector(".widget-readout")?.textContent;
      if (label) handle.setAttribute("aria-label", label.split(":")[0]);
      if (value) handle.setAttribute("aria-valuetext", value);
    }
  };
  document.addEventListener("DOMContentLoaded", () => {
    if (!document.querySelector('script[type^="application/vnd.jupyter.widget"]')) return;
    new MutationObserver(name).observe(document.querySelector("main") ?? document.body, {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });

  // Boxes that scroll take the keyboard's focus, so that the arrow keys scroll them. The theme sees to
  // it when the window changes; this sees to parts that are unfolded or turn up later, too.
  const SCROLLING = "main :is(pre, .output, mjx-container[display='true'], .pst-scrollable-table-container)";
  const focusable = new ResizeObserver((boxes) => {
    for (const { target } of boxes) {
      const scrolls = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
      if (scrolls) target.tabIndex = 0;
      else if (target.tabIndex === 0) target.tabIndex = -1;
    }
  });

  // What the theme's own markup leaves out: the site's name is a way through the site like the
  // list below it, the search button is called by all the words that it shows, and what unfolds a part of
  // the list says which.
  document.addEventListener("DOMContentLoaded", () => {
    const front = document.querySelector(".navbar-brand")?.closest(".sidebar-primary-item");
    front?.setAttribute("role", "navigation");
    front?.setAttribute("aria-label", "Front page");
    document.querySelector(".search-button-field")?.removeAttribute("aria-label");
    for (const summary of document.querySelectorAll(".bd-sidebar-primary summary")) {
      const part = summary.closest("li")?.querySelector("a")?.textContent.trim();
      summary.setAttribute("aria-label", `Pages of ${part}`);
    }
  });
  window.addEventListener("load", () => {
    for (const box of document.querySelectorAll(SCROLLING)) focusable.observe(box);
  });

  // On paper nothing can be unfolded: hints, solutions and answers are printed, in light colours. The
  // code of figures stays folded and says so (nerdrain.css).
  let folded = [];
  let theme;
  document.addEventListener("DOMContentLoaded", () => {
    for (const summary of document.querySelectorAll("main summary:has(> .collapsed)")) {
      const held = summary.querySelector(".collapsed").textContent.trim().replace(/^Show (the )?/, "");
      summary.dataset.printed = held.charAt(0).toUpperCase() + held.slice(1);
    }
  });
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open])")];
    folded = folded.filter((part) => !part.closest(".tag_hide-input"));
    for (const part of folded) part.open = true;
    theme ??= document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    for (const part of folded) part.open = false;
    if (theme) document.documentElement.dataset.theme = theme;
    theme = undefined;
  });
})();
