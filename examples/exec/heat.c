/* A plate whose ends are kept hot: cc -O2 -o heat heat.c (with parfork.h beside it), then
 * parfork exec --planes plate=hot.npy --out plate=after.npy --steps 1000 -n 4 -- ./heat */
#include "parfork.h"

int main(void) {
    parfork_worker w;
    parfork_step s;
    if (parfork_join(&w) != 0) return parfork_complain(&w);
    while (parfork_next_step(&w, &s)) {
        const parfork_cells *from = &s.from[0], *to = &s.to[0];
        if (strcmp(w.plane[0].type, "f64") != 0 || to->ndim != 2) {
            parfork_fail(&w, "heat works on rows and columns of f64");
            return 1;
        }
        for (size_t i = 0; i < to->shape[0]; i++)
            for (size_t j = 0; j < to->shape[1]; j++) {
                const char *above = (const char *)from->data + i * from->strides[0] + (j + 1) * from->strides[1];
                const char *left = above + from->strides[0] - from->strides[1];
                double sum = *(const double *)above + *(const double *)(above + 2 * from->strides[0]);
                sum += *(const double *)left;
                sum += *(const double *)(left + 2 * from->strides[1]);
                *(double *)((char *)to->data + i * to->strides[0] + j * to->strides[1]) = 0.25 * sum;
            }
    }
    return parfork_leave(&w);
}
