// Drawings of networks, made from their texts. The colours of operators are those of `netloom draw`.
const ROW = 22, GAP_X = 22, GAP_Y = 26, PASSING = 10, MOST_CHARACTERS = 42;
const pen = document.createElement("canvas").getContext("2d");

function widthOf(words, bold) {
  pen.font = `${bold ? "700 " : ""}12px system-ui, sans-serif`;
  return pen.measureText(words).width;
}

const clipped = (words, most = MOST_CHARACTERS) => (words.length > most ? `${words.slice(0, most - 1)}…` : words);

function sized(box, nodes) {
  box.rows = box.nodes.map((i) => ({ node: nodes[i], op: clipped(nodes[i].op, 28), detail: clipped(nodes[i].detail.replaceAll("=", " "), 36) }));
  const widths = box.rows.map((row) => widthOf(row.op, true) + (row.detail ? 7 + widthOf(row.detail) : 0));
  box.width = Math.max(64, ...widths) + 22;
  box.height = box.rows.length * ROW;
}

// Positions across: each vertex as near to its neighbours as those beside it allow.
function placedAcross(layers) {
  const wide = (vertex) => (vertex.box ? vertex.box.width : PASSING);
  for (const layer of layers) {
    let x = 0;
    for (const vertex of layer) {
      vertex.x = x + wide(vertex) / 2;
      x += wide(vertex) + GAP_X;
    }
    for (const vertex of layer) vertex.x -= (x - GAP_X) / 2;
  }
  const settle = (layer, side) => {
    const wanted = layer.map((vertex) => {
      const near = vertex[side];
      return near.length ? near.reduce((sum, other) => sum + other.x, 0) / near.length : vertex.x;
    });
    for (let i = 0; i < layer.length; i++) {
      const left = i ? layer[i - 1].x + (wide(layer[i - 1]) + wide(layer[i])) / 2 + GAP_X : -Infinity;
      layer[i].x = Math.max(wanted[i], left);
    }
    // What was pushed to the right goes back as a whole.
    const shift = layer.reduce((sum, vertex, i) => sum + wanted[i] - vertex.x, 0) / layer.length;
    for (const vertex of layer) vertex.x += shift;
  };
  for (let round = 0; round < 3; round++) {
    for (const layer of layers) settle(layer, "inputs");
    for (const layer of [...layers].reverse()) settle(layer, "outputs");
  }
}

function placedDown(layers) {
  let y = 0;
  for (const layer of layers) {
    const height = Math.max(...layer.map((vertex) => (vertex.box ? vertex.box.height : 0)));
    for (const vertex of layer) {
      vertex.top = y;
      vertex.bottom = y + (vertex.box ? vertex.box.height : height);
    }
    y += height + GAP_Y;
  }
  return y - GAP_Y;
}

function drawBox(vertex, left, roles) {
  const { box } = vertex, x = vertex.x - box.width / 2 - left;
  const group = make("svg:g", { transform: `translate(${x.toFixed(1)} ${vertex.top.toFixed(1)})` });
  box.rows.forEach((row, i) => {
    const role = roles && (roles[row.node.name] ?? "same");
    const rect = make("svg:rect", { class: `bd ${role ? `r-${role}` : `k-${row.node.kind}`}`, y: i * ROW, width: box.width, height: ROW, rx: 4 });
    const words = make("svg:text", { class: "t", x: box.width / 2, y: i * ROW + 15, "text-anchor": "middle" },
      make("svg:tspan", { class: "b" }, row.op));
    if (row.detail) words.append(make("svg:tspan", { class: "d", dx: 7 }, row.detail));
    group.append(make("svg:g", {}, make("svg:title", {}, row.node.line), rect, words));
  });
  return group;
}

function drawLines(vertex, left) {
  return vertex.inputs.map((input) => {
    const [x0, y0, x1, y1] = [input.x - left, input.bottom, vertex.x - left, vertex.top];
    const middle = (y0 + y1) / 2;
    const bend = Math.abs(x0 - x1) < 0.5 ? `V${y1.toFixed(1)}` : `C${x0.toFixed(1)} ${middle.toFixed(1)} ${x1.toFixed(1)} ${middle.toFixed(1)} ${x1.toFixed(1)} ${y1.toFixed(1)}`;
    const through = vertex.box ? "" : `V${vertex.bottom.toFixed(1)}`;
    return make("svg:path", { class: "e", d: `M${x0.toFixed(1)} ${y0.toFixed(1)}${bend}${through}` });
  });
}

// A network as SVG. `roles` marks nodes by name as added or changed, and takes the colours of all others.
function drawNetwork(text, roles = null) {
  const { nodes } = nodesOf(text);
  const shown = nodes.slice(0, MOST_NODES);
  if (!shown.length) return { picture: make("p", { class: "empty" }, "Nothing to draw."), more: 0 };
  const boxes = chained(shown);
  boxes.forEach((box) => sized(box, shown));
  const layers = ordered(layered(boxes));
  placedAcross(layers);
  const height = placedDown(layers), vertices = layers.flat();
  const left = Math.min(...vertices.map((v) => v.x - (v.box ? v.box.width : PASSING) / 2)) - 8;
  const right = Math.max(...vertices.map((v) => v.x + (v.box ? v.box.width : PASSING) / 2)) + 8;
  const picture = make("svg:svg", { class: "netloom", width: Math.ceil(right - left), height: Math.ceil(height + 16),
    viewBox: `${0} -8 ${Math.ceil(right - left)} ${Math.ceil(height + 16)}`, role: "img" });
  for (const vertex of vertices) picture.append(...drawLines(vertex, left));
  for (const vertex of vertices) if (vertex.box) picture.append(drawBox(vertex, left, roles));
  return { picture, more: nodes.length - shown.length };
}

// Fills a frame with the drawing of a graph, by its place in the hashes.
function fillFrame(frame, index, roles = null) {
  const text = textOf(index);
  if (text === null) {
    frame.replaceChildren(make("p", { class: "empty" }, "This network is too large to be in the page. To see it:"),
      make("pre", { class: "command" }, `netloom store show ${RUN.run.store} ${RUN.hashes[index]}`));
    return;
  }
  const { picture, more } = drawNetwork(text, roles);
  frame.replaceChildren(picture);
  if (more > 0) frame.append(make("p", { class: "empty" }, `The first ${whole(MOST_NODES)} nodes; ${whole(more)} more are in the text.`));
}

// A network as a row of stripes, one for each node in the colour of its kind.
const STRIPE = 3, MOST_STRIPES = 44;
const STRIPES = { conv: "--c1", linear: "--c3", attention: "--c4", recurrent: "--bad", norm: "--c6", activation: "--best", pool: "--c5", merge: "--c2" };
function barCode(index) {
  const kinds = kindsOf(index), step = Math.max(1, kinds.length / MOST_STRIPES), stops = [];
  const count = Math.min(MOST_STRIPES, Math.ceil(kinds.length / step));
  for (let i = 0; i < count; i++) stops.push(`var(${STRIPES[kinds[Math.floor(i * step)]] ?? "--line"}) ${i * STRIPE}px ${(i + 1) * STRIPE}px`);
  return make("span", { class: "code", "aria-hidden": "true", style: `width:${count * STRIPE}px;background:linear-gradient(90deg,${stops.join(",")})` });
}
