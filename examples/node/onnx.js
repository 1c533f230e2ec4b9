/* Text from the ONNX file of `reprise export MODEL model.onnx`, in Node, the most probable symbol each time.
 *
 *     npm install onnxruntime-node        or onnxruntime-web
 *     node examples/node/onnx.js model.onnx "abc…" "The " 400        symbols in the order of their ids, prompt, length
 */
"use strict";

const ort = (() => {
  try {
    return require("onnxruntime-node");
  } catch {
    return require("onnxruntime-web");
  }
})();
const { readFileSync } = require("fs");

const [file, symbols, prompt, length] = process.argv.slice(2);
const [BEFORE, AFTER] = ["state_in.", "state_out."];

async function main() {
  const session = await ort.InferenceSession.create(readFileSync(file));
  const ids = Array.from(symbols);
  const input = session.inputNames.find((name) => !name.startsWith(BEFORE));
  const scores = session.outputNames.find((name) => !name.startsWith(AFTER));
  const sizes = Object.fromEntries(session.inputMetadata.map(({ name, shape }) => [name, shape.map((n) => (typeof n === "number" ? n : 1))]));

  /* Every state starts from zeros; batch and time are 1. */
  let state = Object.fromEntries(
    session.inputNames.filter((name) => name.startsWith(BEFORE)).map((name) => {
      const count = sizes[name].reduce((a, b) => a * b, 1);
      return [name, new ort.Tensor("float32", new Float32Array(count), sizes[name])];
    }),
  );

  /* Reads one symbol; gives the id of the one that is most probable after it. */
  async function read(id) {
    const outputs = await session.run({ [input]: new ort.Tensor("int32", Int32Array.of(id), sizes[input]), ...state });
    state = Object.fromEntries(Object.keys(state).map((name) => [name, outputs[AFTER + name.slice(BEFORE.length)]]));
    const found = outputs[scores].data;
    return found.indexOf(Math.max(...found));
  }

  process.stdout.write(prompt);
  let next = 0;
  for (const symbol of prompt) next = await read(ids.indexOf(symbol));
  for (let left = Number(length); left > 0; left--) {
    process.stdout.write(ids[next]);
    next = await read(next);
  }
}

main();
