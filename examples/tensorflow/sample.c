/* Text from the four files of `reprise export MODEL FOLDER --to saver`, through TensorFlow's C API and nothing else.
 *
 *     TF=$(python -c 'import tensorflow; print(tensorflow.__path__[0])')
 *     cc -std=c99 -O2 -I "$TF/include" -I examples/c examples/tensorflow/sample.c -o sample \
 *         "$TF/libtensorflow_cc.so.2" "$TF/libtensorflow_framework.so.2" -Wl,-rpath,"$TF" -lm
 *     ./sample FOLDER/model.ckpt "abc…" "The " 400 1 0.8     symbols in the order of their ids, prompt, …
 *
 * Inputs are placeholders; a state enters as `state/NAME`, whose default is the model's first state, and leaves as
 * `final_state/NAME`.
 */
#include "uniform.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

enum { MOST = 64 };

static TF_Status *status;

static void check(const char *what)
{
    if (TF_GetCode(status) != TF_OK) {
        fprintf(stderr, "%s: %s\n", what, TF_Message(status));
        exit(1);
    }
}

static void nothing(void *data, size_t length, void *argument)
{
    (void)data, (void)length, (void)argument;
}

/* A number of a protocol buffer, in steps of seven bits. */
static size_t number(const unsigned char **at)
{
    size_t value = 0;
    for (int shift = 0;; shift += 7) {
        value |= (size_t)(**at & 127) << shift;
        if (!(*(*at)++ & 128))
            return value;
    }
}

/* The graph inside a .meta file: field 2 of a MetaGraphDef. */
static TF_Buffer *graph_in(const char *prefix)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.meta", prefix);
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(size);
    if (!data || fread(data, 1, size, file) != size)
        exit(1);
    fclose(file);
    TF_Buffer *found = NULL;
    for (const unsigned char *at = data; at < data + size && !found;) {
        size_t key = number(&at), length = number(&at);
        if (key == (2 << 3 | 2))
            found = TF_NewBufferFromString(at, length);
        at += length;
    }
    free(data);
    return found;
}

/* Restores the variables: `save/Const` names the files, `save/restore_all` reads them. */
static void restore(TF_Session *session, TF_Graph *graph, const char *prefix)
{
    TF_TString name;
    TF_StringInit(&name);
    TF_StringCopy(&name, prefix, strlen(prefix));
    TF_Output where = {TF_GraphOperationByName(graph, "save/Const"), 0};
    TF_Tensor *value = TF_NewTensor(TF_STRING, NULL, 0, &name, sizeof name, nothing, NULL);
    const TF_Operation *all = TF_GraphOperationByName(graph, "save/restore_all");
    TF_SessionRun(session, NULL, &where, &value, 1, NULL, NULL, 0, &all, 1, NULL, status);
    check("restoring");
    TF_DeleteTensor(value);
}

/* An index drawn from logits by a number from 0 to below 1. */
static int drawn(const float *logits, int count, double temperature, double uniform)
{
    double largest = logits[0], sum = 0, passed = 0;
    for (int i = 1; i < count; i++)
        largest = logits[i] > largest ? logits[i] : largest;
    for (int i = 0; i < count; i++)
        sum += exp((logits[i] - largest) / temperature);
    for (int i = 0; i < count; i++)
        if (uniform * sum < (passed += exp((logits[i] - largest) / temperature)))
            return i;
    return count - 1;
}

int main(int count, char **arguments)
{
    if (count != 7) {
        fprintf(stderr, "usage: %s PREFIX SYMBOLS PROMPT COUNT SEED TEMPERATURE\n", arguments[0]);
        return 2;
    }
    const char *symbols = arguments[2], *prompt = arguments[3];
    status = TF_NewStatus();
    TF_Graph *graph = TF_NewGraph();
    TF_ImportGraphDefOptions *options = TF_NewImportGraphDefOptions();
    TF_GraphImportGraphDef(graph, graph_in(arguments[1]), options, status);
    check("importing");
    TF_Session *session = TF_NewSession(graph, TF_NewSessionOptions(), status);
    check("opening");
    restore(session, graph, arguments[1]);

    TF_Output inputs[MOST], outputs[MOST] = {{TF_GraphOperationByName(graph, "output/logits"), 0}};
    int states = 0;
    size_t position = 0;
    for (TF_Operation *one; (one = TF_GraphNextOperation(graph, &position));) {
        const char *name = TF_OperationName(one);
        if (!strcmp(TF_OperationOpType(one), "Placeholder"))
            inputs[0] = (TF_Output){one, 0};
        if (!strncmp(name, "state/", 6) && !strcmp(TF_OperationOpType(one), "PlaceholderWithDefault")) {
            char last[1024];
            snprintf(last, sizeof last, "final_%s", name);
            inputs[++states] = (TF_Output){one, 0};
            outputs[states] = (TF_Output){TF_GraphOperationByName(graph, last), 0};
        }
    }

    TF_Tensor *given[MOST], *found[MOST];
    struct uniform numbers = uniform_of(strtoull(arguments[5], NULL, 10));
    size_t length = strlen(prompt), end = length + (size_t)atol(arguments[4]);
    fputs(prompt, stdout);
    for (size_t t = 0; t < end; t++) {
        int id = t < length ? (int)(strchr(symbols, prompt[t]) - symbols)
                            : drawn(TF_TensorData(found[0]), (int)strlen(symbols), atof(arguments[6]), uniform_next(&numbers));
        if (t >= length)
            putchar(symbols[id]);
        const int64_t one[2] = {1, 1};
        given[0] = TF_AllocateTensor(TF_INT32, one, 2, sizeof(int32_t));
        *(int32_t *)TF_TensorData(given[0]) = id;
        for (int k = 1; t && k <= states; k++)
            given[k] = found[k]; /* what came out goes in again; at first the defaults do */
        TF_SessionRun(session, NULL, inputs, given, t ? 1 + states : 1, outputs, found, 1 + states, NULL, 0, NULL, status);
        check("a step");
        for (int k = 0; k < (t ? 1 + states : 1); k++)
            TF_DeleteTensor(given[k]);
    }
    return 0;
}
