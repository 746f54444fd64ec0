// The dialog with everything about one candidate.
function startDetail() {
  charts.detail = new Chart("detail-curve", { tell: (i) => describeCandidate(i) });
  const dialog = byId("detail");
  dialog.addEventListener("close", () => {
    document.body.append(tip);
    hideTip();
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

function openDetail(c) {
  if (!c) return;
  const dialog = byId("detail"), { main } = c;
  dialog.dataset.hash = c.hash;
  byId("detail-title").textContent = c.rank ? `Rank ${whole(c.rank)}, candidate #${c.ask}` : `Candidate #${c.ask}`;
  const facts = RUN.measures.filter((m) => known(c[m.name])).map((m) => `${m.title.replace(/^Validation /, "").toLowerCase().replace("flops", "FLOPs")} ${measured(m, c[m.name])}`);
  facts.push(`${main.fidelity} ${main.fidelity === 1 ? "epoch" : "epochs"}`, main.status.replaceAll("_", " "));
  if (c.broken) facts.push(`breaks ${c.broken}`);
  byId("detail-facts").textContent = facts.join(" · ");
  byId("detail-links").replaceChildren(...origin(c));
  byId("detail-error").hidden = !main.error;
  byId("detail-error").textContent = main.error;
  byId("detail-hash").textContent = c.hash;
  byId("detail-text").textContent = textOf(c.index) ?? `netloom store show ${RUN.run.store} ${c.hash}`;
  byId("detail-evaluations").replaceChildren(...(c.evaluations.length > 1 ? [evaluationTable(c)] : []));
  const curve = RUN.curves[c.index];
  byId("detail-curve").hidden = !curve;
  if (!dialog.open) dialog.showModal();
  dialog.append(tip);
  dialog.scrollTop = 0;
  fillFrame(byId("detail-drawing"), c.index);
  charts.detail.seen = true;
  charts.detail.set(curve ? detailCurve(c) : { empty: "" });
}

function detailCurve(c) {
  const values = curveOf(c, 1).map(([, value]) => value).filter(known);
  if (!values.length) return { empty: "No scores were kept of its training." };
  return {
    key: c.hash, layers: [{ line: curveOf(c, 1), colour: "--best", width: 2, what: c.index }],
    x: { title: "epoch", text: tickText, integer: true, range: rangeOf(RUN.curves[c.index][0]) }, y: { title: "score", text: tickText, range: rangeOf(values, -1) },
  };
}

// Where it came from: part, edit, and parents that open by click.
function origin(c) {
  const first = c.evaluations[0], words = [];
  if (first.proposed) words.push(`proposed by ${first.proposed}`);
  if (first.edit) words.push(first.edit);
  if (first.initialised) words.push(`first weights: ${first.initialised}`);
  if (known(first.predicted)) words.push(`predicted ${scoreText(first.predicted)}${first.scored ? ` by ${first.scored}` : ""}`);
  const links = first.parents.map((graph) => RUN.candidates[graph]).filter(Boolean).map((parent) =>
    make("button", { type: "button", class: "link", "data-open": parent.hash }, `parent #${parent.ask} (${scoreText(parent.score)})`));
  const parts = [words.join(" · ")];
  for (const link of links) parts.push(parts[0] || parts.length > 1 ? " · " : "", link);
  return parts;
}

function evaluationTable(c) {
  const head = ["No.", "Score", "Epochs", "Seconds", "First weights", "Status"];
  const rows = c.evaluations.map((e) => [`#${e.ask}`, scoreText(e.score), e.fidelity, e.seconds.toFixed(1), e.initialised || "–", e.status.replaceAll("_", " ")]);
  const cells = (tag, row) => make("tr", {}, ...row.map((value) => make(tag, {}, String(value))));
  return make("table", { class: "plain" }, make("thead", {}, cells("th", head)), make("tbody", {}, ...rows.map((row) => cells("td", row))));
}
