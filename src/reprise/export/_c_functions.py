"""The functions that a C file of layers is made of, in the order in which they need each other."""

_WEIGHTS = "const float *kernel, const float *recurrent, const float *bias, const float *recurrent_bias"
_AFFINE = """\
/* y = kernel x + bias */
static void affine(float *y, const float *kernel, const float *bias, const float *x, int rows, int columns)
{
    for (int i = 0; i < rows; i++) {
        float sum = bias[i];
        for (int k = 0; k < columns; k++)
            sum += kernel[(long)i * columns + k] * x[k];
        y[i] = sum;
    }
}
"""
_SIGMOID = """\
static float sigmoid(float x)
{
    return 0.5f * (1.0f + tanhf(0.5f * x));
}
"""
_RELU = """\
static float relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}
"""
_SOFTMAX = """\
static void softmax(float *x, int count)
{
    float largest = x[0], sum = 0.0f;
    for (int i = 1; i < count; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (int i = 0; i < count; i++)
        sum += x[i] = expf(x[i] - largest);
    for (int i = 0; i < count; i++)
        x[i] /= sum;
}
"""
_LOG_SOFTMAX = """\
static void log_softmax(float *x, int count)
{
    float largest = x[0], sum = 0.0f;
    for (int i = 1; i < count; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (int i = 0; i < count; i++)
        sum += expf(x[i] - largest);
    for (int i = 0; i < count; i++)
        x[i] -= largest + logf(sum);
}
"""
_LSTM = f"""\
/* Gates in the order i, o, f, c. */
static void lstm({_WEIGHTS},
    float (*gate)(float), float (*candidate)(float), float (*output)(float),
    const float *x, int inputs, int units, float *h, float *c, float *work)
{{
    float *later = work + 4 * units;
    affine(work, kernel, bias, x, 4 * units, inputs);
    affine(later, recurrent, recurrent_bias, h, 4 * units, units);
    for (int k = 0; k < units; k++) {{
        float i = gate(work[k] + later[k]);
        float o = gate(work[units + k] + later[units + k]);
        float f = gate(work[2 * units + k] + later[2 * units + k]);
        c[k] = f * c[k] + i * candidate(work[3 * units + k] + later[3 * units + k]);
        h[k] = o * output(c[k]);
    }}
}}
"""
_GRU = f"""\
/* Gates in the order z, r, c; the reset gate is applied after the recurrent product, or before it. */
static void gru({_WEIGHTS},
    float (*gate)(float), float (*candidate)(float),
    const float *x, int inputs, int units, int after, float *h, float *work)
{{
    float *z = work, *r = work + units, *c = work + 2 * units, *later = work + 3 * units;
    affine(work, kernel, bias, x, 3 * units, inputs);
    affine(later, recurrent, recurrent_bias, h, (after ? 3 : 2) * units, units);
    for (int k = 0; k < units; k++) {{
        z[k] = gate(z[k] + later[k]);
        r[k] = gate(r[k] + later[units + k]);
    }}
    if (!after) {{
        for (int k = 0; k < units; k++)
            later[k] = r[k] * h[k];
        affine(later + 2 * units, recurrent + 2L * units * units, recurrent_bias + 2 * units, later, units, units);
    }}
    for (int k = 0; k < units; k++) {{
        float new = candidate(c[k] + (after ? r[k] : 1.0f) * later[2 * units + k]);
        h[k] = z[k] * h[k] + (1.0f - z[k]) * new;
    }}
}}
"""
_RNN = f"""\
static void rnn({_WEIGHTS},
    float (*activation)(float),
    const float *x, int inputs, int units, float *h, float *work)
{{
    affine(work, kernel, bias, x, units, inputs);
    affine(work + units, recurrent, recurrent_bias, h, units, units);
    for (int k = 0; k < units; k++)
        h[k] = activation(work[k] + work[units + k]);
}}
"""

#: By the names of layers and activations; tanh is `tanhf` of the library.
FUNCTIONS = {
    "affine": _AFFINE,
    "Sigmoid": _SIGMOID,
    "Relu": _RELU,
    "Softmax": _SOFTMAX,
    "LogSoftmax": _LOG_SOFTMAX,
    "LSTM": _LSTM,
    "GRU": _GRU,
    "RNN": _RNN,
}

SAMPLE = """\
int model_sample(const float *logits, int count, double temperature, double uniform)
{
    int best = 0;
    double sum = 0.0, passed = 0.0;
    for (int i = 1; i < count; i++)
        best = logits[i] > logits[best] ? i : best;
    if (!(temperature > 0.0))
        return best;
    for (int i = 0; i < count; i++)
        sum += exp(((double)logits[i] - logits[best]) / temperature);
    for (int i = 0; i < count; i++) {
        passed += exp(((double)logits[i] - logits[best]) / temperature);
        if (uniform * sum < passed)
            return i;
    }
    return best;
}
"""
