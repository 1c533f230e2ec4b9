/* Text from the folder of `reprise export MODEL FOLDER --to web`, in Node and without any package.
 *
 *     node examples/node/sample.js FOLDER "The " 400 1 0.8        prompt, symbols, seed, temperature
 */
"use strict";

const [folder, prompt, count, seed, temperature] = process.argv.slice(2);
const { resolve } = require("path");
const { Model, Vocabulary, draw, uniforms } = require(resolve(folder, "engine.js")).Reprise;
const { MODEL } = require(resolve(folder, "model.js"));

const model = new Model(MODEL, Uint8Array.from(Buffer.from(MODEL.weights, "base64")).buffer);
const vocabulary = new Vocabulary(MODEL.vocabulary);
const numbers = uniforms(seed);
const write = vocabulary.writer(prompt);

let state = model.initialState();
let scores;
function read(id) {
  const found = model.step(state, id);
  state = found.state;
  scores = found.outputs[MODEL.scores];
}

vocabulary.encode(prompt).forEach(read);
process.stdout.write(prompt);
for (let left = Number(count); left > 0; left--) {
  const id = draw(scores, MODEL.probabilities, Number(temperature), numbers.next().value);
  process.stdout.write(write(id));
  read(id);
}
