// The table of candidates: sorted, filtered, and only as many rows in the page as are in sight.
const ROW_HEIGHT = 33, SPARE = 12;
const view = { key: "rank", direction: 1, filter: "", rows: [] };

function columns() {
  const has = (test) => RUN.evaluations.some(test);
  const sizes = RUN.measures.filter((m) => !["score", "params", "seconds"].includes(m.name) && RUN.candidates.some((c) => known(c[m.name])));
  return [
    { key: "rank", title: "Rank", text: (c) => (c.rank === null ? "–" : String(c.rank)) },
    { key: "score", title: "Score", text: (c) => scoreText(c.score), first: -1 },
    { key: "code", title: "Network", left: true, cell: (c) => barCode(c.index), fixed: true, narrow: false },
    ...["params"].map((name) => ({ key: name, title: "Parameters", text: (c) => short(c[name]) })),
    ...sizes.map((m) => ({ key: m.name, title: m.title, text: (c) => measured(m, c[m.name]), narrow: false })),
    RUN.epochsDiffer && { key: "fidelity", title: "Epochs", value: (c) => c.main.fidelity, text: (c) => String(c.main.fidelity), narrow: false },
    { key: "seconds", title: "Seconds", text: (c) => (known(c.seconds) ? c.seconds.toFixed(1) : "–"), narrow: false },
    has((e) => e.proposed) && { key: "proposed", title: "By", value: (c) => c.evaluations[0].proposed, text: (c) => c.evaluations[0].proposed || "–", left: true, narrow: false },
    has((e) => e.edit) && { key: "edit", title: "Edit", value: (c) => c.evaluations[0].edit, text: (c) => clipped(c.evaluations[0].edit || "–", 24), left: true, narrow: false },
    { key: "ask", title: "No.", text: (c) => `#${c.ask}`, narrow: false },
    { key: "status", title: "Status", value: (c) => c.main.status, cell: (c) => badge(c), left: true },
  ].filter(Boolean);
}

const badge = (c) => make("span", { class: c.rank === null || c.broken ? "status bad" : "status", title: c.broken && `breaks ${c.broken}` },
  c.broken ? "over" : c.main.status.replaceAll("_", " "));
const valueOf = (column, c) => (column.value ? column.value(c) : c[column.key]);

// -- the filter: words that stand anywhere in a candidate, and comparisons such as score>0.9, params<50k, by:mutation ----
const COMPARISON = /^([a-z_ ]+)(<=|>=|<|>|=|:)(.+)$/;
const SIZES = { k: 1e3, m: 1e6, g: 1e9, "%": 0.01 };
const NAMES = { parameters: "params", by: "proposed", epochs: "fidelity", no: "ask", network: "hash", accuracy: "score" };

function numberOf(words) {
  const found = /^(-?[\d.]+(?:e[-+]?\d+)?)([kmg%]?)$/.exec(words);
  return found ? +found[1] * (SIZES[found[2]] ?? 1) : NaN;
}

function testOf(term) {
  const found = COMPARISON.exec(term);
  if (!found) return hasWord(term);
  const [, said, sign, words] = found, name = NAMES[said] ?? said, number = numberOf(words);
  const of = (c) => ({ fidelity: c.main.fidelity, proposed: c.evaluations[0].proposed, edit: c.evaluations[0].edit, status: c.main.status,
    initialised: c.main.initialised, scored: c.main.scored, error: c.main.error })[name] ?? c[name];
  if (sign === ":" || (sign === "=" && Number.isNaN(number))) return (c) => String(of(c) ?? "").toLowerCase().replaceAll("_", " ").includes(words.replaceAll("_", " "));
  if (Number.isNaN(number)) return hasWord(term);
  const compare = { "<": (v) => v < number, ">": (v) => v > number, "<=": (v) => v <= number, ">=": (v) => v >= number, "=": (v) => v === number }[sign];
  return (c) => known(of(c)) && compare(of(c));
}

// Which candidates have a word: lines of networks are looked at once each, not once for each network.
function hasWord(word) {
  const { lines, of } = RUN.networks, hits = lines.map((text) => text.toLowerCase().includes(word));
  const spaced = word.replaceAll("_", " ");
  return (c) => {
    const first = c.evaluations[0];
    const said = `${c.hash} ${c.broken && "over"} ${c.main.status} ${c.main.error} ${first.proposed} ${first.edit} ${c.main.initialised} #${c.ask}`.toLowerCase();
    return said.includes(word) || said.replaceAll("_", " ").includes(spaced) || (of[c.index]?.some((line) => hits[line]) ?? false);
  };
}

// -- rows --------------------------------------------------------------------------------------------------------------
// Missing values come last in either direction.
function compare(column) {
  return (a, b) => {
    const [u, v] = [valueOf(column, a), valueOf(column, b)];
    if (!known(u) || !known(v)) return known(v) - known(u) || a.ask - b.ask;
    return (u < v ? -1 : u > v ? 1 : 0) * view.direction || a.ask - b.ask;
  };
}

function startTable() {
  const frame = byId("table-frame");
  frame.addEventListener("scroll", () => requestAnimationFrame(drawRows));
  new ResizeObserver(() => drawRows()).observe(frame);
  let waiting = null;
  byId("filter").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      view.filter = event.target.value;
      frame.scrollTop = 0;
      drawTable();
    }, 120);
  });
  byId("csv").addEventListener("click", download);
}

function drawTable() {
  view.columns = columns();
  const terms = view.filter.toLowerCase().split(/\s+/).filter(Boolean).map(testOf);
  const column = view.columns.find((each) => each.key === view.key) ?? view.columns[0];
  view.rows = RUN.candidates.filter((c) => terms.every((test) => test(c))).sort(compare(column));
  byId("candidates").tHead.replaceChildren(make("tr", {}, ...view.columns.map(heading)));
  byId("count").textContent = terms.length
    ? `${whole(view.rows.length)} of ${whole(RUN.candidates.length)} candidates`
    : `${whole(view.rows.length)} candidates. Click a row for its drawing, text and curve. The filter takes words (batch_norm, diverged) and comparisons (score>0.9 params<50k by:mutation).`;
  drawRows(true);
}

function heading(column) {
  const sorted = column.key === view.key ? (view.direction > 0 ? "ascending" : "descending") : null;
  const button = column.fixed ? column.title : make("button", { type: "button", onclick: () => sortBy(column) }, column.title);
  return make("th", { class: classes(column), "aria-sort": sorted, scope: "col" }, button);
}

const classes = (column) => [column.left && "left", column.narrow === false && "narrow-off"].filter(Boolean).join(" ") || null;

function sortBy(column) {
  if (view.key === column.key) view.direction = -view.direction;
  else [view.key, view.direction] = [column.key, column.first ?? 1];
  drawTable();
  byId("candidates").tHead.querySelector("[aria-sort] button")?.focus();
}

// Only what is in sight, with room above and below for what is not.
function drawRows(changed = false) {
  const frame = byId("table-frame"), body = byId("candidates").tBodies[0];
  const first = Math.max(0, Math.floor(frame.scrollTop / ROW_HEIGHT) - SPARE);
  const last = Math.min(view.rows.length, Math.ceil((frame.scrollTop + frame.clientHeight) / ROW_HEIGHT) + SPARE);
  if (changed !== true && view.first === first && view.last === last) return;
  [view.first, view.last] = [first, last];
  const room = (rows) => make("tr", { class: "room", "aria-hidden": "true" }, make("td", { colspan: view.columns.length, style: `height:${rows * ROW_HEIGHT}px` }));
  const shown = view.rows.slice(first, last).map((c) => make("tr", { "data-open": c.hash, class: c === RUN.best ? "first" : null, tabindex: "0" },
    ...view.columns.map((column) => make("td", { class: classes(column) }, column.cell ? column.cell(c) : column.text(c)))));
  body.replaceChildren(room(first), ...shown, room(view.rows.length - last));
}

// What the table shows, as a file for a spreadsheet.
function download() {
  const quote = (value) => {
    const text = String(value ?? "");
    // A spreadsheet would take what begins so for a formula.
    const safe = /^[=+@\t\r]/.test(text) || /^-(?![\d.])/.test(text) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  };
  const shown = view.columns.filter((column) => !column.fixed);
  const lines = [[...shown.map((column) => column.title), "Hash"], ...view.rows.map((c) => [...shown.map((column) => valueOf(column, c)), c.hash])];
  const url = URL.createObjectURL(new Blob([lines.map((row) => row.map(quote).join(",")).join("\n")], { type: "text/csv" }));
  make("a", { href: url, download: `${RUN.run.id}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
