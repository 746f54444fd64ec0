// One chart: uPlot gives axes, scales and zoom; what is drawn between the axes comes from a list of layers.
//
// A layer is { points: [[x, y, what]], colour, radius } | { line: [[x, y]], colour, width, stepped } | { paint(context, chart) }.
// `what` is whatever `tell` and `open` of the chart make of it. Points outside the ranges are counted, not drawn.
const CHARTS = new Set();
const FONT = "12px system-ui, -apple-system, Segoe UI, Roboto, sans-serif";
const PAD = 0.04;

class Chart {
  constructor(id, { tell, open } = {}) {
    this.host = byId(id);
    this.outside = byId(`${id}-outside`);
    this.tell = tell;
    this.open = open;
    this.spot = make("div", { class: "spot", hidden: true });
    this.seen = false;
    CHARTS.add(this);
    new ResizeObserver(() => this.fit()).observe(this.host);
    // Charts below the fold are drawn when they come into sight.
    new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting) || this.seen) return;
      this.seen = true;
      this.draw();
    }, { rootMargin: "200px" }).observe(this.host);
  }

  // view: { layers, x: { title, log, range, text }, y: { … }, empty }
  set(view) {
    const zoom = this.plot && this.key === view.key && this.zoomed ? this.ranges() : null;
    this.view = view;
    this.key = view.key;
    this.keep = zoom;
    if (this.seen) this.draw();
  }

  ranges() {
    const { x, y } = this.plot.scales;
    return { x: { min: x.min, max: x.max }, y: { min: y.min, max: y.max } };
  }

  draw() {
    if (!this.view) return;
    this.plot?.destroy();
    this.plot = null;
    this.host.replaceChildren();
    const { view } = this;
    if (view.empty !== undefined) {
      this.host.append(make("p", { class: "empty" }, view.empty));
      if (this.outside) this.outside.textContent = "";
      return;
    }
    const whole = { x: padded(view.x), y: padded(view.y) };
    this.whole = whole;
    this.zoomed = false;
    const ends = [[whole.x[0], whole.x[1]], [whole.y[0], whole.y[1]]];
    this.plot = new uPlot({
      width: Math.max(120, this.host.clientWidth), height: Math.max(120, this.host.clientHeight), padding: [8, 12, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, distr: view.x.log ? 3 : 1, range: (plot, low, high) => [low, high] },
        y: { distr: view.y.log ? 3 : 1, range: () => whole.y },
      },
      axes: [axis(view.x, 38), axis(view.y, 58)],
      series: [{}, { paths: () => null, points: { show: false } }],
      cursor: {
        x: false, y: false, points: { show: false }, drag: { x: true, y: true, uni: 24 },
        bind: { dblclick: () => () => { this.reset(); return null; } },
      },
      hooks: {
        draw: [() => this.paint()], setCursor: [() => this.hover()],
        setSelect: [(plot) => { if (plot.select.width > 4) this.zoomed = true; }],
      },
    }, ends, this.host);
    this.plot.over.append(this.spot);
    this.plot.over.addEventListener("mouseleave", () => this.leave());
    this.plot.over.addEventListener("click", () => this.near && !this.zooming() && this.open?.(this.near[2]));
    if (this.keep) {
      this.zoomed = true;
      this.plot.batch(() => { this.plot.setScale("x", this.keep.x); this.plot.setScale("y", this.keep.y); });
      this.keep = null;
    }
    this.count();
  }

  zooming() {
    return this.plot.select.width > 4 || this.plot.select.height > 4;
  }

  reset() {
    this.zoomed = false;
    this.plot.batch(() => {
      this.plot.setScale("x", { min: this.whole.x[0], max: this.whole.x[1] });
      this.plot.setScale("y", { min: this.whole.y[0], max: this.whole.y[1] });
    });
  }

  fit() {
    if (this.plot && this.host.clientWidth) this.plot.setSize({ width: this.host.clientWidth, height: Math.max(120, this.host.clientHeight) });
  }

  // How many points lie outside of what is shown.
  count() {
    if (!this.outside) return;
    const { y } = this.whole;
    let n = 0;
    for (const { points } of this.view.layers) for (const point of points ?? []) n += point[1] < y[0] || point[1] > y[1];
    this.outside.textContent = n ? `${whole(n)} far from the others ${n === 1 ? "is" : "are"} outside of the picture; the table has ${n === 1 ? "it" : "them"}.` : "";
  }

  paint() {
    const { plot } = this, { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    this.targets = [];
    for (const layer of this.view.layers) {
      if (layer.paint) layer.paint(ctx, this);
      else if (layer.line) this.paintLine(ctx, layer);
      else this.paintPoints(ctx, layer);
    }
    ctx.restore();
  }

  // Where values are on the canvas.
  at(x, y) {
    return [this.plot.valToPos(x, "x", true), this.plot.valToPos(y, "y", true)];
  }

  paintPoints(ctx, { points, colour: name, radius = 3, alpha = 0.65, ring }) {
    const ratio = devicePixelRatio, r = radius * ratio;
    ctx.fillStyle = colour(name);
    ctx.globalAlpha = alpha;
    ctx.beginPath();
    for (const point of points) {
      const [x, y] = this.at(point[0], point[1]);
      this.targets.push([x / ratio, y / ratio, point[2]]);
      ctx.moveTo(x + r, y);
      ctx.arc(x, y, r, 0, 7);
    }
    ctx.fill();
    if (ring) {
      ctx.globalAlpha = 1;
      ctx.lineWidth = 1.5 * ratio;
      ctx.strokeStyle = colour(ring);
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
  }

  paintLine(ctx, { line, colour: name, width = 2, stepped, alpha = 1, what, dash }) {
    const ratio = devicePixelRatio;
    ctx.strokeStyle = colour(name);
    ctx.globalAlpha = alpha;
    ctx.lineWidth = width * ratio;
    ctx.lineJoin = "round";
    ctx.setLineDash(dash ? [5 * ratio, 4 * ratio] : []);
    ctx.beginPath();
    let before = null;
    for (const [vx, vy] of line) {
      if (!known(vy)) {
        before = null;
        continue;
      }
      const [x, y] = this.at(vx, vy);
      if (before === null) ctx.moveTo(x, y);
      else {
        if (stepped) ctx.lineTo(x, before);
        ctx.lineTo(x, y);
      }
      before = y;
      if (what !== undefined) this.targets.push([x / ratio, y / ratio, what]);
    }
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
  }

  hover() {
    const { plot } = this, { left, top } = plot.cursor;
    if (left < 0 || !this.targets || !this.tell) return this.leave();
    const ratio = devicePixelRatio, [ox, oy] = [plot.bbox.left / ratio, plot.bbox.top / ratio];
    let near = null, least = 18 * 18;
    for (const target of this.targets) {
      const distance = (target[0] - ox - left) ** 2 + (target[1] - oy - top) ** 2;
      // Of equals the later one lies on top.
      if (distance <= least) [near, least] = [target, distance];
    }
    this.near = near;
    if (!near) return this.leave();
    this.spot.hidden = false;
    this.spot.style.transform = `translate(${near[0] - ox}px, ${near[1] - oy}px)`;
    plot.over.style.cursor = this.open ? "pointer" : "";
    const box = plot.over.getBoundingClientRect();
    return showTip(this.tell(near[2]), box.left + near[0] - ox, box.top + near[1] - oy);
  }

  leave() {
    this.near = null;
    this.spot.hidden = true;
    if (this.plot) this.plot.over.style.cursor = "";
    hideTip();
  }

  repaint() {
    this.plot?.redraw(false, true);
  }
}

function axis({ title, text, log, time, integer }, size) {
  const made = {
    stroke: () => colour("--muted"), font: FONT, size, label: title, labelFont: FONT, labelSize: 18, gap: 4,
    grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { show: false },
    values: (plot, splits) => splits.map((value) => (value === null ? "" : text(value))),
  };
  if (log) {
    made.splits = (plot, number, low, high) => logTicks(low, high, number === 0 ? plot.width / 62 : plot.height / 34);
    made.filter = (plot, splits) => splits;
  }
  if (time) made.incrs = TIMES;
  if (integer) made.incrs = WHOLE;
  return made;
}

const TIMES = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5, 1e6];

// Round positions within [low, high] on a logarithmic axis: as many to a power of ten as there is room for.
const FACTORS = [[1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]];

function logTicks(low, high, most) {
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) powers.push(power);
  for (const factors of FACTORS) {
    const found = powers.flatMap((power) => factors.map((factor) => +(factor * 10 ** power).toPrecision(3)));
    const inside = found.filter((tick) => tick >= low && tick <= high);
    if (inside.length <= most) return inside;
  }
  const step = Math.ceil(powers.length / most);
  return powers.filter((power) => power % step === 0).map((power) => 10 ** power).filter((tick) => tick >= low && tick <= high);
}

// A range with room around it.
function padded({ range: [low, high], log }) {
  if (log) {
    const room = Math.max((high / low) ** PAD, 1.05);
    return [low / room, high * room];
  }
  const room = (high - low) * PAD || Math.abs(high) * 0.05 || 0.5;
  return [low - room, high + room];
}

// The ends of values; with `robust` of −1 (of 1) without those that lie so far below (above) the others that these would be a
// line: `far` times the width of their middle half.
function rangeOf(values, robust = 0, far = 12) {
  if (!values.length) return [0, 1];
  const order = Float64Array.from(values).sort();
  const at = (share) => order[Math.min(order.length - 1, Math.floor(share * order.length))];
  let [low, high] = [order[0], order[order.length - 1]];
  const middle = at(0.75) - at(0.25) || Math.abs(high) * 0.01 || 0.01;
  if (robust < 0) low = Math.max(low, Math.min(at(0.25) - far * middle, high));
  if (robust > 0) high = Math.min(high, Math.max(at(0.75) + far * middle, low));
  return [low, high];
}

// Whether values are better shown on a logarithmic axis.
function isWide(values) {
  const [low, high] = rangeOf(values);
  return low > 0 && high / low > 20;
}
