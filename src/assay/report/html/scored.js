"use strict";
(() => {
  // the restored image over its target, as far as the hidden range says; keys and touch are the browser's own
  for (const box of document.querySelectorAll(".slider")) {
    const range = box.querySelector("input");
    if (!range) { continue; }
    const set = () => {
      box.style.setProperty("--at", range.value);
      range.setAttribute("aria-valuetext", `${range.value}% restored`);
    };
    range.addEventListener("input", set);
    set();
  }
})();
