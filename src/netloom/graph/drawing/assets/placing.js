// Coordinates of a diagram with some boxes open. The same numbers as `placing.py` gives: change both or neither.
"use strict";
const QUIET_ROW = 15, ROW = 21, BAR = 21, PAD = 10, INSET = 12, LABEL = 9.5;
const GAP = 20, NARROW_GAP = 11, LAYER_GAP = 22, PORT_GAP = 14;

class Placer {
  constructor(fold, direction) {
    this.fold = fold;
    this.down = direction === "down";
  }

  place(diagram, minLength = 0) {
    const boxes = diagram.boxes.map((box) => this.box(box));
    const real = boxes.length, numVertices = real + diagram.entries.length + diagram.exits.length;
    const made = { passing: new Map(diagram.passing), rank: new Map(), real, numVertices };
    diagram.layers.forEach((row, r) => row.forEach((v) => made.rank.set(v, r)));
    made.labelled = diagram.lines.map(([source, label, width], index) => ({ source, label, width, index }))
      .filter(({ source, label }) => label && source < real);
    const offsets = this.portOffsets(diagram, made, boxes);
    const extents = this.extents(diagram, made, boxes, offsets);
    const across = coordinates(diagram, made, extents, offsets);
    const { starts, ends, stubs } = this.along(diagram, made, boxes, across, offsets);
    if (diagram.exits.length) {
      const last = ends.length - 1;
      starts[last] = ends[last] = Math.max(ends[last], minLength);
    }
    let low = Infinity, high = -Infinity;
    for (const [v, x] of across) {
      low = Math.min(low, x - extents.get(v)[0]);
      high = Math.max(high, x + extents.get(v)[1]);
    }
    if (!across.size) low = high = 0;
    const length = ends.length ? ends[ends.length - 1] : 0;
    for (const [v, x] of across) across.set(v, x - low);
    const placed = {
      width: this.down ? high - low : length, height: this.down ? length : high - low,
      boxes, courses: [], labels: [], ports: new Map(),
    };
    boxes.forEach((box, index) => {
      const r = made.rank.get(index), middle = (starts[r] + ends[r]) / 2;
      const [x, y] = this.point(across.get(index), middle);
      box.x = x - box.width / 2;
      box.y = y - box.height / 2;
    });
    for (let v = real; v < numVertices; v++) placed.ports.set(v, across.get(v));
    this.route(diagram, made, placed, across, offsets, starts, ends, stubs);
    return placed;
  }

  view(box) {
    return box.views && box.key in this.fold ? box.views[this.fold[box.key]] : null;
  }

  box(box) {
    const view = this.view(box);
    if (!view) return { box, width: box.width, height: box.height, inside: null };
    const inside = this.place(view, this.down ? 0 : box.bar);
    const before = view.entries.length ? 0 : INSET, after = view.exits.length ? 0 : INSET;
    if (this.down) {
      const width = Math.max(inside.width + 2 * INSET, box.bar);
      const height = BAR + before + inside.height + after;
      return { box, view, width, height, inside, shift: [(width - inside.width) / 2, BAR + before] };
    }
    const width = Math.max(before + inside.width + after, box.bar);
    return { box, view, width, height: BAR + inside.height + 2 * INSET, inside, shift: [before, BAR + INSET] };
  }

  /** Distances of the lines that leave a box which keep their labels apart, where several have one. */
  spacedLabels(made) {
    const widths = new Map();
    for (const { source, width } of made.labelled) {
      widths.set(source, [...(widths.get(source) ?? []), this.down ? width + 12 : LABEL + 6]);
    }
    return new Map([...widths].filter(([, found]) => found.length > 1).map(([v, found]) => [v, Math.max(...found)]));
  }

  keepOneLabel(diagram, made, vertex) {
    const slots = new Map(diagram.out.filter(([v]) => v === vertex).map(([, line, slot]) => [line, slot]));
    const sign = this.down ? 1 : -1, rated = (entry) => sign * (slots.get(entry.index) ?? 0);
    let kept = null;
    for (const entry of made.labelled) if (entry.source === vertex && (!kept || rated(entry) > rated(kept))) kept = entry;
    made.labelled = made.labelled.filter((entry) => entry.source !== vertex || entry === kept);
  }

  portOffsets(diagram, made, boxes) {
    const offsets = { in: new Map(), out: new Map() };
    for (const side of ["in", "out"]) {
      const widest = new Map();
      for (const [v, , slot] of diagram[side]) widest.set(v, Math.max(widest.get(v) ?? 1, Math.abs(slot)));
      const wanted = side === "out" ? this.spacedLabels(made) : new Map();
      for (const [v, line, slot] of diagram[side]) {
        if (v >= boxes.length) continue;
        const box = boxes[v], size = this.down ? box.width : box.height;
        const room = Math.max(2, size / 2 - 8) / widest.get(v);
        let step = wanted.get(v) ?? 12;
        if (step > room) {
          step = Math.min(12, room);
          if (wanted.has(v)) this.keepOneLabel(diagram, made, v);
        }
        let offset = slot * step;
        if (box.inside) offset = this.portOfInside(box, side, line, offset);
        offsets[side].set(v + ":" + line, offset);
      }
    }
    return offsets;
  }

  portOfInside(placed, side, line, otherwise) {
    const view = this.view(placed.box);
    const lines = side === "in" ? view.entries : view.exits;
    const at = lines.indexOf(line);
    if (at < 0) return otherwise;
    const vertex = view.boxes.length + at + (side === "out" ? view.entries.length : 0);
    const port = placed.inside.ports.get(vertex);
    return this.down ? placed.shift[0] + port - placed.width / 2 : placed.shift[1] + port - placed.height / 2;
  }

  extents(diagram, made, boxes, offsets) {
    const extents = new Map();
    for (const row of diagram.layers) for (const v of row) extents.set(v, [1, 1]);
    boxes.forEach((box, v) => {
      const half = (this.down ? box.width : box.height) / 2;
      extents.set(v, [half, half]);
    });
    made.labelled.forEach(({ source, width, index }) => {
      const [left, right] = extents.get(source), offset = offsets.out.get(source + ":" + index) ?? 0;
      if (this.down) extents.set(source, [left, Math.max(right, offset + 6 + width)]);
      else extents.set(source, [Math.max(left, LABEL + 6 - offset), right]);
    });
    return extents;
  }

  ends(link, across, offsets) {
    const [upper, lower, line] = link;
    return [
      across.get(upper) + (offsets.out.get(upper + ":" + line) ?? 0),
      across.get(lower) + (offsets.in.get(lower + ":" + line) ?? 0),
    ];
  }

  along(diagram, made, boxes, across, offsets) {
    const count = diagram.layers.length;
    const thick = new Array(count).fill(0), stubs = new Array(count).fill(0);
    let gaps = new Array(count).fill(LAYER_GAP);
    diagram.layers.forEach((row, r) => {
      for (const v of row) if (v < boxes.length) thick[r] = Math.max(thick[r], this.down ? boxes[v].height : boxes[v].width);
    });
    if (diagram.entries.length) gaps[0] = PORT_GAP;
    if (diagram.exits.length && count > 1) gaps[count - 2] = PORT_GAP;
    for (const { source, width } of made.labelled) {
      const r = made.rank.get(source);
      stubs[r] = Math.max(stubs[r], this.down ? LABEL + 6 : width + 8);
    }
    for (const link of diagram.links) {
      const r = made.rank.get(link[0]), [start, end] = this.ends(link, across, offsets);
      if (Math.abs(end - start) > 1) gaps[r] = Math.max(gaps[r], LAYER_GAP + Math.min(46, 0.13 * Math.abs(end - start)));
    }
    gaps = gaps.map((gap, r) => gap + Math.max(0, stubs[r] - (gap > LAYER_GAP ? 0 : 10)));
    const starts = [], ends = [];
    let at = 0;
    thick.forEach((size, r) => {
      starts.push(at);
      ends.push(at + size);
      at += size + gaps[r];
    });
    return { starts, ends, stubs };
  }

  route(diagram, made, placed, across, offsets, starts, ends, stubs) {
    const side = (v, lower) => {
      const r = made.rank.get(v);
      if (v >= made.real) return lower ? ends[r] : starts[r];
      const box = placed.boxes[v];
      const begin = this.down ? box.y : box.x, size = this.down ? box.height : box.width;
      return lower ? begin + size : begin;
    };
    for (const [v, line] of made.passing) {
      const r = made.rank.get(v), a = across.get(v);
      placed.courses.push({ line, points: [this.point(a, starts[r]), this.point(a, ends[r])], arrow: 0 });
    }
    for (const link of diagram.links) {
      const [upper, lower, line] = link, r = made.rank.get(upper), [start, end] = this.ends(link, across, offsets);
      const alongs = [side(upper, true), ends[r] + stubs[r], starts[r + 1], side(lower, false)];
      const points = [start, start, end, end].map((a, i) => this.point(a, alongs[i]));
      const source = diagram.lines[line][0], turned = upper < made.real && source !== upper;
      placed.courses.push({ line, points, arrow: turned ? -1 : lower < made.real && source !== lower ? 1 : 0 });
    }
    made.labelled.forEach(({ source, label, index }) => {
      const a = across.get(source) + (offsets.out.get(source + ":" + index) ?? 0), t = side(source, true);
      placed.labels.push(this.down ? [a + 6, t + 13, label] : [t + 6, a - 5, label]);
    });
  }

  point(across, along) {
    return this.down ? [across, along] : [along, across];
  }
}

function coordinates(diagram, made, extents, offsets) {
  const upperOf = new Map(), chain = new Map(), shift = new Map();
  for (const index of diagram.straight) upperOf.set(diagram.links[index][1], diagram.links[index]);
  const out = (v, line) => offsets.out.get(v + ":" + line) ?? 0, into = (v, line) => offsets.in.get(v + ":" + line) ?? 0;
  let count = 0;
  for (const row of diagram.layers) {
    for (const v of row) {
      const link = upperOf.get(v);
      if (link === undefined) {
        chain.set(v, count++);
        shift.set(v, 0);
      } else {
        chain.set(v, chain.get(link[0]));
        shift.set(v, shift.get(link[0]) + out(link[0], link[2]) - into(v, link[2]));
      }
    }
  }
  const lists = () => Array.from({ length: count }, () => []);
  const left = lists(), right = lists(), pulls = lists();
  for (const row of diagram.layers) {
    for (let i = 0; i + 1 < row.length; i++) {
      const a = row[i], b = row[i + 1];
      const gap = made.passing.has(a) || made.passing.has(b) ? NARROW_GAP : GAP;
      const distance = shift.get(a) + extents.get(a)[1] + gap + extents.get(b)[0] - shift.get(b);
      left[chain.get(b)].push([chain.get(a), distance]);
      right[chain.get(a)].push([chain.get(b), distance]);
    }
  }
  for (const [upper, lower, line] of diagram.links) {
    const a = chain.get(upper), b = chain.get(lower);
    if (a === b) continue;
    const start = shift.get(upper) + out(upper, line), end = shift.get(lower) + into(lower, line);
    pulls[a].push([b, end - start]);
    pulls[b].push([a, start - end]);
  }
  const order = leftToRight(left, right), x = new Array(count).fill(0);
  for (const c of order) x[c] = left[c].length ? Math.max(...left[c].map(([other, distance]) => x[other] + distance)) : 0;
  const backwards = [...order].reverse();
  for (let sweep = 0; sweep < (count < 400 ? 40 : 24); sweep++) {
    for (const c of sweep % 2 === 0 ? backwards : order) {
      if (!pulls[c].length) continue;
      const wanted = pulls[c].reduce((sum, [other, distance]) => sum + (x[other] + distance), 0) / pulls[c].length;
      const low = left[c].length ? Math.max(...left[c].map(([o, d]) => x[o] + d)) : -Infinity;
      const high = right[c].length ? Math.min(...right[c].map(([o, d]) => x[o] - d)) : Infinity;
      x[c] = Math.max(low, Math.min(high, wanted));
    }
  }
  const found = new Map();
  for (const [v, c] of chain) found.set(v, x[c] + shift.get(v));
  return found;
}

function leftToRight(left, right) {
  const waiting = left.map((found) => found.length), ready = [];
  waiting.forEach((n, c) => n || ready.push(c));
  for (let i = 0; i < ready.length; i++) {
    for (const [other] of right[ready[i]]) if (!--waiting[other]) ready.push(other);
  }
  return ready;
}
