// The run: columns of the data as objects. `read` is called again when a running search has news.
const RUN = { candidates: [], evaluations: [], measures: [], byHash: new Map(), texts: [] };

function read(data) {
  const word = (number) => data.words[number];
  const columns = data.evaluations;
  RUN.evaluations = columns.ask.map((ask, i) => ({
    ask, index: i, candidate: columns.candidate[i], score: columns.score[i], status: word(columns.status[i]),
    seconds: columns.seconds[i], elapsed: columns.elapsed[i], fidelity: columns.fidelity[i], seed: columns.seed[i],
    init: word(columns.init[i]), reused: columns.reused[i] === 1, proposed: word(columns.proposed[i]), scored: word(columns.scored[i]),
    predicted: columns.predicted[i], initialised: word(columns.initialised[i]), edit: word(columns.edit[i]),
    parents: columns.parents[i], error: word(columns.error[i]),
  }));
  RUN.run = data.run;
  RUN.measures = data.measures;
  RUN.lineage = data.lineage;
  RUN.hashes = data.hashes;
  RUN.curves = data.curves;
  RUN.networks = data.networks;
  RUN.candidates = data.candidates.rank.map((rank, i) => {
    const main = RUN.evaluations[data.candidates.main[i]];
    const made = { index: i, rank, main, evaluations: [], hash: data.hashes[i], broken: word(data.candidates.broken[i]) };
    for (const measure of data.measures) made[measure.name] = measure.values[i];
    return made;
  });
  for (const evaluation of RUN.evaluations) RUN.candidates[evaluation.candidate].evaluations.push(evaluation);
  for (const candidate of RUN.candidates) candidate.ask = candidate.evaluations[0].ask;
  RUN.byHash = new Map(RUN.candidates.map((candidate) => [candidate.hash, candidate]));
  RUN.best = RUN.candidates[data.run.best] ?? null;
  RUN.epochsDiffer = new Set(RUN.evaluations.map((evaluation) => evaluation.fidelity)).size > 1;
}

const measureOf = (name) => RUN.measures.find((measure) => measure.name === name);

// The text of a graph, by its place in the hashes; null where the page has no room for it.
function textOf(index) {
  const lines = RUN.networks.of[index];
  return lines ? lines.map((line) => RUN.networks.lines[line]).join("\n") : null;
}

// Evaluations by what a part said of them, the most frequent first; what is rare is "other".
const GROUPINGS = [
  ["proposed", "proposer", (e) => e.proposed || "not told"],
  ["initialised", "first weights", (e) => e.initialised || "not told"],
  ["scored", "scorer", (e) => e.scored || "none"],
  ["edit", "edit", (e) => e.edit || "none"],
  ["fidelity", "epochs", (e) => String(e.fidelity)],
  ["reused", "reuse", (e) => (e.reused ? "from the store" : "trained")],
];
const MOST_GROUPS = 8;

function grouped(evaluations, key) {
  const of = GROUPINGS.find(([name]) => name === key)[2];
  const counts = new Map();
  for (const evaluation of evaluations) counts.set(of(evaluation), (counts.get(of(evaluation)) ?? 0) + 1);
  const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
  const shown = names.length > MOST_GROUPS ? [...names.slice(0, MOST_GROUPS - 1), "other"] : names;
  const place = new Map(names.map((name, i) => [name, Math.min(i, shown.length - 1)]));
  return { names: shown, of: (evaluation) => place.get(of(evaluation)) };
}

function groupings() {
  return GROUPINGS.filter(([, , of]) => new Set(RUN.evaluations.map(of)).size > 1);
}

// What of two measures no other candidate beats in both, in the order of the first.
function front(candidates, x, y) {
  const [sx, sy] = [x.higher ? -1 : 1, y.higher ? -1 : 1];
  const order = candidates
    .filter((c) => known(c[x.name]) && known(c[y.name]))
    .sort((a, b) => sx * (a[x.name] - b[x.name]) || sy * (a[y.name] - b[y.name]) || a.ask - b.ask);
  const found = [];
  let least = Infinity;
  for (const c of order) {
    if (sy * c[y.name] < least) {
      least = sy * c[y.name];
      found.push(c);
    }
  }
  return found;
}
