"use strict";

/* A model as a graph of ONNX, one call at a time, on onnxruntime-web: state in, state out, nothing remembered. */

(function (root) {
  /* As onnxruntime-web calls them, with the arrays that hold them. */
  const TYPES = {
    float32: ["float32", Float32Array],
    float64: ["float64", Float64Array],
    int8: ["int8", Int8Array],
    int16: ["int16", Int16Array],
    int32: ["int32", Int32Array],
    int64: ["int64", BigInt64Array],
    uint8: ["uint8", Uint8Array],
    uint16: ["uint16", Uint16Array],
    uint32: ["uint32", Uint32Array],
    uint64: ["uint64", BigUint64Array],
    bool: ["bool", Uint8Array],
    string: ["string", Array],
  };

  const count = (dims) => dims.reduce((a, b) => a * b, 1);

  function converted(type, values) {
    const array = TYPES[type][1];
    if (array === Array) return values.map(String);
    return array.from(values, array === BigInt64Array || array === BigUint64Array ? (x) => BigInt(Math.trunc(Number(x))) : Number);
  }

  /* The numbers of the first row of a batch. */
  function firstRow({ data, dims }, axis) {
    if (axis === null || dims.length === 0 || dims[axis] === 1) return Array.from(data, Number);
    const inner = count(dims.slice(axis + 1));
    return Array.from(data, Number).filter((_, k) => Math.floor(k / inner) % dims[axis] === 0);
  }

  class GraphModel {
    /* `facts` as in model.js, `file` the bytes of model.onnx, `ort` onnxruntime-web. */
    static async load(facts, file, ort) {
      return new GraphModel(facts, await ort.InferenceSession.create(file, { executionProviders: ["wasm"] }), ort);
    }

    constructor(facts, session, ort) {
      this.facts = facts;
      this.session = session;
      this.ort = ort;
      this.chunk = facts.chunk; // how many steps a call has; 0 is any number
      this.width = facts.inputs.reduce((sum, input) => sum + (input.kind === "lengths" ? 0 : this.numbers(input)), 0);
      this.states = facts.states.map((state) => ({
        title: state.name,
        size: count(state.dims) / (state.batch === null ? 1 : state.dims[state.batch]),
        of: (held) => firstRow(held[state.name], state.batch),
      }));
    }

    /* How many numbers an input has in one step of one row. */
    numbers({ dims, time, batch }) {
      return count(dims.filter((_, axis) => axis !== time && axis !== batch));
    }

    tensor(type, data, dims) {
      return new this.ort.Tensor(TYPES[type][0], data, dims);
    }

    /* What a sequence starts from, by name of the state. */
    initialState() {
      const first = ({ type, dims, first }) => this.tensor(type, converted(type, first || new Array(count(dims)).fill(0)), dims);
      return Object.fromEntries(this.facts.states.map((state) => [state.name, first(state)]));
    }

    /* Tensors by name of input and of state → those by name of output and of state. */
    async call(inputs, state) {
      const { before, after } = this.facts;
      const given = { ...inputs };
      for (const name of Object.keys(state)) given[before + name] = state[name];
      const needed = this.session.inputNames.map((name) => [name, given[name]]); // what nothing is computed from is left out
      const found = await this.session.run(Object.fromEntries(needed));
      const next = this.facts.states.map(({ name }) => [name, found[after + name]]);
      return { outputs: Object.fromEntries(this.facts.outputs.map(({ name }) => [name, found[name]])), state: Object.fromEntries(next) };
    }

    /* The outputs of the first row by name and the next state, of an id or a line of numbers and a state; several lines
       where a call has several steps. */
    async step(state, x) {
      const lines = this.chunk === 1 ? [x] : x;
      let from = 0;
      const inputs = {};
      for (const input of this.facts.inputs) {
        inputs[input.name] = this.entered(input, lines, from);
        if (input.kind !== "lengths") from += this.numbers(input);
      }
      const found = await this.call(inputs, state);
      const outputs = this.facts.outputs.map(({ name, batch }) => [name, firstRow(found.outputs[name], batch)]);
      return { outputs: Object.fromEntries(outputs), state: found.state };
    }

    /* Lines as one input, the same in every row of its batch. */
    entered(input, lines, from) {
      const dims = input.dims.map((size, axis) => (axis === input.time ? lines.length : size));
      const { type, kind, time, batch } = input;
      const values = new Array(count(dims)).fill(kind === "lengths" ? lines.length : 0);
      if (kind !== "lengths") {
        values.forEach((_, flat) => {
          let [rest, scale, step, place] = [flat, 1, 0, 0];
          for (let axis = dims.length - 1; axis >= 0; axis--) {
            const index = rest % dims[axis];
            rest = Math.floor(rest / dims[axis]);
            if (axis === time) step = index;
            else if (axis !== batch) [place, scale] = [place + index * scale, scale * dims[axis]];
          }
          values[flat] = this.value(kind, lines[step], from + place);
        });
      }
      return this.tensor(type, converted(type, values), dims);
    }

    value(kind, line, place) {
      if (kind === "one-hot") return line === place ? 1 : 0;
      if (kind === "id") return line + this.facts.first;
      return line[place];
    }
  }

  Object.assign(root.Reprise, { GraphModel, TYPES });
  root.Reprise.load = async (facts) => {
    root.ort.env.wasm.numThreads = 1;
    const answer = await fetch("model.onnx");
    return GraphModel.load(facts, new Uint8Array(await answer.arrayBuffer()), root.ort);
  };
})(typeof module === "object" ? require("./engine.js") : window);
