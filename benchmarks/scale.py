"""How the time to restore grows with a file: unrolled graphs up to 100,000 nodes, frozen files up to 400 MB.

    python benchmarks/scale.py [--steps 100 400 1600 3000] [--megabytes 50 100 200 400] [--save FILE]

Each file is written by TensorFlow (the `tensorflow` extra) and restored in a process without it. Memory is what that
process keeps for itself after the first step, beyond what the imports took: pages of the file, which the system can
drop and read again, do not count. (Linux tells it; elsewhere it is 0.)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WRITE = """
import sys
import numpy as np
import tensorflow as tf
tf1 = tf.compat.v1
kind, size, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tf1.disable_eager_execution()
D = H = 32
T, V = (size, 65) if kind == "steps" else (4, size * 2**20 // 4 // (D + H))
rng = np.random.default_rng(0)
def weight(name, *shape):
    return tf1.get_variable(name, shape, initializer=tf1.random_uniform_initializer(-0.1, 0.1))
table, kernel, bias = weight("table", V, D), weight("kernel", D + H, 4 * H), weight("bias", 4 * H)
head = weight("head", H, V)
ids = tf1.placeholder(tf.int32, [1, T])
c, h = tf.zeros([1, H]), tf.zeros([1, H])
rows = tf1.unstack(tf1.nn.embedding_lookup(table, ids), axis=1)
outputs = []
for x in rows:
    i, j, f, o = tf1.split(tf1.nn.bias_add(tf1.matmul(tf1.concat([x, h], 1), kernel), bias), 4, 1)
    c = c * tf1.sigmoid(f + 1.0) + tf1.sigmoid(i) * tf1.tanh(j)
    h = tf1.tanh(c) * tf1.sigmoid(o)
    outputs.append(h)
logits = tf1.matmul(tf1.reshape(tf1.concat(outputs, 1), [-1, H]), head)
tf1.nn.softmax(logits, name="probabilities")
with tf1.Session() as session:
    session.run(tf1.global_variables_initializer())
    if kind == "steps":
        tf1.train.Saver().save(session, path)
    else:
        frozen = tf1.graph_util.convert_variables_to_constants(session, session.graph_def, ["probabilities"])
        open(path, "wb").write(frozen.SerializeToString())
    print(len(session.graph_def.node))
"""

READ = """
import json, sys, time
from pathlib import Path
def kept():
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024
begin = time.perf_counter()
import numpy as np
import reprise
import reprise.restore
from reprise import formats
from reprise.interface import discover
imported, before = time.perf_counter(), kept()
stored = formats.read(sys.argv[1])
read = time.perf_counter()
discover(stored.graph)
found = time.perf_counter()
model = reprise.restore(sys.argv[1])
model.step(np.zeros([1], "int32"))
seconds = {"read": read - imported, "analyse": found - read, "restore": time.perf_counter() - found}
print(json.dumps({**seconds, "kept": kept() - before}))
"""


def measured(kind: str, size: int) -> dict[str, float]:
    """Seconds and memory for one file; a process each, so that neither sees the other's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("model.ckpt" if kind == "steps" else "frozen.pb")
        written = subprocess.run(
            [sys.executable, "-c", WRITE, kind, str(size), str(path)], capture_output=True, text=True, check=True
        )
        nodes = int(written.stdout.split()[-1])
        run = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
        return {"size": size, "nodes": nodes, **json.loads(run.stdout)}


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="*", default=[100, 400, 1600, 5000])
    parser.add_argument("--megabytes", type=int, nargs="*", default=[50, 100, 200, 400])
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    rows = []
    for kind, sizes in (("steps", options.steps), ("megabytes", options.megabytes)):
        print(
            f"{kind:>10} {'nodes':>8} {'read':>8} {'analyse':>8} {'restore and first step':>23} {'memory':>9}"
            "   per 1000 nodes"
        )
        for size in sizes:
            began = time.perf_counter()
            row = {"kind": kind, **measured(kind, size)}
            rows.append(row)
            each = 1000 * row["restore"] / row["nodes"]
            print(
                f"{size:10} {row['nodes']:8} {row['read']:7.2f}s {row['analyse']:7.2f}s "
                f"{row['restore']:22.2f}s {row['kept']:5.0f} MiB   {each:.3f} s"
                f"   (with writing {time.perf_counter() - began:.0f} s)",
                flush=True,
            )
    print(f"greatest memory of a child: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MiB")
    if options.save:
        options.save.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
