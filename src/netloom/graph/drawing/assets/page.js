// What a reader can do: open and close boxes, pan, zoom, search, ask for the facts of a node.
const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement, $ = (id) => document.getElementById(id);

/** Every box by key, with the boxes and views around it; every node with the shortest way to it. */
function indexed() {
  const boxes = new Map(), nodes = new Map();
  const walk = (diagram, way) => {
    for (const box of diagram.boxes) {
      boxes.set(box.key, { box, way });
      for (const row of box.rows ?? []) for (const name of row[5]) if (!nodes.has(name)) nodes.set(name, { key: box.key, way });
      (box.views ?? []).forEach((view, index) => walk(view, [...way, [box.key, index]]));
    }
  };
  walk(data.root, []);
  return { boxes, nodes };
}

const page = {
  fold: { ...data.fold }, direction: data.direction, picked: new Set(), dragged: false,
  x: 0, y: 0, scale: 1, size: [1, 1], index: indexed(),

  start() {
    const asked = root.dataset.theme;
    if (asked === "auto") {
      const dark = matchMedia("(prefers-color-scheme: dark)");
      const follow = () => (root.dataset.theme = dark.matches ? "dark" : "light");
      follow();
      dark.addEventListener("change", follow);
    }
    this.picture = new Picture((box, open) => this.open(box, open), (names) => this.pick(names), (box) => this.turn(box));
    const name = $("name");
    if (data.title) name.append(Object.assign(document.createElement("b"), { textContent: data.title }));
    name.append(Object.assign(document.createElement("span"), { textContent: [data.subtitle, ...data.notes].join(" · ") }));
    this.draw();
    this.fit();
    this.listen();
    root.dataset.ready = "yes";
  },

  // -- drawing -----------------------------------------------------------------------------------------------------
  draw(anchor) {
    const before = new Map();
    for (const group of $("view").querySelectorAll("[data-key]")) before.set(group.dataset.key, group.place);
    const seen = anchor && this.placeOf(anchor);
    const down = this.direction === "down", placed = new Placer(this.fold, this.direction).place(data.root);
    this.size = [placed.width, placed.height];
    $("view").replaceChildren(this.picture.diagram(placed, data.root, 0, 0, 0, down, this.picked));
    const now = anchor && this.placeOf(anchor);
    if (seen && now) {
      this.x += (seen[0] - now[0]) * this.scale;
      this.y += (seen[1] - now[1]) * this.scale;
    }
    this.move();
    this.animate(before);
    this.legend();
    $("turn").textContent = down ? "↓" : "→";
  },

  /** Where a box is in the picture, without zoom. */
  placeOf(key) {
    let group = $("view").querySelector(`[data-key="${CSS.escape(key)}"]`), x = 0, y = 0;
    if (!group) return null;
    for (; group && group.id !== "view"; group = group.parentNode) {
      const shift = group.transform.baseVal.consolidate();
      if (shift) { x += shift.matrix.e; y += shift.matrix.f; }
    }
    return [x, y];
  },

  animate(before) {
    if (!before.size || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const group of $("view").querySelectorAll("[data-key]")) {
      const old = before.get(group.dataset.key), [x, y] = group.place;
      if (!old) group.classList.add("new");
      else if (Math.abs(old[0] - x) + Math.abs(old[1] - y) > 0.5) {
        group.animate([{ transform: `translate(${old[0]}px,${old[1]}px)` }, { transform: `translate(${x}px,${y}px)` }], {
          duration: 240, easing: "ease-out",
        });
      }
    }
  },

  legend() {
    const shown = new Set();
    const walk = (diagram) => {
      for (const box of diagram.boxes) {
        if (box.role) shown.add("r-" + box.role);
        for (const row of box.rows ?? []) shown.add(row[3] ? "r-" + row[3] : "k-" + row[2]);
        if (box.views && box.key in this.fold) walk(box.views[this.fold[box.key]]);
      }
    };
    walk(data.root);
    const names = [...Object.entries(data.roles).map(([k, v]) => ["r-" + k, v]), ...Object.entries(data.kinds).map(([k, v]) => ["k-" + k, v])];
    $("legend").replaceChildren(...names.filter(([key]) => shown.has(key)).map(([key, words]) => {
      const entry = document.createElement("span");
      entry.append(element("svg", { viewBox: "0 0 12 12" }, [element("rect", { class: `bd ${key}`, x: 0.5, y: 0.5, width: 11, height: 11, rx: 3 })]), words);
      return entry;
    }));
  },

  // -- folding -----------------------------------------------------------------------------------------------------
  open(box, open) {
    if (open) this.fold[box.key] = 0;
    else delete this.fold[box.key];
    this.draw(box.key);
  },

  /** A repeat shows one instance, or all. */
  turn(box) {
    this.fold[box.key] = this.fold[box.key] === 0 && box.views.length > 1 ? 1 : 0;
    this.draw(box.key);
  },

  unfold() {
    const closed = [];
    const walk = (diagram) => {
      for (const box of diagram.boxes) {
        if (!box.views) continue;
        if (box.key in this.fold) walk(box.views[this.fold[box.key]]);
        else closed.push(box.key);
      }
    };
    walk(data.root);
    for (const key of closed) this.fold[key] = 0;
    this.draw();
    this.fit();
  },

  // -- moving ------------------------------------------------------------------------------------------------------
  move() {
    $("view").setAttribute("transform", `translate(${this.x} ${this.y}) scale(${this.scale})`);
  },

  zoom(factor, x, y) {
    const { width, height } = $("picture").getBoundingClientRect();
    const to = Math.min(8, Math.max(0.02, this.scale * factor));
    x ??= width / 2;
    y ??= height / 2;
    this.x = x - ((x - this.x) * to) / this.scale;
    this.y = y - ((y - this.y) * to) / this.scale;
    this.scale = to;
    this.move();
  },

  /** All of it, but never so small that nothing can be read: then from its beginning. */
  fit() {
    const { width, height } = $("picture").getBoundingClientRect(), margin = 24;
    const [w, h] = this.size, whole = Math.min((width - 2 * margin) / w, (height - 2 * margin - 30) / h, 1.25);
    const across = this.direction === "down" ? (width - 2 * margin) / w : (height - 2 * margin - 30) / h;
    this.scale = data.scale * (whole >= 0.85 ? whole : Math.min(1, Math.max(0.5, across)));
    this.x = Math.max(margin, (width - w * this.scale) / 2);
    this.y = h * this.scale < height - 2 * margin - 30 ? (height - 30 - h * this.scale) / 2 : margin;
    this.move();
  },

  centre(key) {
    const place = this.placeOf(key), { width, height } = $("picture").getBoundingClientRect();
    if (!place) return;
    this.scale = Math.max(this.scale, 0.8);
    this.x = (width - 380) / 2 - place[0] * this.scale;
    this.y = height / 3 - place[1] * this.scale;
    this.move();
  },

  // -- facts -------------------------------------------------------------------------------------------------------
  pick(names) {
    this.picked = new Set(names);
    this.draw();
    this.show(names.map((name) => factsOf(name, data.facts[name])));
  },

  show(parts) {
    const panel = $("panel"), close = document.createElement("button");
    Object.assign(close, { className: "close", textContent: "×", title: "Close (Esc)", onclick: () => this.dismiss() });
    panel.replaceChildren(close, ...parts.flatMap((part, i) => (i ? [document.createElement("hr"), ...part] : part)));
    panel.hidden = false;
    panel.scrollTop = 0;
  },

  dismiss() {
    $("panel").hidden = true;
    this.picked = new Set();
    this.draw();
  },

  // -- searching ---------------------------------------------------------------------------------------------------
  hits(words) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    for (const name of Object.keys(data.facts)) {
      if (!this.index.nodes.has(name)) continue;
      const facts = data.facts[name], where = `${name} ${facts?.op ?? ""}`.toLowerCase();
      if (wanted.every((word) => where.includes(word))) found.push(name);
    }
    return wanted.length ? found : [];
  },

  search() {
    const found = this.hits($("search").value);
    if (!$("search").value.trim()) return void ($("panel").hidden = true);
    const list = found.slice(0, 60).map((name) => {
      const hit = document.createElement("button");
      hit.className = "hit";
      hit.append(name, " ", Object.assign(document.createElement("small"), { textContent: data.facts[name]?.op ?? "" }));
      hit.onclick = () => this.reveal(name);
      return hit;
    });
    const head = document.createElement("h3");
    head.textContent = `${found.length} ${found.length === 1 ? "node" : "nodes"}${found.length > 60 ? ", the first 60:" : ""}`;
    this.show([[head, ...list]]);
  },

  /** Open all boxes around a node, and show it. */
  reveal(name) {
    const { key, way } = this.index.nodes.get(name);
    for (const [around, view] of way) this.fold[around] = view;
    this.pick([name]);
    this.centre(key);
  },

  // -- events ------------------------------------------------------------------------------------------------------
  listen() {
    const picture = $("picture"), pointers = new Map();
    let origin = null;
    picture.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      origin = [event.clientX, event.clientY];
      this.dragged = false;
    });
    addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      if (pointers.size === 2) this.pinch(pointers, event);
      else {
        if (Math.hypot(event.clientX - origin[0], event.clientY - origin[1]) > 4) this.dragged = true;
        if (this.dragged) {
          picture.classList.add("moving");
          this.x += event.clientX - last[0];
          this.y += event.clientY - last[1];
          this.move();
        }
      }
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    const release = (event) => {
      pointers.delete(event.pointerId);
      picture.classList.remove("moving");
    };
    addEventListener("pointerup", release);
    addEventListener("pointercancel", release);
    picture.addEventListener("click", () => this.dragged || $("panel").hidden || this.dismiss());
    picture.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = picture.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    const actions = {
      unfold: () => this.unfold(), fold: () => { this.fold = {}; this.draw(); this.fit(); }, minus: () => this.zoom(0.8),
      plus: () => this.zoom(1.25), fit: () => this.fit(),
      turn: () => { this.direction = this.direction === "down" ? "right" : "down"; this.draw(); this.fit(); },
      theme: () => { root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark"; },
    };
    for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
    $("search").addEventListener("input", () => this.search());
    addEventListener("keydown", (event) => this.key(event));
  },

  pinch(pointers, event) {
    const [a, b] = [...pointers.values()], before = Math.hypot(a[0] - b[0], a[1] - b[1]);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const [c, d] = [...pointers.values()], box = $("picture").getBoundingClientRect();
    this.dragged = true;
    this.zoom(Math.hypot(c[0] - d[0], c[1] - d[1]) / (before || 1), (c[0] + d[0]) / 2 - box.left, (c[1] + d[1]) / 2 - box.top);
  },

  key(event) {
    const typing = event.target === $("search");
    if (event.key === "Escape") {
      $("search").value = "";
      $("search").blur();
      if (!$("panel").hidden) this.dismiss();
    } else if (typing) {
      if (event.key === "Enter") {
        const [first] = this.hits($("search").value);
        if (first !== undefined) this.reveal(first);
      }
    } else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "/") { event.preventDefault(); $("search").focus(); }
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else if (event.key === "0") this.fit();
  },
};

function factsOf(name, facts) {
  const make = (tag, words, className) => Object.assign(document.createElement(tag), { textContent: words, className: className ?? "" });
  const parts = [make("h2", name), make("p", facts ? facts.op : "", "op")];
  if (!facts) return parts;
  const table = (title, rows) => {
    if (!rows.length) return;
    const body = document.createElement("table");
    for (const [key, value] of rows) {
      const row = body.insertRow();
      if (key !== null) row.insertCell().textContent = key;
      row.insertCell().textContent = value;
    }
    parts.push(make("h3", title), body);
  };
  const count = (value) => value.toLocaleString("en");
  table("Attributes", Object.entries(facts.attrs ?? {}));
  table("Reads", (facts.in ?? []).map((value) => [null, value]));
  table("Gives", facts.out.map((value) => [null, value]));
  table("Weights", Object.entries(facts.weights ?? {}));
  const cost = [];
  if (facts.params) cost.push(["parameters", count(facts.params)]);
  if (facts.flops) cost.push(["FLOPs, one sample", count(facts.flops)]);
  if (facts.mode) cost.push(["called in", facts.mode]);
  if (facts.module) cost.push(["module", facts.module]);
  table("Cost and place", cost);
  return parts;
}

page.start();
