// Charts: axes, and marks that answer to the pointer. Each is drawn anew when its box changes width.
const MARGIN = { left: 52, right: 14, top: 14, bottom: 38 };

// Runs draw(frame) now and at every new width. `frame` has the svg, and the corners of the plot.
function chart(box, draw) {
  let width = 0;
  const redraw = () => {
    const rect = box.getBoundingClientRect();
    if (!rect.width || !rect.height) return;
    width = rect.width;
    const svg = make("svg:svg", { viewBox: `0 0 ${rect.width} ${rect.height}`, role: "img" });
    const frame = {
      svg, left: MARGIN.left, right: rect.width - MARGIN.right, top: MARGIN.top, bottom: rect.height - MARGIN.bottom,
    };
    box.replaceChildren(svg);
    hideTip();
    draw(frame);
  };
  redraw();
  new ResizeObserver(() => { if (Math.abs(box.getBoundingClientRect().width - width) > 1) redraw(); }).observe(box);
  return redraw;
}

function scale(low, high, from, to, log = false) {
  const f = log ? Math.log10 : (value) => value;
  const [a, b] = [f(low), f(high)];
  return (value) => from + ((f(value) - a) / (b - a || 1)) * (to - from);
}

function widen(values, share, bounds = [-Infinity, Infinity]) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low || Math.abs(high) || 1) * share;
  return [Math.max(bounds[0], low - pad), Math.min(bounds[1], high + pad)];
}

function axes(frame, x, y, { xTicks, yTicks, xText, yText, xTitle, yTitle, label }) {
  const { svg, left, right, top, bottom } = frame;
  svg.setAttribute("aria-label", label);
  for (const tick of yTicks) {
    svg.append(make("svg:line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) }));
    svg.append(make("svg:text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, yText(tick)));
  }
  let last = -Infinity;
  for (const tick of xTicks) {
    if (x(tick) - last < 34) continue;
    last = x(tick);
    svg.append(make("svg:line", { class: "axis", x1: last, x2: last, y1: bottom, y2: bottom + 4 }));
    svg.append(make("svg:text", { x: last, y: bottom + 17, "text-anchor": "middle" }, xText(tick)));
  }
  svg.append(make("svg:line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  svg.append(make("svg:text", { x: right, y: bottom + 34, "text-anchor": "end" }, xTitle));
  if (yTitle) svg.append(make("svg:text", { x: left, y: top - 3, "text-anchor": "start" }, yTitle));
}

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// The mark nearest to the pointer, within `reach` pixels, is lit, described and opened by a click.
function pointable(frame, marks, reach, describe) {
  const { svg } = frame;
  let lit = null;
  const light = (mark) => {
    if (lit) lit.element.classList.remove("on");
    lit = mark;
    svg.style.cursor = mark ? "pointer" : "";
    if (!mark) return hideTip();
    mark.element.classList.add("on");
    mark.element.parentNode.append(mark.element);
  };
  svg.addEventListener("pointermove", (event) => {
    const rect = svg.getBoundingClientRect();
    const [px, py] = [event.clientX - rect.left, event.clientY - rect.top];
    let best = null, distance = reach * reach, at = null;
    for (const mark of marks) {
      for (const [x, y] of mark.points) {
        const d = (x - px) ** 2 + (y - py) ** 2;
        if (d < distance) [best, distance, at] = [mark, d, [x, y]];
      }
    }
    if (best !== lit) light(best);
    if (best) showTip(describe(best.candidate, at), { left: rect.left + at[0], top: rect.top + at[1] });
  });
  svg.addEventListener("pointerleave", () => light(null));
  svg.addEventListener("click", () => { if (lit) openCandidate(lit.candidate.hash); });
}

function empty(frame, text) {
  frame.svg.append(make("svg:text", { x: (frame.left + frame.right) / 2, y: (frame.top + frame.bottom) / 2, "text-anchor": "middle" }, text));
}

const describe = (c) =>
  `${fixed(c.score)} accuracy\n${whole(c.num_params)} parameters\n${whole(c.flops)} FLOPs\nrank ${c.rank}, candidate #${c.ask}`;

// The axis of scores: accuracy, or the error on a log scale, upside down, where differences near 1 can be seen.
function scoreAxis(frame, scored, kind) {
  const [from, to] = [frame.bottom, frame.top + 6];
  if (kind === "score") {
    const [y0, y1] = widen(scored.map((c) => c.score), 0.06);
    const y = scale(y0, y1, from, to);
    return { y, yTicks: ticks(y0, y1, 6), yText: short, yTitle: "validation accuracy" };
  }
  const errors = scored.map((c) => 1 - c.score);
  const least = Math.min(...errors.filter((error) => error > 1e-12), 1) / 1.5;
  const most = Math.max(...errors, least * 2) * 1.2;
  const error = scale(most, least, from, to, true);
  return {
    y: (score) => error(Math.max(1 - score, least)), yTicks: logTicks(least, most).map((tick) => 1 - tick),
    yText: (score) => short(1 - score), yTitle: "validation error (log scale, better is up)",
  };
}

function drawScatter(frame, candidates, kind) {
  const scored = candidates.filter((c) => c.score !== null);
  if (!scored.length) return empty(frame, "No candidate has a score.");
  const [x0, x1] = [Math.min(...scored.map((c) => c.num_params)) / 1.4, Math.max(...scored.map((c) => c.num_params)) * 1.4];
  const x = scale(Math.max(x0, 0.7), x1, frame.left, frame.right, true);
  const { y, ...yAxis } = scoreAxis(frame, scored, kind);
  axes(frame, x, y, {
    xTicks: logTicks(Math.max(x0, 0.7), x1), xText: short, ...yAxis, xTitle: "parameters (log scale)",
    label: "Scatter of validation accuracy against parameters",
  });
  const front = scored.filter((c) => c.front).sort((a, b) => a.num_params - b.num_params);
  const steps = front.flatMap((c, i) => (i ? [[x(c.num_params), y(front[i - 1].score)], [x(c.num_params), y(c.score)]] : [[x(c.num_params), y(c.score)]]));
  frame.svg.append(make("svg:path", { class: "line front", d: path([...steps, [frame.right, y(front.at(-1).score)]]) }));
  const dots = make("svg:g");
  frame.svg.append(dots);
  const order = [...scored].sort((a, b) => b.rank - a.rank);
  const marks = order.map((c) => {
    const at = [x(c.num_params), y(c.score)];
    const kind = c.rank === 1 ? "dot first" : c.front ? "dot front" : "dot";
    const element = make("svg:circle", { class: kind, cx: at[0], cy: at[1], r: c.rank === 1 ? 6 : 4.5 });
    dots.append(element);
    return { candidate: c, element, points: [at] };
  });
  pointable(frame, marks, 28, describe);
}

function drawProgress(frame, candidates, seconds, kind) {
  const scored = candidates.filter((c) => c.score !== null).sort((a, b) => a.elapsed - b.elapsed);
  if (!scored.length) return empty(frame, "No candidate has a score.");
  const end = Math.max(seconds, scored.at(-1).elapsed, 1e-3);
  const x = scale(0, end, frame.left, frame.right);
  const { y, ...yAxis } = scoreAxis(frame, scored, kind);
  const [unit, unitName] = end > 7200 ? [3600, "hours"] : end > 180 ? [60, "minutes"] : [1, "seconds"];
  axes(frame, x, y, {
    xTicks: ticks(0, end / unit, frame.right / 90).map((tick) => tick * unit), xText: (seconds) => short(seconds / unit), ...yAxis,
    xTitle: `${unitName} of the search`,
    label: "Best validation accuracy so far, over time",
  });
  const dots = make("svg:g");
  let best = -Infinity;
  const steps = [];
  for (const c of scored) {
    if (c.score <= best) continue;
    if (steps.length) steps.push([x(c.elapsed), y(best)]);
    best = c.score;
    steps.push([x(c.elapsed), y(best)]);
  }
  frame.svg.append(make("svg:path", { class: "line step", d: path([...steps, [frame.right, y(best)]]) }), dots);
  const marks = scored.map((c) => {
    const at = [x(c.elapsed), y(c.score)];
    const element = make("svg:circle", { class: c.rank === 1 ? "dot first" : "dot", cx: at[0], cy: at[1], r: c.rank === 1 ? 6 : 3.5 });
    dots.append(element);
    return { candidate: c, element, points: [at] };
  });
  pointable(frame, marks, 28, (c) => `${describe(c)}\nafter ${clock(c.elapsed)}`);
}

const METRICS = { score: "validation accuracy", valid_loss: "validation loss", train_loss: "training loss" };

// A loss that explodes would flatten all others: the axis ends where nine tenths of the last values do, doubled.
function drawCurves(frame, candidates, metric) {
  const drawn = candidates.filter((c) => c.curve.length);
  if (!drawn.length) return empty(frame, "No candidate finished an epoch.");
  const values = drawn.flatMap((c) => c.curve.map((point) => point[metric]));
  const last = drawn.flatMap((c) => [c.curve[0][metric], c.curve.at(-1)[metric]]).sort((a, b) => a - b);
  const cap = metric === "score" ? Math.max(...values) : 1.3 * last[Math.floor(0.9 * (last.length - 1))];
  const [y0, y1] = widen(values.map((value) => Math.min(value, cap)), 0.05, [metric === "score" ? -Infinity : 0, Infinity]);
  const epochs = Math.max(...drawn.map((c) => c.curve.at(-1).epoch));
  const x = scale(1, Math.max(epochs, 2), frame.left + 6, frame.right), y = scale(y0, y1, frame.bottom, frame.top + 6);
  axes(frame, x, y, {
    xTicks: ticks(1, Math.max(epochs, 2), frame.right / 60).filter(Number.isInteger), yTicks: ticks(y0, y1, 6), xText: String, yText: short,
    xTitle: "epoch", yTitle: METRICS[metric], label: `Learning curves: ${METRICS[metric]} over epochs`,
  });
  const lines = make("svg:g");
  frame.svg.append(lines);
  const order = [...drawn].sort((a, b) => (b.rank ?? 1e9) - (a.rank ?? 1e9));
  const marks = order.map((c) => {
    const points = c.curve.map((point) => [x(point.epoch), y(Math.min(point[metric], y1))]);
    const kind = c.rank === 1 ? "line first" : "line";
    const alone = points.length === 1;
    const element = alone
      ? make("svg:circle", { class: c.rank === 1 ? "dot first" : "dot", cx: points[0][0], cy: points[0][1], r: 4 })
      : make("svg:path", { class: kind, d: path(points) });
    lines.append(element);
    return { candidate: c, element, points };
  });
  pointable(frame, marks, 40, (c, at) => {
    const point = c.curve.reduce((a, b) => (Math.abs(x(b.epoch) - at[0]) < Math.abs(x(a.epoch) - at[0]) ? b : a));
    const name = c.rank === null ? `candidate #${c.ask} (${c.status.replaceAll("_", " ")})` : `rank ${c.rank}, candidate #${c.ask}`;
    return `${fixed(point[metric])} after epoch ${point.epoch}\n${name}\n${whole(c.num_params)} parameters`;
  });
}
