// The table of candidates, the dialog with one of them, and the start of everything.
const DATA = JSON.parse(byId("data").textContent);
const CANDIDATES = DATA.candidates;
const BY_HASH = new Map(CANDIDATES.map((c) => [c.hash, c]));
const PAGE = 200;

const COLUMNS = [
  { key: "rank", title: "Rank", text: (c) => (c.rank === null ? "–" : String(c.rank)) },
  { key: "score", title: "Accuracy", text: (c) => fixed(c.score), first: -1 },
  { key: "num_params", title: "Parameters", text: (c) => whole(c.num_params) },
  { key: "flops", title: "FLOPs", text: (c) => whole(c.flops), narrow: false },
  { key: "seconds", title: "Seconds", text: (c) => fixed(c.seconds, 1), narrow: false },
  { key: "ask", title: "Candidate", text: (c) => `#${c.ask}`, narrow: false },
  { key: "status", title: "Status", left: true },
  { key: "hash", title: "Network", text: (c) => c.hash.slice(0, 12), left: true, narrow: false },
];

const view = { key: "rank", direction: 1, filter: "", shown: PAGE };

function matches(c, words) {
  const text = `${c.hash} ${c.status.replaceAll("_", " ")} ${c.status} ${c.error} ${c.text}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

// Missing values come last in either direction.
function compare(a, b) {
  const [u, v] = [a[view.key], b[view.key]];
  if (u === null || v === null) return (u === null) - (v === null) || a.ask - b.ask;
  return (u < v ? -1 : u > v ? 1 : 0) * view.direction || a.ask - b.ask;
}

function drawTable() {
  const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = CANDIDATES.filter((c) => matches(c, words)).sort(compare);
  const body = rows.slice(0, view.shown).map((c) =>
    make("tr", { "data-open": c.hash, class: c.rank === 1 ? "first" : null }, ...COLUMNS.map((column) => cell(column, c))));
  byId("candidates").tBodies[0].replaceChildren(...body);
  byId("count").textContent = words.length
    ? `${whole(rows.length)} of ${whole(CANDIDATES.length)} candidates`
    : `${whole(rows.length)} candidates. Click a row for its network and curve; the filter searches the networks' text too.`;
  const more = byId("more");
  more.hidden = rows.length <= view.shown;
  more.textContent = `Show ${whole(Math.min(PAGE, rows.length - view.shown))} more`;
  for (const [i, header] of [...byId("candidates").tHead.rows[0].cells].entries()) {
    if (COLUMNS[i].key === view.key) header.setAttribute("aria-sort", view.direction > 0 ? "ascending" : "descending");
    else header.removeAttribute("aria-sort");
  }
}

function cell(column, c) {
  const kind = [column.left && "left", column.narrow === false && "narrow-off"].filter(Boolean).join(" ") || null;
  if (column.key === "status") {
    const badge = make("span", { class: c.rank === null ? "status bad" : "status" }, c.status.replaceAll("_", " "));
    return make("td", { class: kind }, badge, c.reused ? " known" : "");
  }
  if (column.key === "rank") return make("td", { class: kind }, make("button", { type: "button", class: "link", "aria-label": `Show candidate ${c.ask}` }, column.text(c)));
  return make("td", { class: kind }, column.text(c));
}

function sortBy(column) {
  view.direction = view.key === column.key ? -view.direction : column.first ?? 1;
  view.key = column.key;
  drawTable();
}

function drawHead() {
  const row = make("tr");
  for (const column of COLUMNS) {
    const kind = [column.left && "left", column.narrow === false && "narrow-off"].filter(Boolean).join(" ") || null;
    row.append(make("th", { scope: "col", class: kind }, make("button", { type: "button", onclick: () => sortBy(column) }, column.title)));
  }
  byId("candidates").tHead.replaceChildren(row);
}

function openCandidate(hash) {
  const c = BY_HASH.get(hash);
  if (!c) return;
  hideTip();
  byId("detail-title").textContent = c.rank === null ? `Candidate #${c.ask}` : `Rank ${c.rank}: ${fixed(c.score)} accuracy`;
  const facts = [`${whole(c.num_params)} parameters`, `${whole(c.flops)} FLOPs`, `trained in ${fixed(c.seconds, 1)} s`, `candidate #${c.ask}`];
  if (c.status !== "ok") facts.push(c.status.replaceAll("_", " "));
  if (c.reused) facts.push("known before this run");
  byId("detail-facts").textContent = facts.join(" · ");
  byId("detail-error").textContent = c.error;
  byId("detail-text").textContent = c.text;
  byId("detail-hash").textContent = c.hash;
  const box = byId("detail-curve");
  box.hidden = !c.curve.length;
  if (!byId("detail").open) byId("detail").showModal();
  box.replaceChildren();
  if (c.curve.length) {
    const rect = box.getBoundingClientRect();
    const svg = make("svg:svg", { viewBox: `0 0 ${rect.width} ${rect.height}`, role: "img" });
    box.append(svg);
    const frame = { svg, left: MARGIN.left, right: rect.width - MARGIN.right, top: MARGIN.top, bottom: rect.height - MARGIN.bottom };
    drawCurves(frame, [{ ...c, rank: 1 }], "score");
  }
}

let metric = "score";
let scoreScale = "score";
drawHead();
drawTable();
const redrawScatter = chart(byId("scatter"), (frame) => drawScatter(frame, CANDIDATES, scoreScale));
const redrawProgress = chart(byId("progress"), (frame) => drawProgress(frame, CANDIDATES, DATA.seconds, scoreScale));
const redrawCurves = chart(byId("curves"), (frame) => drawCurves(frame, CANDIDATES, metric));

// A row of buttons of which one is pressed; choose(value) follows it.
function switchable(name, choose) {
  const buttons = document.querySelectorAll(`[data-${name}]`);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      choose(button.dataset[name]);
    });
  }
}
switchable("metric", (value) => { metric = value; redrawCurves(); });
switchable("scale", (value) => { scoreScale = value; redrawScatter(); redrawProgress(); });
byId("filter").addEventListener("input", (event) => {
  [view.filter, view.shown] = [event.target.value, PAGE];
  drawTable();
});
byId("more").addEventListener("click", () => { view.shown += PAGE; drawTable(); });
document.addEventListener("click", (event) => {
  const copied = event.target.closest("[data-copy]");
  if (copied && byId(copied.dataset.copy)) return copy(copied, byId(copied.dataset.copy).textContent);
  const opened = event.target.closest("[data-open]");
  if (opened) openCandidate(opened.dataset.open);
});
byId("detail").addEventListener("click", (event) => { if (event.target === byId("detail")) byId("detail").close(); });
byId("detail").addEventListener("close", () => { if (location.hash) history.replaceState(null, "", location.pathname + location.search); });
if (location.hash.length > 1) openCandidate(decodeURIComponent(location.hash.slice(1)));
