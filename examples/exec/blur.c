/* The mean of each cell and its neighbours in a row: parfork exec --in a.npy --out soft.npy -n 4 --split tiles=64x64 -- ./blur
 * Built with: parfork exec --client c > parfork.h && cc -O2 -o blur blur.c */
#include "parfork.h"

int main(void) {
    parfork_worker w;
    if (parfork_join(&w) != 0) return parfork_complain(&w);
    const parfork_array *a = parfork_find(&w, "a", "f64"), *soft = parfork_find(&w, "soft", "f64");
    if (!a || !soft) return parfork_complain(&w);
    parfork_slice s;
    size_t width = soft->shape[1];
    while (parfork_next(&w, &s))
        for (size_t i = s.start[0]; i < s.end[0]; i++) {
            const char *row = (const char *)a->data + i * a->strides[0];
            double *out = (double *)((char *)soft->data + i * soft->strides[0]);
            for (size_t j = s.start[1]; j < s.end[1]; j++) {
                double sum = 0;
                size_t first = j > 0 ? j - 1 : 0, last = j + 1 < width ? j + 1 : j;
                for (size_t k = first; k <= last; k++) sum += *(const double *)(row + k * a->strides[1]);
                out[j] = sum / (double)(last - first + 1);
            }
        }
    return parfork_leave(&w);
}
