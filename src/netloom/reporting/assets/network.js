// Texts of networks as nodes with what they read, and those as chains of boxes in layers: all that a drawing needs.
const CALL = /^(`(?:[^`\\]|\\.)*`|[^\s=`]+) = (\w+)/;
const TOKEN = /"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|@[^\s,)\]}]+|[A-Za-z_0-9][\w.]*(?:@\d+)?|[=(#]/g;
const MOST_NODES = 500;

const plainName = (name) => (name.startsWith("`") ? name.slice(1, -1).replace(/\\(.)/g, "$1") : name);

// Where the comment of a line begins: at the last " # " that stands outside of quotes.
function split(line) {
  const quoted = line.replace(/"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/g, (text) => "x".repeat(text.length));
  const at = quoted.search(/\s+# ?/);
  return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at).replace(/^\s+# ?/, "")];
}

// The nodes that a call reads: names of nodes above that are not the name of an attribute.
function operands(rest, places) {
  const found = [], tokens = [...rest.matchAll(TOKEN)];
  tokens.forEach((token, i) => {
    const next = tokens[i + 1];
    const named = next && next[0] === "=" && next.index === token.index + token[0].length;
    if (!named && !/^[@"=(#]/.test(token[0]) && places.has(plainName(token[0]))) found.push([i, places.get(plainName(token[0]))]);
  });
  const first = tokens.findIndex((token) => token[0] !== "(");
  return { found: found.map(([, place]) => place), leads: found.length > 0 && found[0][0] === first };
}

// What stands between the brackets of a call, without the nodes it reads, which the drawing shows as lines.
function attributes(rest, places) {
  const inside = /^\((.*)\)/.exec(rest)?.[1] ?? rest.trim(), parts = [];
  let depth = 0, start = 0;
  for (let i = 0; i <= inside.length; i++) {
    if ("([{".includes(inside[i] ?? " ")) depth += 1;
    else if (")]}".includes(inside[i] ?? " ")) depth -= 1;
    else if (i === inside.length || (inside[i] === "," && depth === 0)) {
      parts.push(inside.slice(start, i).trim());
      start = i + 1;
    }
  }
  const isNode = (part) => places.has(plainName(part.replace(/\[\d+\]$/, "")));
  return parts.filter((part) => part && !isNode(part)).join(", ");
}

function nodesOf(text) {
  const nodes = [], places = new Map();
  let outputs = [];
  for (const line of text.split("\n")) {
    const call = CALL.exec(line), result = /^return (.*)$/.exec(line);
    if (result) outputs = operands(split(result[1])[0], places).found;
    if (!call || line.startsWith("@")) continue;
    const name = plainName(call[1]), op = call[2];
    const [code, shape] = split(line);
    const rest = code.slice(call[0].length);
    const [kind, reads] = RUN.networks.ops[op] ?? ["other", 1];
    const read = op === "input" ? { found: [], leads: true } : operands(rest, places);
    const inputs = [...new Set(!read.leads && reads && nodes.length ? [nodes.length - 1, ...read.found] : read.found)];
    nodes.push({ name, op, kind, detail: attributes(rest, places), shape, inputs, line });
    places.set(name, nodes.length - 1);
  }
  return { nodes, outputs };
}

// The kinds of the nodes of a network in order, for its bar code in the table. Lines repeat, so each is looked at once.
const kindOfLine = new Map();
function kindsOf(index) {
  return (RUN.networks.of[index] ?? []).map((number) => {
    const line = RUN.networks.lines[number];
    if (!kindOfLine.has(line)) {
      const call = line.startsWith("@") ? null : CALL.exec(line);
      kindOfLine.set(line, call ? (RUN.networks.ops[call[2]] ?? ["other"])[0] : "");
    }
    return kindOfLine.get(line);
  }).filter((kind) => kind && kind !== "input");
}

// Nodes that only pass on to the next one are one box.
function chained(nodes) {
  const readers = nodes.map(() => 0), box = [], boxes = [];
  for (const node of nodes) for (const input of node.inputs) readers[input] += 1;
  nodes.forEach((node, i) => {
    const [above] = node.inputs;
    const joins = node.inputs.length === 1 && readers[above] === 1 && nodes[above].op !== "input" && boxes[box[above]].nodes.length < 12;
    if (joins) boxes[box[above]].nodes.push(i);
    else boxes.push({ nodes: [i], inputs: [...new Set(node.inputs.map((input) => box[input]))] });
    box.push(joins ? box[above] : boxes.length - 1);
  });
  return boxes;
}

// Boxes in layers: each as early as what it reads allows; where a line passes a layer it has a place of its own there.
function layered(boxes) {
  const vertices = boxes.map((box) => ({ box, inputs: [], layer: 0 }));
  boxes.forEach((box, i) => {
    vertices[i].layer = box.inputs.reduce((deepest, input) => Math.max(deepest, vertices[input].layer + 1), 0);
  });
  boxes.forEach((box, i) => {
    for (const input of box.inputs) {
      let from = vertices[input];
      for (let layer = from.layer + 1; layer < vertices[i].layer; layer++) {
        const passing = { box: null, inputs: [from], layer };
        vertices.push(passing);
        from = passing;
      }
      vertices[i].inputs.push(from);
    }
  });
  const layers = [];
  for (const vertex of vertices) {
    while (layers.length <= vertex.layer) layers.push([]);
    layers[vertex.layer].push(vertex);
    vertex.outputs = [];
  }
  for (const vertex of vertices) for (const input of vertex.inputs) input.outputs.push(vertex);
  return layers;
}

// Fewer crossings: every layer in the order of the means of its neighbours, down and up again.
function ordered(layers) {
  const settle = (layer) => layer.forEach((vertex, i) => (vertex.place = i));
  layers.forEach(settle);
  const sort = (layer, side) => {
    for (const vertex of layer) {
      const near = vertex[side];
      vertex.mean = near.length ? near.reduce((sum, other) => sum + other.place, 0) / near.length : vertex.place;
    }
    layer.sort((a, b) => a.mean - b.mean);
    settle(layer);
  };
  for (let round = 0; round < 3; round++) {
    for (const layer of layers) sort(layer, "inputs");
    for (const layer of [...layers].reverse()) sort(layer, "outputs");
  }
  return layers;
}
