/* Makes calls, a line of JSON each, or tells the first state where a line is null, with the engine, the graph and the
   runtime of a folder: what an export is verified by. Tensors are [type, sizes, bytes in base64 or texts]. */
const { readFileSync } = require("fs");
const { pathToFileURL } = require("url");
const folder = process.argv[2];
const ort = require(`${folder}/ort.wasm.min.js`);
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = pathToFileURL(`${folder}/`).href;
require(`${folder}/graph.js`);
const { GraphModel, TYPES } = require(`${folder}/engine.js`).Reprise;
const { MODEL } = require(`${folder}/model.js`);

const each = (held, change) => Object.fromEntries(Object.entries(held).map(([name, one]) => [name, change(one)]));

function packed({ type, dims, data }) {
  const whole = type === "string" ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
  return [type, dims, whole];
}

function unpacked([type, dims, data]) {
  if (type === "string") return new ort.Tensor(type, data, dims);
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  return new ort.Tensor(type, new TYPES[type][1](bytes.buffer), dims);
}

async function answer(model, asked) {
  if (!asked) return each(model.initialState(), packed);
  const found = await model.call(each(asked.inputs, unpacked), each(asked.state, unpacked));
  return { outputs: each(found.outputs, packed), state: each(found.state, packed) };
}

(async () => {
  const model = await GraphModel.load(MODEL, readFileSync(`${folder}/model.onnx`), ort);
  for await (const line of require("readline").createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(model, JSON.parse(line)))}\n`);
  }
})();
