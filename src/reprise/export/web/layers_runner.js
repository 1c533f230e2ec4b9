/* Runs rows of steps, a line of JSON each, or tells the first state where a line is null, with the engine and the model of a folder: what an export is verified by. */
const path = process.argv[2];
const { Reprise } = require(`${path}/engine.js`);
const { MODEL } = require(`${path}/model.js`);
const bytes = Buffer.from(MODEL.weights, "base64");
const model = new Reprise.Model(MODEL, bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));

const numbers = (state) => Object.values(state).map((parts) => Object.values(parts).map((one) => Array.from(one)));

function row(steps, begun) {
  let state = begun;
  const outputs = steps.map((x) => {
    const found = model.step(state, x);
    state = found.state;
    return Object.values(found.outputs).map((one) => Array.from(one));
  });
  return { outputs, state: numbers(state) };
}

function floats(state) {
  const parts = (held) => Object.fromEntries(Object.entries(held).map(([k, one]) => [k, Float32Array.from(one)]));
  return Object.fromEntries(Object.entries(state).map(([i, held]) => [i, parts(held)]));
}

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const rows = JSON.parse(line);
    const answer = rows ? rows.map(({ steps, state }) => row(steps, floats(state))) : numbers(model.initialState());
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  });
