// What each chart of the page shows.
const PALETTE = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];
const charts = {};
const chosen = { metric: 1 };

const openCandidate = (index) => openDetail(RUN.candidates[index]);

function describe(evaluation) {
  const c = RUN.candidates[evaluation.candidate];
  const lines = [`${scoreText(evaluation.score)}   #${evaluation.ask}${c.rank ? `, rank ${c.rank}` : ""}`];
  const sizes = RUN.measures.filter((m) => !["score", "seconds", "layers"].includes(m.name) && known(c[m.name]));
  lines.push(sizes.map((m) => `${measured(m, c[m.name])} ${m.title.toLowerCase()}`.replace("flops", "FLOPs")).join(" · "));
  const came = [evaluation.proposed, evaluation.edit, evaluation.initialised !== "random" && evaluation.initialised].filter(Boolean);
  if (came.length) lines.push(came.join(" · "));
  if (RUN.epochsDiffer) lines.push(`${evaluation.fidelity} epochs`);
  if (c.broken) lines.push(`breaks ${c.broken}`);
  if (known(evaluation.predicted)) lines.push(`predicted ${scoreText(evaluation.predicted)}`);
  return lines.join("\n");
}

const describeCandidate = (index) => describe(RUN.candidates[index].main);

function startCharts() {
  const candidate = { tell: describeCandidate, open: openCandidate };
  const evaluation = { tell: (i) => describe(RUN.evaluations[i]), open: (i) => openCandidate(RUN.evaluations[i].candidate) };
  charts.time = new Chart("time", evaluation);
  charts.front = new Chart("front", candidate);
  charts.curves = new Chart("curves", candidate);
  charts.sizes = new Chart("sizes", { tell: (bin) => tellBin(bin) });
  charts.predicted = new Chart("predicted", evaluation);
  for (const [id, draw] of [["time-x", drawTime], ["time-colour", drawTime], ["front-x", drawFront], ["front-y", drawFront],
    ["sizes-x", drawSizes], ["curves-which", drawCurves]]) byId(id).addEventListener("change", draw);
  for (const button of document.querySelectorAll("[data-metric]")) {
    button.addEventListener("click", () => { press(button); chosen.metric = +button.dataset.metric; drawCurves(); });
  }
}

function fillChoices() {
  choices(byId("time-x"), [["elapsed", "time"], ["index", "evaluations"]]);
  choices(byId("time-colour"), groupings().map(([key, words]) => [key, words]));
  const sizes = RUN.measures.filter((m) => m.name !== "score" && RUN.candidates.some((c) => known(c[m.name])));
  const options = sizes.map((m) => [m.name, m.title]);
  choices(byId("front-x"), options);
  choices(byId("front-y"), RUN.measures.filter((m) => !["seconds", "layers"].includes(m.name)).map((m) => [m.name, m.title]));
  choices(byId("sizes-x"), options);
  const most = RUN.candidates.length;
  choices(byId("curves-which"), [["10", "the best 10"], ["100", "the best 100"], ["all", "all"]].filter(([n]) => n === "all" || +n < most));
}

function drawCharts() {
  fillChoices();
  for (const draw of [drawTime, drawFront, drawCurves, drawSizes, drawPredicted]) draw();
}

// -- score over time --------------------------------------------------------------------------------------------------
function drawTime() {
  const scored = RUN.evaluations.filter((e) => known(e.score));
  if (!scored.length) return charts.time.set({ empty: "No evaluation has a score." });
  const byTime = byId("time-x").value !== "index";
  const x = byTime ? (e) => e.elapsed : (e) => e.index + 1;
  const key = byId("time-colour").value || "proposed", groups = grouped(scored, key);
  const layers = groups.names.map((name, i) => ({ points: [], colour: PALETTE[i], radius: scored.length > 3000 ? 2.2 : 3.2, name }));
  const best = [];
  for (const e of scored) {
    layers[groups.of(e)].points.push([x(e), e.score, e.index]);
    if (RUN.candidates[e.candidate].broken) continue;
    if (!best.length || e.score > best[best.length - 1][1]) best.push([x(e), e.score]);
  }
  const last = RUN.evaluations[RUN.evaluations.length - 1];
  if (best.length) best.push([x(last), best[best.length - 1][1]]);
  legend("time-legend", groupings().length ? layers.map((layer) => [layer.colour, layer.name, layer.points.length]) : []);
  layers.push({ line: best, colour: "--best", width: 2.2, stepped: true });
  return charts.time.set({
    key: `${byTime} ${key}`, layers,
    x: { title: byTime ? "time of the search" : "evaluations", text: byTime ? clock : short, time: byTime, integer: !byTime, range: [byTime ? 0 : 1, Math.max(x(last), byTime ? 1e-3 : 2)] },
    y: { title: RUN.run.score, text: tickText, range: rangeOf(scored.map((e) => e.score), -1) },
  });
}

const tickText = (value) => String(+value.toPrecision(4));

function legend(id, entries) {
  const shown = entries.length > 1 ? entries : [];
  byId(id).replaceChildren(...shown.map(([name, words, count]) =>
    make("span", {}, make("i", { style: `background:var(${name})` }), known(count) ? `${words} (${whole(count)})` : words)));
}

// -- trade-offs --------------------------------------------------------------------------------------------------------
function drawFront() {
  const [x, y] = [measureOf(byId("front-x").value), measureOf(byId("front-y").value || "score")];
  if (!x || !y || x === y) return charts.front.set({ empty: "Choose two different measures." });
  const shown = RUN.candidates.filter((c) => known(c.score) && known(c[x.name]) && known(c[y.name]));
  if (!shown.length) return charts.front.set({ empty: "No candidate has both." });
  const best = front(shown.filter((c) => !c.broken), x, y), onFront = new Set(best);
  const broken = shown.filter((c) => c.broken), plain = shown.filter((c) => !onFront.has(c) && !c.broken);
  const point = (c) => [c[x.name], c[y.name], c.index];
  const [xs, ys] = [x, y].map((m) => shown.map((c) => c[m.name]));
  const logX = isWide(xs), logY = y.name !== "score" && isWide(ys);
  const layers = [
    { points: broken.map(point), colour: "--c8", radius: shown.length > 3000 ? 2.2 : 3.2, alpha: 0.5 },
    { points: plain.map(point), colour: "--c1", radius: shown.length > 3000 ? 2.2 : 3.2 },
    { line: best.map(point), colour: "--best", width: 1.6, stepped: true },
    { points: best.map(point), colour: "--surface", radius: 4, alpha: 1, ring: "--best" },
  ];
  if (RUN.best && known(RUN.best[x.name])) layers.push({ points: [point(RUN.best)], colour: "--best", radius: 5, alpha: 1 });
  legend("front-legend", [["--c1", "candidates", plain.length], ["--best", "Pareto front; the incumbent filled", best.length],
    ...(broken.length ? [["--c8", "break a constraint", broken.length]] : [])]);
  return charts.front.set({
    key: `${x.name} ${y.name}`, layers,
    x: { title: x.title, text: (v) => measured(x, v), log: logX, range: rangeOf(xs) },
    y: { title: y.title, text: y.name === "score" ? tickText : (v) => measured(y, v), log: logY, range: rangeOf(ys, logY ? 0 : y.higher ? -1 : 1, 40) },
  });
}

// -- learning curves --------------------------------------------------------------------------------------------------
function drawCurves() {
  const which = byId("curves-which").value, metric = chosen.metric;
  const most = which === "all" || which === "" ? Infinity : +which;
  const shown = RUN.candidates.filter((c) => RUN.curves[c.index] && (c.rank ?? Infinity) <= most);
  const curves = shown.map((c) => [c, curveOf(c, metric)]).filter(([, line]) => line.some(([, value]) => known(value)));
  if (!curves.length) return charts.curves.set({ empty: "No learning curve was kept of these." });
  // The best on top: they are drawn last.
  curves.sort(([a], [b]) => (b.rank ?? Infinity) - (a.rank ?? Infinity) || a.ask - b.ask);
  const many = curves.length > 60;
  const layers = curves.map(([c, line]) => {
    const first = c === RUN.best, failed = c.rank === null;
    return { line, what: c.index, colour: first ? "--best" : failed ? "--bad" : "--c1", width: first ? 2.6 : 1.2, alpha: first ? 1 : many ? 0.16 : 0.5 };
  });
  const values = curves.flatMap(([, line]) => line.map(([, value]) => value)).filter(known);
  const epochs = curves.flatMap(([, line]) => [line[0][0], line[line.length - 1][0]]);
  const title = metric === 1 ? RUN.run.score : metric === 2 ? "validation loss" : "training loss";
  const log = metric > 1 && isWide(values);
  return charts.curves.set({
    key: `${which} ${metric}`, layers,
    x: { title: "epoch", text: tickText, integer: true, range: rangeOf(epochs) },
    y: { title, text: tickText, log, range: rangeOf(values, log ? 0 : metric === 1 ? -1 : 1) },
  });
}

function curveOf(candidate, metric) {
  const columns = RUN.curves[candidate.index];
  return columns[0].map((epoch, i) => [epoch, columns[metric][i]]);
}

// -- sizes ---------------------------------------------------------------------------------------------------------------
const BINS = 10;

// Candidates in bins of as many each, by size; equal sizes are never parted.
function binned(candidates, name) {
  const order = [...candidates].sort((a, b) => a[name] - b[name]);
  const bins = [];
  let start = 0;
  while (start < order.length) {
    let stop = Math.min(order.length, start + Math.max(1, Math.ceil(order.length / BINS)));
    while (stop < order.length && order[stop][name] === order[stop - 1][name]) stop += 1;
    const scores = order.slice(start, stop).map((c) => c.score).sort((a, b) => a - b);
    const at = (share) => scores[Math.min(scores.length - 1, Math.floor(share * scores.length))];
    bins.push({ low: order[start][name], high: order[stop - 1][name], count: scores.length, q1: at(0.25), median: at(0.5), q3: at(0.75), best: scores[scores.length - 1] });
    start = stop;
  }
  return bins;
}

function drawSizes() {
  const x = measureOf(byId("sizes-x").value);
  const shown = x ? RUN.candidates.filter((c) => known(c.score) && known(c[x.name])) : [];
  if (!shown.length) return charts.sizes.set({ empty: "No candidate has a score." });
  const bins = binned(shown, x.name), log = isWide(shown.map((c) => c[x.name]));
  const middle = (bin) => (log ? Math.sqrt(bin.low * bin.high) : (bin.low + bin.high) / 2);
  return charts.sizes.set({
    key: x.name,
    layers: [{ paint: (ctx, chart) => paintBins(ctx, chart, bins, middle, x) }],
    x: { title: x.title, text: (v) => measured(x, v), log, range: rangeOf(bins.flatMap((bin) => [bin.low, bin.high])) },
    y: { title: RUN.run.score, text: tickText, range: rangeOf(bins.flatMap((bin) => [bin.q1, bin.best])) },
  });
}

function paintBins(ctx, chart, bins, middle, measure) {
  const ratio = devicePixelRatio;
  for (const bin of bins) {
    const [left, top] = chart.at(bin.low, bin.q3), [right, bottom] = chart.at(bin.high, bin.q1), [x, median] = chart.at(middle(bin), bin.median);
    const width = Math.max(right - left - 2 * ratio, 8 * ratio), start = (left + right) / 2 - width / 2;
    ctx.globalAlpha = 0.3;
    ctx.fillStyle = colour("--c1");
    ctx.fillRect(start, top, width, Math.max(bottom - top, 2 * ratio));
    ctx.globalAlpha = 1;
    ctx.fillRect(start, median - ratio, width, 2 * ratio);
    const [, best] = chart.at(bin.high, bin.best);
    ctx.fillStyle = colour("--best");
    ctx.beginPath();
    ctx.arc(start + width / 2, best, 3.5 * ratio, 0, 7);
    ctx.fill();
    for (const y of [best, median, top, bottom]) chart.targets.push([(start + width / 2) / ratio, y / ratio, { bin, measure }]);
  }
}

function tellBin({ bin, measure }) {
  const from = measured(measure, bin.low), to = measured(measure, bin.high);
  return `${from === to ? from : `${from} to ${to}`} ${measure.title.toLowerCase().replace("flops", "FLOPs")}\n${whole(bin.count)} candidates\n` +
    `median ${scoreText(bin.median)}, best ${scoreText(bin.best)}\nmiddle half ${scoreText(bin.q1)} to ${scoreText(bin.q3)}`;
}

// -- predictions -------------------------------------------------------------------------------------------------------
function drawPredicted() {
  const pairs = RUN.evaluations.filter((e) => known(e.predicted) && known(e.score));
  byId("predicted-card").hidden = !pairs.length;
  byId("credit-cards").classList.toggle("single", !pairs.length);
  if (!pairs.length) return charts.predicted.set({ empty: "Nothing was predicted." });
  const [x, y] = [rangeOf(pairs.map((e) => e.predicted), -1), rangeOf(pairs.map((e) => e.score), -1)];
  const ends = [Math.min(x[0], y[0]), Math.max(x[1], y[1])];
  return charts.predicted.set({
    key: "predicted",
    layers: [
      { line: [[ends[0], ends[0]], [ends[1], ends[1]]], colour: "--muted", width: 1.2, dash: true },
      { points: pairs.map((e) => [e.predicted, e.score, e.index]), colour: "--c1" },
    ],
    x: { title: "predicted", text: tickText, range: x },
    y: { title: RUN.run.score, text: tickText, range: y },
  });
}
