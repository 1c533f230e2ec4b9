"use strict";

/* The page: reads a prompt, draws symbols one after the other, and shows what each unit of a state does at each. */

const $ = (id) => document.getElementById(id);
const { Model, Vocabulary, draw, uniforms } = window.Reprise;
const model = new Model(MODEL, Uint8Array.from(atob(MODEL.weights), (c) => c.charCodeAt(0)).buffer);
const symbols = MODEL.vocabulary && new Vocabulary(MODEL.vocabulary);
const places = model.layers.flatMap((layer, i) => (layer.states || []).map((part) => ({ i, part, name: layer.title })));
const MOST_ROWS = 128; // of the picture; of more units, every few make one row

/* The text so far: of each symbol what it is, whether it was given, and the state after it. */
let run = null;
let timer = 0;
let followed = -1;

function place() {
  return places[$("state").value];
}

function color(value, most = 1) {
  const strength = most * Math.min(1, Math.abs(value)) ** 0.8;
  const name = value < 0 ? "--blue" : "--red";
  return `rgba(${getComputedStyle(document.documentElement).getPropertyValue(name)}, ${strength.toFixed(3)})`;
}

function begin() {
  const given = symbols ? symbols.encode($("prompt").value) : rows($("prompt").value);
  const hidden = Boolean(symbols && !given.length); // what is read then is not part of the text
  return {
    state: model.initialState(),
    read: hidden ? [symbols.start()] : given,
    hidden,
    numbers: uniforms($("seed")?.value || 0),
    write: symbols && symbols.writer(!hidden),
    pieces: [],
    shown: 0,
  };
}

function rows(text) {
  const width = model.layers[0].type === "features" ? model.layers[0].width : 1;
  const found = text.trim().split("\n").filter((line) => line.trim()).map((line) => line.trim().split(/[\s,;]+/).map(Number));
  const wrong = found.find((row) => row.length !== width || row.some(Number.isNaN));
  if (!found.length || wrong) throw new RangeError(`each line has ${width} numbers, one line a step`);
  return model.layers[0].type === "features" ? found : found.map(([id]) => id);
}

/* One symbol, or one row of numbers. */
function advance() {
  const given = run.read.length > 0;
  if (!given && run.left-- <= 0) return false;
  let x;
  if (given) x = run.read.shift();
  else x = draw(run.scores, MODEL.probabilities, run.temperature, run.numbers.next().value);
  const found = model.step(run.state, x);
  run.state = found.state;
  run.scores = found.outputs[MODEL.scores];
  if (run.hidden) run.hidden = false;
  else run.pieces.push({ text: piece(x, given, found.outputs), given, state: found.state });
  return run.read.length > 0 || run.left > 0;
}

function piece(x, given, outputs) {
  if (!symbols) return `${Object.entries(outputs).map(([k, v]) => `${k} ${Array.from(v, (n) => n.toPrecision(4)).join(" ")}`).join("  ")}\n`;
  if (!given) return run.write(x);
  return symbols.kind === "words" && run.pieces.length ? ` ${symbols.symbols[x]}` : symbols.symbols[x];
}

/* Drawing */

function show() {
  const text = $("text");
  const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 8;
  for (; run.shown < run.pieces.length; run.shown++) {
    const { text: words, given, state } = run.pieces[run.shown];
    const span = document.createElement("span");
    span.textContent = words;
    span.className = given ? "given" : "";
    if (followed >= 0) span.style.background = color(state[place().i][place().part][followed], 0.5);
    text.append(span);
  }
  if (atEnd) text.scrollTop = text.scrollHeight;
  paint();
}

function paint() {
  const canvas = $("picture");
  const scale = window.devicePixelRatio || 1;
  const columns = Math.max(24, Math.floor(canvas.clientWidth / 9));
  const pieces = run ? run.pieces.slice(-columns) : [];
  const units = model.layers[place().i].width;
  const each = Math.ceil(units / MOST_ROWS);
  const count = Math.ceil(units / each);
  const height = Math.max(2, Math.min(14, Math.round(288 / count)));
  const labels = symbols && symbols.kind !== "words" ? 18 : 0;
  canvas.style.height = `${count * height + labels}px`;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = (count * height + labels) * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = "12px ui-monospace, monospace";
  pen.textAlign = "center";
  const width = canvas.clientWidth / columns;
  const soft = getComputedStyle(document.documentElement).getPropertyValue("--soft");
  pieces.forEach(({ text, state }, column) => {
    const values = state[place().i][place().part];
    for (let row = 0; row < count; row++) {
      pen.fillStyle = color(values[row * each]);
      pen.fillRect(column * width, row * height, width - 0.5, height - (height > 3 ? 0.5 : 0));
    }
    if (labels) {
      pen.fillStyle = soft;
      pen.fillText(text === "\n" ? "↵" : text === " " ? "·" : text, (column + 0.5) * width, count * height + 14);
    }
  });
  if (followed >= 0) {
    pen.strokeStyle = soft;
    pen.strokeRect(0.5, Math.floor(followed / each) * height - 0.5, canvas.clientWidth - 1, height + 1);
  }
  canvas.dataset.each = each;
  canvas.dataset.height = height;
}

function follow(unit) {
  followed = unit < model.layers[place().i].width ? unit : -1;
  $("unit").textContent = followed < 0 ? "Touch the picture to follow one unit through the text." : `Unit ${followed} colours the text.`;
  $("text").replaceChildren();
  if (run) run.shown = 0;
  if (run) show();
}

/* Control */

function go(first) {
  try {
    $("note").textContent = "";
    if (first) run = begin();
    else if (!symbols) run.read = rows($("prompt").value);
  } catch (error) {
    $("note").textContent = error.message;
    return;
  }
  if (first) $("text").replaceChildren();
  run.left = symbols ? Number($("length").value) : 0;
  run.temperature = symbols ? Number($("temperature").value) : 0;
  clearTimeout(timer);
  document.body.dataset.state = "running";
  $("stop").disabled = false;
  $("on").disabled = true;
  const begun = performance.now();
  let made = 0;
  (function turn() {
    const speed = Number($("speed").value);
    const until = performance.now() + 12;
    let more = true;
    do {
      more = advance();
      made++;
    } while (more && performance.now() < until && (!speed || made < ((performance.now() - begun) / 1000) * speed));
    show();
    $("told").textContent = `${run.pieces.length} ${symbols ? "symbols" : "steps"} read and written`;
    if (more) timer = setTimeout(turn, speed ? Math.max(4, begun + (made / speed) * 1000 - performance.now()) : 0);
    else stop();
  })();
}

function stop() {
  clearTimeout(timer);
  $("stop").disabled = true;
  $("on").disabled = false;
  document.body.dataset.state = "done";
}

$("layers").textContent = MODEL.title;
places.forEach(({ part, name }, k) => $("state").append(new Option(`${name}, ${part === "h" ? "hidden state h" : "cell state c"}`, k)));
if (!symbols) {
  $("what").textContent = `Rows of ${model.layers[0].width} numbers, one line a step`;
  document.querySelectorAll(".symbols").forEach((one) => one.remove());
  $("prompt").rows = 4;
  $("prompt").value = [0, 1, 2].map((t) => Array.from({ length: model.layers[0].width }, (_, k) => Math.sin(t + k).toFixed(2)).join(" ")).join("\n");
} else {
  $("temperature").addEventListener("input", () => ($("shown").textContent = $("temperature").value));
}
$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  go(true);
});
$("on").addEventListener("click", () => go(false));
$("stop").addEventListener("click", stop);
$("state").addEventListener("change", () => follow(-1));
$("picture").addEventListener("click", (event) => {
  const { each, height } = $("picture").dataset;
  follow(Math.floor(event.offsetY / height) * each);
});
window.addEventListener("resize", paint);

/* `?prompt=…&seed=…&temperature=…&length=…&speed=…&unit=…` fills the form in and begins. */
const asked = new URLSearchParams(location.search);
for (const [name, value] of asked) if (["prompt", "seed", "temperature", "length", "speed", "state"].includes(name) && $(name)) $(name).value = value;
if ($("shown")) $("shown").textContent = $("temperature").value;
paint();
if ([...asked].length) go(true);
if (asked.has("unit")) follow(Number(asked.get("unit")));
