"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;

  // pictures: each is in the page once, and shown wherever its number stands
  const source = (number) => {
    const picture = data.pictures[number];
    return `data:image/${picture.startsWith("iVBOR") ? "png" : "jpeg"};base64,${picture}`;
  };
  const show = (image) => { image.src = source(Number(image.dataset.t)); };
  const images = document.querySelectorAll("img[data-t]");
  if ("IntersectionObserver" in window) {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) { show(entry.target); seen.unobserve(entry.target); }
      }
    }, { rootMargin: "600px" });
    images.forEach((image) => seen.observe(image));
  } else {
    images.forEach(show);
  }

  // light and dark
  const redraws = [];
  const theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remembered = (value) => {
    // a file opened from a disk may have no storage at all
    try {
      if (value) { localStorage.setItem("assay-theme", value); }
      return localStorage.getItem("assay-theme");
    } catch { return null; }
  };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const themed = () => {
    theme.setAttribute("aria-pressed", String(isDark()));
    redraws.forEach((redraw) => redraw());
  };
  const kept = remembered();
  if (kept === "dark" || kept === "light") { root.dataset.theme = kept; }
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remembered(root.dataset.theme);
    themed();
  });
  system.addEventListener("change", themed);
  themed();

  // tabs
  let made = 0;
  for (const box of document.querySelectorAll("[data-tabs]")) {
    const panels = [...box.children].filter((child) => child.matches("[data-tab]"));
    const list = document.createElement("div");
    list.className = "tablist";
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", box.dataset.tabs);
    const buttons = panels.map((panel) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = panel.dataset.tab;
      button.title = panel.dataset.tab;
      button.setAttribute("role", "tab");
      made += 1;
      button.id = `tab-${made}`;
      panel.id = `panel-${made}`;
      button.setAttribute("aria-controls", panel.id);
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", button.id);
      list.append(button);
      return button;
    });
    const choose = (chosen) => buttons.forEach((button, k) => {
      button.setAttribute("aria-selected", String(k === chosen));
      button.tabIndex = k === chosen ? 0 : -1;
      panels[k].hidden = k !== chosen;
    });
    buttons.forEach((button, k) => button.addEventListener("click", () => choose(k)));
    list.addEventListener("keydown", (event) => {
      const now = buttons.indexOf(document.activeElement);
      const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (now < 0 || to === undefined) { return; }
      event.preventDefault();
      const chosen = (to + buttons.length) % buttons.length;
      choose(chosen);
      buttons[chosen].focus();
    });
    box.prepend(list);
    box.classList.add("live");
    choose(0);
  }

  // tables that sort by a column
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => {
        const cell = row.cells[column];
        if (column === 0) { return cell.textContent; }
        return "v" in cell.dataset ? Number(cell.dataset.v) : NaN;
      };
      const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => {
        if (column === 0) { return (down ? -1 : 1) * a.localeCompare(b, undefined, { numeric: true }); }
        // what has no value comes last, whichever way
        if (Number.isNaN(a) || Number.isNaN(b)) { return Number.isNaN(a) - Number.isNaN(b); }
        return down ? b - a : a - b;
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    }));
  }

  // heat maps
  const maps = document.getElementById("maps");
  if (maps) {
    maps.addEventListener("click", () => {
      maps.setAttribute("aria-pressed", String(root.classList.toggle("with-maps")));
    });
  }

  // the picture of features
  const canvas = document.getElementById("cloud");
  if (!canvas) { return; }
  const tip = document.getElementById("tip");
  const said = document.getElementById("cloud-said");
  const choice = document.getElementById("cloud-sets");
  const [real, ...others] = data.clouds;
  const hint = said.textContent;
  const GRID = 10000, RIM = 10, REACH = 28;
  let chosen = 0, at = null, width = 0, height = 0;

  const legend = (text, kind, into) => {
    const swatch = document.createElement("span");
    swatch.className = `swatch ${kind}`;
    into.append(swatch, text);
  };
  const realLegend = document.createElement("span");
  realLegend.className = "legend";
  legend(real.name === "real" ? real.name : `${real.name} (real)`, "real", realLegend);
  choice.append(realLegend);
  const buttons = others.map((cloud, k) => {
    const button = document.createElement("button");
    button.type = "button";
    legend(cloud.name, "", button);
    button.addEventListener("click", () => { chosen = k; at = null; pressed(); draw(); });
    choice.append(button);
    return button;
  });
  const pressed = () => buttons.forEach((b, k) => b.setAttribute("aria-pressed", String(k === chosen)));
  const clouds = () => [real, others[chosen]];
  const place = (cloud, k) => [
    RIM + (cloud.x[k] / GRID) * (width - 2 * RIM),
    height - RIM - (cloud.y[k] / GRID) * (height - 2 * RIM),
  ];

  const draw = () => {
    const dense = window.devicePixelRatio || 1;
    width = canvas.clientWidth;
    height = canvas.clientHeight;
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    const colours = getComputedStyle(root);
    const colour = (name) => colours.getPropertyValue(name).trim();
    clouds().forEach((cloud, which) => {
      pen.fillStyle = colour(which === 0 ? "--grey" : "--accent");
      pen.globalAlpha = 0.6;
      for (let k = 0; k < cloud.x.length; k += 1) {
        const [x, y] = place(cloud, k);
        pen.beginPath();
        pen.arc(x, y, 2.3, 0, 2 * Math.PI);
        pen.fill();
      }
    });
    pen.globalAlpha = 1;
    if (at === null) {
      tip.hidden = true;
      said.textContent = hint;
      return;
    }
    const [x, y] = place(at.cloud, at.k);
    pen.strokeStyle = colour("--text");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 6, 0, 2 * Math.PI);
    pen.stroke();
    point(x, y);
  };

  const point = (x, y) => {
    const name = at.cloud.names[at.k];
    tip.replaceChildren();
    if (at.cloud.t[at.k] >= 0) {
      const image = document.createElement("img");
      image.alt = name;
      image.src = source(at.cloud.t[at.k]);
      tip.append(image);
    }
    const text = document.createElement("div");
    text.textContent = `${at.cloud.name}: ${name}`;
    tip.append(text);
    tip.hidden = false;
    const left = x + 14 + tip.offsetWidth > width ? x - 14 - tip.offsetWidth : x + 14;
    const top = Math.min(Math.max(0, y - tip.offsetHeight / 2), height - tip.offsetHeight);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${Math.max(0, top)}px`;
    said.textContent = `${at.cloud.name}: ${name}`;
  };

  const best = (cost) => {
    let found = null, least = Infinity;
    for (const cloud of clouds()) {
      for (let k = 0; k < cloud.x.length; k += 1) {
        const c = cost(...place(cloud, k), cloud, k);
        if (c < least) { least = c; found = { cloud, k }; }
      }
    }
    return found;
  };
  const pointed = (event) => {
    const box = canvas.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    at = best((x, y) => {
      const squared = (x - px) ** 2 + (y - py) ** 2;
      return squared > REACH ** 2 ? Infinity : squared;
    });
    draw();
  };
  const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") { pointed(event); } });
  canvas.addEventListener("pointerdown", pointed);
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") { at = null; draw(); }
  });
  canvas.addEventListener("blur", () => { at = null; draw(); });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { at = null; draw(); return; }
    const direction = DIRECTIONS[event.key];
    if (!direction) { return; }
    event.preventDefault();
    if (at === null) {
      at = best((x, y) => (x - width / 2) ** 2 + (y - height / 2) ** 2);
    } else {
      const [fx, fy] = place(at.cloud, at.k);
      const here = at;
      at = best((x, y, cloud, k) => {
        if (cloud === here.cloud && k === here.k) { return Infinity; }
        const along = (x - fx) * direction[0] + (y - fy) * direction[1];
        const aside = Math.abs((x - fx) * direction[1]) + Math.abs((y - fy) * direction[0]);
        return along <= 0 ? Infinity : along + 2 * aside;
      }) ?? here;
    }
    draw();
  });
  pressed();
  redraws.push(draw);
  new ResizeObserver(draw).observe(canvas);
  draw();
})();
