/* Text from the files of `reprise export MODEL FOLDER --to c`.
 *
 *     cc -std=c99 -O2 -I FOLDER examples/c/sample.c FOLDER/model.c -o sample -lm
 *     ./sample "The " 400 1 0.8        prompt, symbols, seed, temperature
 */
#include "model.h"
#include "uniform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SYMBOLS = sizeof model_symbols / sizeof *model_symbols };

/* The id of the symbol that `text` begins with, or -1. */
static long id_of(const char *text)
{
    for (long id = 0; id < SYMBOLS; id++)
        if (*model_symbols[id] && !strncmp(text, model_symbols[id], strlen(model_symbols[id])))
            return id;
    return -1;
}

int main(int count, char **arguments)
{
    if (count != 5) {
        fprintf(stderr, "usage: %s PROMPT SYMBOLS SEED TEMPERATURE\n", arguments[0]);
        return 2;
    }
    struct model_state state;
    struct model_outputs outputs;
    struct uniform numbers = uniform_of(strtoull(arguments[3], NULL, 10));
    double temperature = atof(arguments[4]);
    model_init(&state);
    for (const char *rest = arguments[1]; *rest;) {
        long id = id_of(rest);
        if (id < 0 || model_step(&state, id, &outputs)) {
            fprintf(stderr, "the model does not know '%s'\n", rest);
            return 1;
        }
        rest += strlen(model_symbols[id]);
    }
    fputs(arguments[1], stdout);
    for (long left = atol(arguments[2]); left > 0; left--) {
        long id = model_sample(outputs.logits, SYMBOLS, temperature, uniform_next(&numbers));
        fputs(model_symbols[id], stdout);
        model_step(&state, id, &outputs);
    }
    return 0;
}
