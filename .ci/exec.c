/* Twice each cell, with parfork.h: any order of memory, any split of two axes; complains when it is told to. */
#include "parfork.h"

int main(int count, char **words) {
    parfork_worker w;
    if (parfork_join(&w) != 0) return parfork_complain(&w);
    const parfork_array *a = parfork_find(&w, "a", "f64"), *c = parfork_find(&w, "c", "f64");
    if (!a || !c || a->ndim != 2) return parfork_complain(&w);
    parfork_slice s;
    printf("worker %zu of %zu\n", w.rank, w.size);
    while (parfork_next(&w, &s)) {
        size_t start[2] = {0, 0}, end[2] = {a->shape[0], a->shape[1]};
        if (count > 1) parfork_fail(&w, words[1]);
        for (size_t axis = 0; axis < s.axes; axis++) start[s.axis[axis]] = s.start[axis], end[s.axis[axis]] = s.end[axis];
        for (size_t i = start[0]; i < end[0]; i++)
            for (size_t j = start[1]; j < end[1]; j++)
                *(double *)((char *)c->data + i * c->strides[0] + j * c->strides[1]) =
                    2 * *(const double *)((const char *)a->data + i * a->strides[0] + j * a->strides[1]);
    }
    return parfork_leave(&w);
}
