"use strict";

/* The page: reads a prompt, draws symbols one after the other, and shows what each unit of a state does at each. */

const $ = (id) => document.getElementById(id);
const { Vocabulary, draw, uniforms, load } = window.Reprise;
const symbols = MODEL.vocabulary && new Vocabulary(MODEL.vocabulary);
const MOST_ROWS = 128; // of the picture; of more units, every few make one row

/* The text so far: of each symbol what it is, whether it was given, and the state after it. */
let model = null;
let run = null;
let timer = 0;
let turns = 0; // counts what was begun, so that a step of the text before is not taken for one of this
let halting = false;
let followed = -1;

/* The state that the picture shows, if the model has one. */
function chosen() {
  return model.states[$("state")?.value ?? -1];
}

function values(state) {
  return chosen() ? chosen().of(state) : [];
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

/* Lines of numbers, or of texts where the model reads these; in groups where a call has several steps. */
function rows(text) {
  const cells = text.trim().split("\n").filter((line) => line.trim()).map((line) => line.trim().split(/[\s,;]+/));
  const found = MODEL.texts ? cells : cells.map((row) => row.map(Number));
  if (!found.length || found.some((row) => row.length !== model.width || row.some(Number.isNaN)))
    throw new RangeError(`each line has ${model.width} ${MODEL.texts ? "words" : "numbers"}, one line a step`);
  if (model.chunk === 1) return found;
  const size = model.chunk || found.length;
  if (found.length % size) throw new RangeError(`the model reads ${size} lines at a time`);
  return Array.from({ length: found.length / size }, (_, k) => found.slice(k * size, (k + 1) * size));
}

/* One symbol, or one line of numbers; whether there is more. */
async function advance(turn) {
  const given = run.read.length > 0;
  if (!given && run.left-- <= 0) return false;
  let x;
  if (given) x = run.read.shift();
  else x = draw(run.scores, MODEL.probabilities, run.temperature, run.numbers.next().value);
  const found = await model.step(run.state, x);
  if (turn !== turns) return false;
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
    if (followed >= 0) span.style.background = color(values(state)[followed], 0.5);
    text.append(span);
  }
  if (atEnd) text.scrollTop = text.scrollHeight;
  paint();
}

function paint() {
  if (!chosen()) return;
  const canvas = $("picture");
  const scale = window.devicePixelRatio || 1;
  const columns = Math.max(24, Math.floor(canvas.clientWidth / 9));
  const pieces = run ? run.pieces.slice(-columns) : [];
  const units = chosen().size;
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
    const held = values(state);
    for (let row = 0; row < count; row++) {
      pen.fillStyle = color(held[row * each]);
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
  followed = chosen() && unit < chosen().size ? unit : -1;
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
  const turn = ++turns;
  halting = false;
  let made = 0;
  (async function work() {
    timer = 0;
    const speed = Number($("speed").value);
    const until = performance.now() + 12;
    let more = true;
    try {
      do {
        more = await advance(turn);
        made++;
      } while (more && !halting && performance.now() < until && (!speed || made < ((performance.now() - begun) / 1000) * speed));
    } catch (error) {
      $("note").textContent = error.message;
      more = false;
    }
    if (turn !== turns) return;
    show();
    $("told").textContent = `${run.pieces.length} ${symbols ? "symbols" : "steps"} read and written`;
    if (!more || halting) ended();
    else timer = setTimeout(work, speed ? Math.max(4, begun + (made / speed) * 1000 - performance.now()) : 0);
  })();
}

/* Stops after the step that is computed now. */
function stop() {
  halting = true;
  if (!timer) return;
  clearTimeout(timer);
  ended();
}

function ended() {
  $("stop").disabled = true;
  $("on").disabled = false;
  document.body.dataset.state = "done";
}

/* The form, once there is a model. */
function fill() {
  $("layers").textContent = MODEL.title;
  model.states.forEach(({ title }, k) => $("state").append(new Option(title, k)));
  if (!model.states.length) $("picture").closest("section").remove();
  if (symbols) {
    $("temperature").addEventListener("input", () => ($("shown").textContent = $("temperature").value));
    return;
  }
  $("what").textContent = `Lines of ${model.width} ${MODEL.texts ? "words" : "numbers"}, one line a step`;
  document.querySelectorAll(".symbols").forEach((one) => one.remove());
  $("prompt").rows = 4;
  const number = (t, k) => (MODEL.whole ? t : Math.sin(t + k).toFixed(2));
  const line = (t) => Array.from({ length: model.width }, (_, k) => number(t, k)).join(" ");
  $("prompt").value = Array.from({ length: model.chunk || 3 }, (_, t) => line(t)).join("\n");
}

/* `?prompt=…&seed=…&temperature=…&length=…&speed=…&unit=…` fills the form in and begins. */
function begun() {
  const asked = new URLSearchParams(location.search);
  const fields = ["prompt", "seed", "temperature", "length", "speed", "state"];
  for (const [name, value] of asked) if (fields.includes(name) && $(name)) $(name).value = value;
  if ($("shown")) $("shown").textContent = $("temperature").value;
  paint();
  if ([...asked].length) go(true);
  if (asked.has("unit")) follow(Number(asked.get("unit")));
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
window.addEventListener("resize", () => model && paint());

load(MODEL).then(
  (loaded) => {
    model = loaded;
    fill();
    begun();
  },
  (error) => ($("note").textContent = `The model cannot be loaded: ${error.message}`),
);
