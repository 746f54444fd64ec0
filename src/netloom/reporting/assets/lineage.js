// The lineage of the incumbent: a tree over generations, its height the score, and a player of its steps.
const player = { at: 0, timer: null };
const STEP_X = 64, SIDE = 46, TREE_HEIGHT = 230, TREE_TOP = 34, TREE_BOTTOM = 40;

const line = () => RUN.lineage.filter((ancestor) => ancestor.line);

function startLineage() {
  // Below the fold it is drawn when it comes into sight.
  new IntersectionObserver((entries) => {
    if (player.seen || !entries.some((entry) => entry.isIntersecting)) return;
    player.seen = true;
    drawSteps();
  }, { rootMargin: "300px" }).observe(byId("tree"));
  byId("step-first").addEventListener("click", () => go(0));
  byId("step-back").addEventListener("click", () => go(player.at - 1));
  byId("step-on").addEventListener("click", () => go(player.at + 1));
  byId("step-last").addEventListener("click", () => go(Infinity));
  byId("step").addEventListener("input", (event) => go(+event.target.value));
  byId("step-play").addEventListener("click", () => (player.timer ? pause() : play()));
  byId("tree").addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      event.preventDefault();
      go(player.at + (event.key === "ArrowRight" ? 1 : -1));
    }
  });
}

function drawLineage() {
  const steps = line(), same = player.incumbent === RUN.hashes[steps[steps.length - 1]?.graph];
  byId("lineage-card").hidden = steps.length < 2;
  if (steps.length < 2) return pause();
  player.incumbent = RUN.hashes[steps[steps.length - 1].graph];
  byId("step").max = steps.length - 1;
  const scored = steps.filter((step) => known(step.score)), gains = steps.slice(1).filter((step) => step.gain > 0).length;
  const others = RUN.lineage.length - steps.length;
  byId("lineage-hint").textContent = `${whole(steps.length - 1)} ${steps.length === 2 ? "edit" : "edits"} from the oldest ancestor` +
    (scored.length > 1 ? `, ${scoreText(scored[0].score)} → ${scoreText(scored[scored.length - 1].score)}` : "") +
    `; ${whole(gains)} of them gained.${others > 0 ? ` ${whole(others)} more networks gave parts.` : ""} Play it step by step, or click a dot.`;
  if (!same) player.at = steps.length - 1;
  return player.seen ? drawSteps() : undefined;
}

function drawSteps() {
  drawTree(line());
  go(player.at);
}

function drawTree(steps) {
  const scores = RUN.lineage.map((ancestor) => ancestor.score).filter(known);
  // A long line spends most of its steps near its end; what lies far below is drawn at the bottom.
  const [low, high] = rangeOf(scores, -1, 3), spread = high - low || 1;
  const last = Math.max(...RUN.lineage.map((ancestor) => ancestor.generation));
  const room = Math.max(byId("tree").clientWidth - 2 * SIDE, 240), step = Math.min(Math.max(STEP_X, room / Math.max(last, 1)), 280);
  const width = 2 * SIDE + last * step;
  const x = (ancestor) => SIDE + ancestor.generation * step;
  const y = (ancestor) => TREE_TOP + (known(ancestor.score) ? Math.min(1, (high - ancestor.score) / spread) : 1) * (TREE_HEIGHT - TREE_TOP - TREE_BOTTOM);
  const tree = make("svg:svg", { width, height: TREE_HEIGHT, viewBox: `0 0 ${width} ${TREE_HEIGHT}`, role: "img", "aria-label": "Lineage of the incumbent" });
  const byGraph = new Map(RUN.lineage.map((ancestor) => [ancestor.graph, ancestor]));
  for (const child of RUN.lineage) {
    child.parents.forEach((graph, i) => {
      const parent = byGraph.get(graph);
      if (!parent) return;
      const [x0, y0, x1, y1] = [x(parent), y(parent), x(child), y(child)], bend = (x0 + x1) / 2;
      const kind = i || !child.line ? "branch" : child.gain > 0 ? "up" : child.gain < 0 ? "down" : "";
      tree.append(make("svg:path", { class: `edge ${kind}`, d: `M${x0} ${y0}C${bend} ${y0} ${bend} ${y1} ${x1} ${y1}` }));
    });
  }
  RUN.lineage.forEach((ancestor) => tree.append(knot(ancestor, x(ancestor), y(ancestor), steps.indexOf(ancestor), step)));
  byId("tree").replaceChildren(tree);
}

function knot(ancestor, x, y, place, room) {
  const group = make("svg:g", { class: place < 0 ? "knot branch" : "knot", "data-step": place < 0 ? null : place });
  group.append(make("svg:title", {}, `${scoreText(ancestor.score)}${ancestor.edit[0] ? `, ${ancestor.edit[0]}` : ""}`));
  group.append(make("svg:circle", { cx: x, cy: y, r: place < 0 ? 4 : 6.5 }));
  if (place >= 0) {
    group.append(make("svg:text", { class: "score", x, y: y - 12, "text-anchor": "middle" }, scoreText(ancestor.score)));
    const words = clipped(ancestor.edit[0] || (place ? "" : "start"), Math.floor(room / 6.2));
    group.append(make("svg:text", { class: "edit", x, y: TREE_HEIGHT - (place % 2 ? 6 : 20), "text-anchor": "middle" }, words));
    group.addEventListener("click", () => go(place));
  } else {
    group.addEventListener("click", () => RUN.candidates[ancestor.graph] && openDetail(RUN.candidates[ancestor.graph]));
  }
  return group;
}

// Show one step; what changed is brought into sight within its frame.
function go(wanted) {
  const steps = line();
  player.at = Math.max(0, Math.min(wanted, steps.length - 1));
  const step = steps[player.at], { at } = player;
  byId("step").value = at;
  for (const group of byId("tree").querySelectorAll(".knot")) group.classList.toggle("on", +group.dataset.step === at && group.dataset.step !== undefined);
  const on = byId("tree").querySelector(".knot.on circle");
  if (on) byId("tree").scrollLeft = +on.getAttribute("cx") - byId("tree").clientWidth / 2;
  const first = at === 0;
  byId("step-title").textContent = first ? "The oldest ancestor" : `Step ${at} of ${steps.length - 1}${step.edit[0] ? `: ${step.edit[0]}` : ""}`;
  const candidate = RUN.candidates[step.graph];
  const facts = [known(step.score) ? `score ${scoreText(step.score)}` : "no score in this run", !first && known(step.gain) && `gain ${gainText(step.gain)}`];
  if (candidate) facts.push(`${short(candidate.params)} parameters`, `candidate #${candidate.ask}`);
  if (candidate?.main.proposed) facts.push(`proposed by ${candidate.main.proposed}`);
  if (step.removed) facts.push(`${whole(step.removed)} ${step.removed === 1 ? "node" : "nodes"} gone`);
  byId("step-facts").textContent = facts.filter(Boolean).join(" · ");
  byId("step-titles").replaceChildren(...step.edit.slice(1).map((title) => make("li", {}, title)));
  const difference = byId("step-difference");
  difference.hidden = !step.difference;
  difference.textContent = step.difference;
  fillFrame(byId("step-drawing"), step.graph, step.difference ? step.roles : null);
  const frame = byId("step-drawing"), mark = frame.querySelector(".r-added, .r-changed");
  frame.scrollTop = mark ? frame.scrollTop + mark.getBoundingClientRect().top - frame.getBoundingClientRect().top - 60 : 0;
}

function play() {
  if (player.at >= line().length - 1) go(0);
  player.timer = setInterval(() => (player.at >= line().length - 1 ? pause() : go(player.at + 1)), 1600);
  byId("step-play").textContent = "Pause";
}

function pause() {
  clearInterval(player.timer);
  player.timer = null;
  byId("step-play").textContent = "Play";
}
