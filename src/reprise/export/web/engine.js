"use strict";

/* The layers of a recurrent model, one step at a time, in 32-bit floats: state in, state out, nothing remembered. */

(function (root) {
  const GATES = { LSTM: 4, GRU: 3, RNN: 1 };

  const FUNCTIONS = {
    Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    Tanh: Math.tanh,
    Relu: (x) => (x < 0 ? 0 : x),
  };

  /* The rows of kernel · x + bias from the row `first` on. */
  function affine(y, kernel, bias, x, first = 0, count = y.length) {
    const columns = x.length;
    for (let i = first; i < first + count; i++) {
      let sum = bias ? bias[i] : 0;
      for (let k = 0, at = i * columns; k < columns; k++, at++) sum += kernel[at] * x[k];
      y[i] = sum;
    }
    return y;
  }

  function softmax(x, logarithms) {
    const largest = x.reduce((a, b) => Math.max(a, b), -Infinity);
    const sum = x.reduce((total, one) => total + Math.exp(one - largest), 0);
    return x.map(logarithms ? (one) => one - largest - Math.log(sum) : (one) => Math.exp(one - largest) / sum);
  }

  /* Gates in the order i, o, f, c. */
  function lstm(layer, x, { h, c }) {
    const units = h.length;
    const [gate, candidate, output] = layer.activations.map((name) => FUNCTIONS[name]);
    const a = affine(new Float32Array(4 * units), layer.kernel, layer.bias, x);
    const b = affine(new Float32Array(4 * units), layer.recurrent, layer.recurrent_bias, h);
    const next = { h: new Float32Array(units), c: new Float32Array(units) };
    for (let k = 0; k < units; k++) {
      const [i, o, f, n] = [0, 1, 2, 3].map((g) => a[g * units + k] + b[g * units + k]);
      next.c[k] = gate(f) * c[k] + gate(i) * candidate(n);
      next.h[k] = gate(o) * output(next.c[k]);
    }
    return next;
  }

  /* Gates in the order z, r, c; the reset gate is applied after the recurrent product, or before it. */
  function gru(layer, x, { h }) {
    const units = h.length;
    const [gate, candidate] = layer.activations.map((name) => FUNCTIONS[name]);
    const a = affine(new Float32Array(3 * units), layer.kernel, layer.bias, x);
    const b = affine(new Float32Array(3 * units), layer.recurrent, layer.recurrent_bias, h);
    const reset = h.map((_, k) => gate(a[units + k] + b[units + k]));
    if (!layer.reset_after) {
      affine(b, layer.recurrent, layer.recurrent_bias, h.map((one, k) => one * reset[k]), 2 * units, units);
    }
    return {
      h: h.map((before, k) => {
        const z = gate(a[k] + b[k]);
        const n = candidate(a[2 * units + k] + (layer.reset_after ? reset[k] : 1) * b[2 * units + k]);
        return z * before + (1 - z) * n;
      }),
    };
  }

  function rnn(layer, x, { h }) {
    const a = affine(new Float32Array(h.length), layer.kernel, layer.bias, x);
    const b = affine(new Float32Array(h.length), layer.recurrent, layer.recurrent_bias, h);
    return { h: h.map((_, k) => FUNCTIONS[layer.activations[0]](a[k] + b[k])) };
  }

  const RECURRENT = { LSTM: lstm, GRU: gru, RNN: rnn };

  /* What the first layer makes of an id, or of a row of numbers. */
  function entered(layer, x) {
    if (layer.type === "features") return Float32Array.from(x);
    const row = new Float32Array(layer.width);
    if (layer.type === "one-hot") {
      if (x >= 0 && x < layer.width) row[x] = 1;
      return row;
    }
    if (x < 0 || (x + 1) * layer.width > layer.table.length) throw new RangeError(`id ${x} has no row in the table`);
    return layer.table.subarray(x * layer.width, (x + 1) * layer.width);
  }

  class Model {
    /* `facts` as in model.js; the weights are the bytes of 32-bit floats, one array after the other. */
    constructor(facts, bytes) {
      const numbers = new Float32Array(bytes);
      this.facts = facts;
      this.layers = facts.layers.map((layer) => {
        const arrays = Object.entries(layer.arrays).map(([name, [from, to]]) => [name, numbers.subarray(from, to)]);
        return { ...layer, ...Object.fromEntries(arrays) };
      });
      this.chunk = 1;
      this.width = this.layers[0].type === "features" ? this.layers[0].width : 1;
      this.states = this.layers.flatMap((layer, i) =>
        (layer.states || []).map((part) => ({
          title: `${layer.title}, ${part === "h" ? "hidden state h" : "cell state c"}`,
          size: layer.width,
          of: (state) => state[i][part],
        })),
      );
    }

    /* What a sequence starts from: for each recurrent layer, by its number, { h } or { h, c }. */
    initialState() {
      const state = {};
      this.layers.forEach((layer, i) => {
        if (!(layer.kind in GATES)) return;
        const parts = layer.states.map((name) => [name, layer[`first_${name}`] || new Float32Array(layer.width)]);
        state[i] = Object.fromEntries(parts);
      });
      return state;
    }

    /* One step: the outputs by name and the next state, of an id or a row of numbers and a state. */
    step(state, given) {
      const x = this.layers[0].type !== "features" && Array.isArray(given) ? given[0] : given;
      const made = [];
      const after = {};
      this.layers.forEach((layer, i) => {
        const source = made[layer.source];
        if (i === 0) made.push(entered(layer, x));
        else if (layer.type === "dense") made.push(affine(new Float32Array(layer.width), layer.kernel, layer.bias, source));
        else if (layer.type === "recurrent") {
          after[i] = RECURRENT[layer.kind](layer, source, state[i]);
          made.push(after[i].h);
        } else if (layer.name.endsWith("Softmax")) made.push(softmax(source, layer.name === "LogSoftmax"));
        else made.push(source.map(FUNCTIONS[layer.name]));
      });
      const outputs = Object.entries(this.facts.outputs).map(([name, at]) => [name, made[at]]);
      return { outputs: Object.fromEntries(outputs), state: after };
    }
  }

  /* Endless uniform numbers in [0, 1): the upper 53 bits of Philox 4x64-10 with the key (seed, 0), as NumPy has it. */
  function* uniforms(seed) {
    const mask = (1n << 64n) - 1n;
    for (let counter = 1n; ; counter++) {
      let [a, b, c, d] = [counter, 0n, 0n, 0n];
      let [k, l] = [BigInt(seed) & mask, 0n];
      for (let round = 0; round < 10; round++) {
        const [p, q] = [0xd2e7470ee14c6c93n * a, 0xca5a826395121157n * c];
        [a, b, c, d] = [(q >> 64n) ^ b ^ k, q & mask, (p >> 64n) ^ d ^ l, p & mask];
        [k, l] = [(k + 0x9e3779b97f4a7c15n) & mask, (l + 0xbb67ae8584caa73bn) & mask];
      }
      for (const one of [a, b, c, d]) yield Number(one >> 11n) * 2 ** -53;
    }
  }

  /* An id drawn from scores by a uniform number; at temperature 0, the most probable. */
  function draw(scores, areProbabilities, temperature, uniform) {
    const logits = areProbabilities ? Array.from(scores, Math.log) : Array.from(scores);
    const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    if (!(temperature > 0)) return logits.indexOf(largest);
    let sum = 0;
    const weights = logits.map((one) => Math.exp((one - largest) / temperature));
    const cumulative = weights.map((one) => (sum += one));
    const id = cumulative.filter((one) => one <= uniform * sum).length;
    return id < weights.length ? id : weights.findLastIndex((one) => one > 0);
  }

  /* Text as ids, and ids as text. */
  class Vocabulary {
    constructor({ kind, symbols }) {
      this.kind = kind;
      this.symbols = symbols;
      this.ids = new Map(symbols.map((symbol, id) => [symbol, id]));
    }

    encode(text) {
      const unknown = this.kind === "words" ? this.ids.get("<unk>") : undefined;
      const ids = this.cut(text).map((symbol) => this.ids.get(symbol) ?? unknown);
      const at = ids.indexOf(undefined);
      if (at >= 0) throw new RangeError(`the model does not know ${JSON.stringify(this.cut(text)[at])}`);
      return ids;
    }

    cut(text) {
      if (this.kind === "words") return text.split(/\s+/).filter((word) => word);
      if (this.kind === "bytes") return Array.from(new TextEncoder().encode(text), (b) => String.fromCharCode(b));
      return Array.from(text);
    }

    /* A function from an id to the text that it adds. */
    writer(afterText) {
      if (this.kind === "bytes") {
        const decoder = new TextDecoder();
        return (id) => decoder.decode(Uint8Array.of(this.symbols[id].charCodeAt(0)), { stream: true });
      }
      let between = this.kind === "words" && afterText ? " " : "";
      return (id) => {
        const text = between + this.symbols[id];
        between = this.kind === "words" ? " " : "";
        return text;
      };
    }

    /* What is read where there is no prompt. */
    start() {
      return ["\n", " "].map((symbol) => this.ids.get(symbol)).find((id) => id !== undefined) ?? 0;
    }
  }

  const load = async (facts) => new Model(facts, Uint8Array.from(atob(facts.weights), (c) => c.charCodeAt(0)).buffer);

  root.Reprise = { Model, Vocabulary, draw, uniforms, load };
})(typeof module === "object" ? module.exports : window);
