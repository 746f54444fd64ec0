// Placed diagrams as SVG elements. The look is that of `svg.py`.
const SPACE = "\u00a0\u00a0";

function element(name, attributes = {}, children = []) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  for (const child of children) made.append(child);
  return made;
}

const n = (value) => String(Math.round(value * 10) / 10);
const text = (words, classes, x, y, anchor) =>
  element("text", { class: classes, x: n(x), y: n(y), ...(anchor ? { "text-anchor": anchor } : {}) }, [words]);

function coursePath({ points }, down) {
  const to = ([x1, y1], [x2, y2]) =>
    Math.abs(x1 - x2) < 0.05 ? `V${n(y2)}` : Math.abs(y1 - y2) < 0.05 ? `H${n(x2)}` : `L${n(x2)} ${n(y2)}`;
  const begin = `M${n(points[0][0])} ${n(points[0][1])}`;
  if (points.length === 2) return begin + to(points[0], points[1]);
  const [start, bend, unbend, end] = points, axis = down ? 0 : 1;
  if (Math.abs(bend[axis] - unbend[axis]) < 0.05) return begin + to(start, end);
  const half = (bend[1 - axis] + unbend[1 - axis]) / 2;
  const controls = down ? `${n(bend[0])} ${n(half)} ${n(unbend[0])} ${n(half)}` : `${n(half)} ${n(bend[1])} ${n(half)} ${n(unbend[1])}`;
  return `${begin}${to(start, bend)}C${controls} ${n(unbend[0])} ${n(unbend[1])}${to(unbend, end)}`;
}

function arrowPath({ points, arrow }, down) {
  const [x, y] = arrow > 0 ? points[points.length - 1] : points[0];
  return down ? `M${n(x)} ${n(y)}l-3.2 ${-6 * arrow}h6.4z` : `M${n(x)} ${n(y)}l${-6 * arrow} -3.2v6.4z`;
}

function rounded(y, width, height, radius, [upper, lower]) {
  const up = upper ? Math.min(radius, height / 2) : 0, low = lower ? Math.min(radius, height / 2) : 0;
  const arc = (r, dx, dy) => (r ? `a${r} ${r} 0 0 1 ${dx * r} ${dy * r}` : "");
  return `M0 ${n(y + up)}${arc(up, 1, -1)}H${n(width - up)}${arc(up, 1, 1)}V${n(y + height - low)}${arc(low, -1, 1)}` +
    `H${n(low)}${arc(low, -1, -1)}z`;
}

class Picture {
  constructor(onOpen, onPick, onTurn) {
    Object.assign(this, { onOpen, onPick, onTurn });
  }

  diagram(placed, diagram, x, y, depth, down, picked) {
    const group = element("g", { transform: `translate(${n(x)} ${n(y)})` });
    const lines = new Map();
    for (const course of placed.courses) {
      if (!lines.has(course.line)) lines.set(course.line, []);
      lines.get(course.line).push(course);
    }
    for (const [line, courses] of lines) {
      const role = diagram.lines[line][3], extra = (role ? ` r-${role}` : "") + " new";
      group.append(element("path", { class: "e" + extra, d: courses.map((c) => coursePath(c, down)).join("") }));
      const heads = courses.filter((c) => c.arrow).map((c) => arrowPath(c, down)).join("");
      if (heads) group.append(element("path", { class: "a" + extra, d: heads }));
    }
    for (const box of placed.boxes) group.append(this.box(box, depth, down, picked));
    for (const [left, base, label] of placed.labels) group.append(text(label, "h new", left, base));
    return group;
  }

  box(placed, depth, down, picked) {
    const { box, width, height } = placed;
    const group = element("g", { transform: `translate(${n(placed.x)} ${n(placed.y)})`, "data-key": box.key });
    group.place = [placed.x, placed.y];
    if (box.rows) this.rows(group, box, width, picked);
    else if (placed.inside) this.open(group, placed, depth, down, picked);
    else this.card(group, box, width, height);
    return group;
  }

  rows(group, box, width, picked) {
    let y = 0;
    box.rows.forEach(([title, detail, kind, role, quiet, nodes], i) => {
      const size = quiet ? QUIET_ROW : ROW, middle = y + size / 2, colour = role ? `r-${role}` : `k-${kind}`;
      const row = element("g", { class: "row" + (nodes.length ? " click" : "") + (nodes.some((name) => picked.has(name)) ? " picked" : "") });
      const corners = [i === 0, i === box.rows.length - 1];
      row.append(element("path", { class: `bd ${colour}`, d: rounded(y, width, size, kind === "input" ? 10 : 5, corners) }));
      if (quiet) row.append(text(`${title} ${detail}`.trim(), "m q", width / 2, middle + 3.2, "middle"));
      else {
        const words = text("", "t", width / 2, middle + 4, "middle");
        words.append(element("tspan", { class: "t b" }, [title]));
        if (detail) words.append(element("tspan", { class: "t d" }, [SPACE + detail]));
        row.append(words);
      }
      if (nodes.length) {
        row.append(element("title", {}, [nodes.join("\n")]));
        clickable(row, () => this.onPick(nodes));
      }
      group.append(row);
      y += size;
    });
  }

  plates(group, box, width, height, classes) {
    for (const shift of box.count > 1 ? [4, 2] : []) {
      group.append(element("rect", { class: classes, x: shift, y: shift, width: n(width), height: n(height), rx: 7 }));
    }
    group.append(element("rect", { class: classes, width: n(width), height: n(height), rx: 7 }));
  }

  card(group, box, width, height) {
    group.classList.add("click");
    this.plates(group, box, width, height, `bd ${box.role ? "r-" + box.role : "bar"}`);
    const base = box.summary ? 16 : height / 2 + 4, left = (width - box.heading) / 2;
    group.append(text(box.title, "t b", left, base));
    if (box.summary) group.append(text(box.summary, "m q", width / 2, base + 14, "middle"));
    this.badge(group, box, left + box.heading, base - 4);
    group.append(element("title", {}, [`${box.title}: click to open`]));
    clickable(group, () => this.onOpen(box, true));
  }

  badge(group, box, right, middle) {
    if (box.count < 2) return;
    const pill = element("rect", {
      class: "pill" + (box.differ ? " dash" : ""), x: n(right - box.badge), y: n(middle - 7.5), width: n(box.badge), height: 15, rx: 7.5,
    });
    const words = `${box.count} instances${box.differ ? ", not all equal" : ""}: click to show all of them, or one`;
    const badge = element("g", { class: "click badge" }, [
      element("title", {}, [words]), pill, text(`×${box.count}`, "bt b d", right - box.badge / 2, middle + 3.7, "middle"),
    ]);
    clickable(badge, () => this.onTurn(box));
    group.append(badge);
  }

  open(group, placed, depth, down, picked) {
    const { box, width, height, inside, shift } = placed;
    this.plates(group, box, width, height, `bd ${box.role ? "r-" + box.role : depth % 2 ? "g2" : "g"}`);
    const bar = element("g", { class: "click row bar-row" }, [
      element("path", { class: "bd bar", d: rounded(0, width, BAR, 7, [true, false]) }), text(box.title, "t b", PAD, 14.5),
    ]);
    const room = width - box.titleWidth - 2 * PAD - box.badge - 14;
    if (box.summary && box.summaryWidth < room) {
      bar.append(text(box.summary, "m q", width - 10 - (box.count > 1 ? box.badge + 4 : 0), 14, "end"));
    }
    bar.append(element("title", {}, [`${box.title}: click to close`]));
    clickable(bar, () => this.onOpen(box, false));
    group.append(bar);
    this.badge(group, box, width - 5, BAR / 2);
    group.append(this.diagram(inside, placed.view, ...shift, depth + 1, down, picked));
  }
}

function clickable(target, action) {
  target.setAttribute("tabindex", "0");
  target.setAttribute("role", "button");
  target.addEventListener("click", (event) => {
    event.stopPropagation();
    if (!page.dragged) action();
  });
  target.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });
}
