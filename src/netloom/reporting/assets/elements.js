// Elements and numbers. Data reach the page through text nodes and attributes only, never as markup.
const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes = {}, ...children) {
  const element = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);
const whole = (number) => number.toLocaleString("en-US");
const known = (number) => number !== null && number !== undefined;

function scoreText(score) {
  if (!known(score)) return "–";
  return Math.abs(score) < 100 ? score.toFixed(4) : String(+score.toPrecision(4));
}

function gainText(gain) {
  return known(gain) ? `${gain < 0 ? "−" : "+"}${scoreText(Math.abs(gain))}` : "–";
}

function short(number) {
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(number) >= size) return `${+(number / size).toPrecision(3)}${unit}`;
  }
  return String(+number.toPrecision(3));
}

function clock(seconds) {
  if (seconds === 0) return "0 s";
  if (Math.abs(seconds) < 1e-4) return `${+(seconds * 1e6).toPrecision(3)} µs`;
  if (Math.abs(seconds) < 0.1) return `${+(seconds * 1e3).toPrecision(3)} ms`;
  if (Math.abs(seconds) < 120) return `${+seconds.toPrecision(3)} s`;
  if (Math.abs(seconds) < 7200) return `${+(seconds / 60).toPrecision(3)} min`;
  return `${+(seconds / 3600).toPrecision(3)} h`;
}

function size(bytes) {
  for (const [power, unit] of [[30, "GiB"], [20, "MiB"], [10, "KiB"]]) {
    if (bytes >= 2 ** power) return `${+(bytes / 2 ** power).toPrecision(3)} ${unit}`;
  }
  return `${bytes} B`;
}

// A value of a measure, as people read it.
function measured(measure, value) {
  if (!known(value)) return "–";
  if (measure.name === "score") return scoreText(value);
  return measure.unit === "seconds" ? clock(value) : measure.unit === "bytes" ? size(value) : short(value);
}

// The colours of the page as they are now.
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Fills a <select> and keeps what was chosen.
function choices(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, words]) => make("option", { value }, words)));
  if (options.some(([value]) => value === before)) select.value = before;
  select.parentElement.hidden = options.length < 2;
}

const tip = byId("tip");

function showTip(text, left, top) {
  tip.textContent = text;
  tip.hidden = false;
  const home = tip.parentElement === document.body ? { left: -window.scrollX, top: -window.scrollY } : tip.parentElement.getBoundingClientRect();
  const scroll = tip.parentElement === document.body ? 0 : tip.parentElement.scrollTop;
  const x = Math.min(left + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
  const y = top - tip.offsetHeight - 12 < 8 ? top + 18 : top - tip.offsetHeight - 12;
  tip.style.left = `${Math.max(8, x) - home.left}px`;
  tip.style.top = `${y - home.top + scroll}px`;
}

function hideTip() {
  tip.hidden = true;
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    (button.closest("dialog") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = before), 1200);
}

// What one button of a group was pressed for; the others are not pressed.
function press(button) {
  for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
}
