/* A worker of `parfork exec`, written in C99 or C++. One header, which needs nothing but POSIX:
 *
 *     #include "parfork.h"
 *
 *     int main(void) {
 *         parfork_worker w;
 *         if (parfork_join(&w) != 0) return parfork_complain(&w);
 *         const parfork_array *a = parfork_find(&w, "a", "f64"), *c = parfork_find(&w, "c", "f64");
 *         if (!a || !c) return parfork_complain(&w);
 *         parfork_slice s;
 *         while (parfork_next(&w, &s))
 *             for (size_t i = s.start[0]; i < s.end[0]; i++)
 *                 ((double *)c->data)[i] = 2 * ((const double *)a->data)[i];
 *         return parfork_leave(&w);
 *     }
 *
 *     $ parfork exec --in a.npy --out c.npy -n 4 -- ./double
 *
 * or, for programs that do steps, each of which reads what the one before has left:
 *
 *     parfork_step s;
 *     while (parfork_next_step(&w, &s)) {
 *         double *to = (double *)s.to[0].data;
 *         const double *from = (const double *)s.from[0].data; // which begins a margin before it
 *         for (size_t i = 0; i < s.to[0].shape[0]; i++) to[i] = (from[i] + from[i + 2]) / 2;
 *     }
 *
 *     $ parfork exec --planes rod=hot.npy --out rod=after.npy --steps 100 -n 4 -- ./heat
 *
 * The arrays are shared memory, nothing is copied. What is printed goes to standard error, for standard output belongs to the
 * protocol. docs/protocol.md of parfork has what happens beneath. */
#ifndef PARFORK_H
#define PARFORK_H

#if !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE) && !defined(_DEFAULT_SOURCE)
#define _POSIX_C_SOURCE 200809L /* include this header first, or compile with -D_GNU_SOURCE */
#endif

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARFORK_SCHEMA "parfork-manifest/2"
#define PARFORK_ARRAYS 16 /* arrays of one job */
#define PARFORK_AXES 16   /* axes of one array */
#define PARFORK_CUTS 4    /* axes that are cut */
#define PARFORK_PLANES 8  /* arrays that steps are done on */
#define PARFORK_LINE 4096 /* the longest line, its newline included */

/* One array. Element [i][j] is `strides[0] * i + strides[1] * j` bytes behind `data`. */
typedef struct {
    char name[64];
    char type[8]; /* bool, u8 to u64, i8 to i64, f16, f32, f64, c64, c128 */
    int output;   /* whether it may be written; a write to another ends this program */
    size_t itemsize, ndim, shape[PARFORK_AXES], strides[PARFORK_AXES], bytes;
    void *data;
    size_t skip; /* bytes mapped before data */
} parfork_array;

/* The cells to work on: from start to before end of each axis that is cut, in the order of axes. */
typedef struct {
    size_t axes, axis[PARFORK_CUTS], start[PARFORK_CUTS], end[PARFORK_CUTS];
} parfork_slice;

/* Some of the cells of an array that steps are done on. Element [i][j] is `strides[0] * i + strides[1] * j` bytes behind `data`. */
typedef struct {
    size_t ndim, shape[PARFORK_AXES], strides[PARFORK_AXES];
    void *data;
} parfork_cells;

/* An array that steps are done on. It is there twice, with what is beyond its edges: in an even step the first is read. */
typedef struct {
    char name[64], type[8];
    size_t itemsize, ndim, shape[PARFORK_AXES], strides[PARFORK_AXES], bytes;
    size_t margin[PARFORK_AXES], padding[PARFORK_AXES];
    void *to_read[2], *to_write[2];
} parfork_planes;

/* One step of one slice: of each of the planes, in their order, the slice and its margin as the step before left them, to be read and not
 * written, and the slice to write, all of it. Cell [i][j] of `to` is [i + margin[0]][j + margin[1]] of `from`. */
typedef struct {
    size_t number; /* from 0 */
    parfork_slice slice;
    parfork_cells from[PARFORK_PLANES], to[PARFORK_PLANES];
} parfork_step;

/* This program as a worker. Its fields are to be read only. */
typedef struct {
    size_t rank, size; /* which worker it is, from 0, and of how many */
    size_t arrays;
    parfork_array array[PARFORK_ARRAYS];
    size_t planes; /* of a program that does steps */
    parfork_planes plane[PARFORK_PLANES];
    size_t axes, axis[PARFORK_CUTS];
    char error[512]; /* what went wrong, if something did */
    int stays, owes, orders, answers, turns;
    parfork_slice given;
    size_t kept;
    char line[PARFORK_LINE];
} parfork_worker;

/* What follows up to `parfork_join` reads the manifest, which is JSON that parfork wrote. */

static inline const char *parfork__space(const char *at) {
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') at++;
    return at;
}

/* Behind the value that begins at `at`; NULL if it does not end. */
static inline const char *parfork__skip(const char *at) {
    size_t depth = 0;
    at = parfork__space(at);
    do {
        if (*at == '"') {
            for (at++; *at != '"'; at++) {
                if (*at == '\\' && at[1]) at++;
                if (!*at) return NULL;
            }
            at++;
        } else if (*at == '{' || *at == '[') {
            depth++, at++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0) return NULL;
            depth--, at++;
        } else if (*at == ',' || *at == ':') {
            at++;
        } else {
            size_t length = strcspn(at, ",:]}\" \n\t\r");
            if (length == 0) return NULL;
            at += length;
        }
        at = parfork__space(at);
    } while (depth > 0);
    return at;
}

/* The value of a member of the object at `at`; NULL if there is none. */
static inline const char *parfork__member(const char *at, const char *name) {
    size_t length = strlen(name);
    if (!at || *(at = parfork__space(at)) != '{') return NULL;
    at = parfork__space(at + 1);
    while (at && *at == '"') {
        int found = strncmp(at + 1, name, length) == 0 && at[1 + length] == '"';
        at = parfork__skip(at);
        if (!at || *at != ':') return NULL;
        at = parfork__space(at + 1);
        if (found) return at;
        at = parfork__skip(at);
        if (at && *at == ',') at = parfork__space(at + 1);
    }
    return NULL;
}

/* Copies the text at `at`; whether it is one and there is room. Letters that JSON escapes are taken as they stand, but for
 * quotation marks and backslashes. */
static inline int parfork__text(const char *at, char *into, size_t room) {
    size_t length = 0;
    if (!at || *at++ != '"') return 0;
    for (; *at != '"'; at++) {
        if (*at == '\\' && (at[1] == '"' || at[1] == '\\')) at++;
        if (!*at || length + 1 >= room) return 0;
        into[length++] = *at;
    }
    into[length] = 0;
    return 1;
}

/* Reads the whole number at `*at` and goes behind it; whether there is one. */
static inline int parfork__number(const char **at, size_t *into) {
    char *end;
    unsigned long long number;
    if (!*at || **at < '0' || **at > '9') return 0;
    errno = 0;
    number = strtoull(*at, &end, 10);
    if (errno || number > SIZE_MAX) return 0;
    *into = (size_t)number, *at = end;
    return 1;
}

/* Reads a list of at most `room` whole numbers; whether it is one. */
static inline int parfork__numbers(const char *at, size_t *into, size_t room, size_t *count) {
    *count = 0;
    if (!at || *at++ != '[') return 0;
    at = parfork__space(at);
    while (*at != ']') {
        if (*count == room || !parfork__number(&at, &into[*count])) return 0;
        ++*count;
        at = parfork__space(at);
        if (*at == ',') at = parfork__space(at + 1);
    }
    return 1;
}

static inline int parfork__wrong(parfork_worker *w, const char *what, const char *which) {
    snprintf(w->error, sizeof w->error, "%s%s%s", what, *which ? ": " : "", which);
    return -1;
}

static inline int parfork__attach(parfork_worker *w, const char *entry) {
    parfork_array *array = &w->array[w->arrays];
    char access[8];
    size_t fd, strides, offset;
    const char *at_offset = parfork__member(entry, "offset");
    const char *at_fd = parfork__member(entry, "fd"), *at_size = parfork__member(entry, "itemsize");
    const char *at_bytes = parfork__member(entry, "bytes");
    if (!parfork__text(parfork__member(entry, "name"), array->name, sizeof array->name)) return parfork__wrong(w, "the name of an array is too long", "");
    if (!parfork__text(parfork__member(entry, "access"), access, sizeof access) || !parfork__text(parfork__member(entry, "type"), array->type, sizeof array->type) ||
        !parfork__number(&at_fd, &fd) || !parfork__number(&at_offset, &offset) || !parfork__number(&at_size, &array->itemsize) || !parfork__number(&at_bytes, &array->bytes))
        return parfork__wrong(w, "the manifest does not say what an array is", array->name);
    if (!parfork__numbers(parfork__member(entry, "shape"), array->shape, PARFORK_AXES, &array->ndim) ||
        !parfork__numbers(parfork__member(entry, "strides"), array->strides, PARFORK_AXES, &strides) || strides != array->ndim)
        return parfork__wrong(w, "an array has more axes than parfork.h knows", array->name);
    array->output = strcmp(access, "write") == 0;
    array->data = NULL;
    if (array->bytes > 0) {
        /* A mapping begins with a page; an array in a file need not. */
        array->skip = offset % (size_t)sysconf(_SC_PAGESIZE);
        array->data = mmap(NULL, array->skip + array->bytes, array->output ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, (int)fd, (off_t)(offset - array->skip));
        if (array->data == MAP_FAILED) return parfork__wrong(w, "an array cannot be mapped", strerror(errno));
        array->data = (char *)array->data + array->skip;
    }
    w->arrays++;
    return 0;
}

static inline int parfork__attach_planes(parfork_worker *w, const char *entry) {
    parfork_planes *planes = &w->plane[w->planes];
    const char *at_size = parfork__member(entry, "itemsize"), *at_bytes = parfork__member(entry, "bytes");
    size_t fds[2], i, count[4];
    if (!parfork__text(parfork__member(entry, "name"), planes->name, sizeof planes->name)) return parfork__wrong(w, "the name of an array is too long", "");
    if (!parfork__text(parfork__member(entry, "type"), planes->type, sizeof planes->type) || !parfork__number(&at_size, &planes->itemsize) ||
        !parfork__number(&at_bytes, &planes->bytes) || !parfork__numbers(parfork__member(entry, "fds"), fds, 2, &i) || i != 2)
        return parfork__wrong(w, "the manifest does not say what planes are", planes->name);
    if (!parfork__numbers(parfork__member(entry, "shape"), planes->shape, PARFORK_AXES, &count[0]) || !parfork__numbers(parfork__member(entry, "strides"), planes->strides, PARFORK_AXES, &count[1]) ||
        !parfork__numbers(parfork__member(entry, "margin"), planes->margin, PARFORK_AXES, &count[2]) || !parfork__numbers(parfork__member(entry, "padding"), planes->padding, PARFORK_AXES, &count[3]) ||
        count[0] != count[1] || count[0] != count[2] || count[0] != count[3])
        return parfork__wrong(w, "planes have more axes than parfork.h knows", planes->name);
    planes->ndim = count[0];
    for (i = 0; i < 2 && planes->bytes > 0; i++) {
        planes->to_read[i] = mmap(NULL, planes->bytes, PROT_READ, MAP_SHARED, (int)fds[i], 0);
        planes->to_write[i] = mmap(NULL, planes->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fds[i], 0);
        if (planes->to_read[i] == MAP_FAILED || planes->to_write[i] == MAP_FAILED) return parfork__wrong(w, "planes cannot be mapped", strerror(errno));
    }
    w->planes++;
    return 0;
}

/* Calls that for each object of a list; there is room for `most`. */
static inline int parfork__attach_all(parfork_worker *w, const char *list, int (*attach)(parfork_worker *, const char *), size_t most) {
    size_t count = 0;
    for (list = parfork__space(list + 1); list && *list == '{'; list = parfork__space(list)) {
        if (count++ == most) return parfork__wrong(w, "the job has more arrays than parfork.h knows", "");
        if (attach(w, list) != 0) return -1;
        if (!(list = parfork__skip(list))) break;
        if (*list == ',') list++;
    }
    return 0;
}

/* Reads the whole manifest into memory of its own; NULL if it cannot. */
static inline char *parfork__manifest(int fd) {
    size_t length = 0, room = 4096;
    char *text = (char *)malloc(room), *larger;
    while (text) {
        ssize_t got = pread(fd, text + length, room - length - 1, (off_t)length);
        if (got == 0) {
            text[length] = 0;
            return text;
        }
        if (got < 0 && errno != EINTR) break;
        if (got > 0) length += (size_t)got;
        if (room - length > 1) continue;
        larger = (char *)realloc(text, room * 2);
        if (!larger) break;
        text = larger, room *= 2;
    }
    free(text);
    return NULL;
}

static inline int parfork__read(parfork_worker *w, const char *json) {
    char schema[32], protocol[32];
    const char *slices = parfork__member(json, "slices"), *arrays = parfork__member(json, "arrays"), *planes = parfork__member(json, "planes");
    const char *at_rank = parfork__member(json, "rank"), *at_size = parfork__member(json, "size");
    if (!parfork__text(parfork__member(json, "schema"), schema, sizeof schema) || strcmp(schema, PARFORK_SCHEMA) != 0)
        return parfork__wrong(w, "the manifest is of a version that this parfork.h does not know; get it anew with parfork exec --client c", "");
    if (!parfork__text(parfork__member(json, "protocol"), protocol, sizeof protocol) || !parfork__number(&at_rank, &w->rank) || !parfork__number(&at_size, &w->size) ||
        !parfork__numbers(parfork__member(slices, "axes"), w->axis, PARFORK_CUTS, &w->axes) || !arrays || *arrays != '[')
        return parfork__wrong(w, "the manifest lacks what every manifest has", "");
    w->stays = strcmp(protocol, "each/1") != 0;
    if (parfork__attach_all(w, arrays, parfork__attach, PARFORK_ARRAYS) != 0) return -1;
    return planes && *planes == '[' ? parfork__attach_all(w, planes, parfork__attach_planes, PARFORK_PLANES) : 0;
}

/* Becomes a worker: reads the manifest, maps the arrays, takes over standard input and output. 0, or -1 with `w->error`. */
static inline int parfork_join(parfork_worker *w) {
    const char *number = getenv("PARFORK_MANIFEST_FD");
    char *json;
    int wrong, nothing;
    memset(w, 0, sizeof *w);
    w->orders = w->answers = -1;
    if (!number) return parfork__wrong(w, "this program is a worker and was started by itself; run it with parfork exec", "");
    json = parfork__manifest(atoi(number));
    if (!json) return parfork__wrong(w, "the manifest cannot be read", strerror(errno));
    wrong = parfork__read(w, json);
    free(json);
    if (w->stays) {
        /* The pipes are ours alone: what this program and others that it starts print or read has nothing to do with them. */
        w->orders = fcntl(0, F_DUPFD_CLOEXEC, 3), w->answers = fcntl(1, F_DUPFD_CLOEXEC, 3), w->owes = 1;
        nothing = open("/dev/null", O_RDONLY);
        if (w->orders < 0 || w->answers < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(2, 1) < 0) return parfork__wrong(w, "standard input and output cannot be taken over", strerror(errno));
        if (nothing > 2) close(nothing);
    }
    return wrong;
}

/* The array of that name, if its elements are of that type (any for NULL); else NULL, with `w->error`. */
static inline const parfork_array *parfork_find(parfork_worker *w, const char *name, const char *type) {
    size_t i;
    for (i = 0; i < w->arrays; i++) {
        if (strcmp(w->array[i].name, name) != 0) continue;
        if (!type || strcmp(w->array[i].type, type) == 0) return &w->array[i];
        snprintf(w->error, sizeof w->error, "the array %s is of %s, and this program works with %s", name, w->array[i].type, type);
        return NULL;
    }
    snprintf(w->error, sizeof w->error, "there is no array %s; name one with --in or --out %s=FILE", name, name);
    return NULL;
}

static inline int parfork__say(parfork_worker *w, const char *text, size_t length) {
    while (length > 0) {
        ssize_t wrote = write(w->answers, text, length);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return parfork__wrong(w, "the coordinator does not listen", strerror(errno));
        text += wrote, length -= (size_t)wrote;
    }
    return 0;
}

/* Says that the slice cannot be done, which ends the job with this text. The program then should leave. */
static inline void parfork_fail(parfork_worker *w, const char *why) {
    char line[1024];
    int length = snprintf(line, sizeof line - 1, "failed %s", why), i;
    if (!w->owes || w->answers < 0) return;
    if (length < 0 || length > (int)sizeof line - 2) length = (int)sizeof line - 2;
    for (i = 0; i < length; i++)
        if (line[i] == '\n' || line[i] == '\r') line[i] = ' ';
    line[length] = '\n';
    w->owes = 0;
    parfork__say(w, line, (size_t)length + 1);
}

/* Tells of `w->error`, here and to the coordinator. A status to leave with. */
static inline int parfork_complain(parfork_worker *w) {
    fprintf(stderr, "parfork.h: %s\n", w->error);
    parfork_fail(w, w->error);
    return 1;
}

static inline int parfork__bounds(parfork_worker *w, const char *text, parfork_slice *s) {
    size_t i;
    for (i = 0; i < w->axes; i++) {
        if (*text++ != ' ' || !parfork__number(&text, &s->start[i]) || *text++ != ' ' || !parfork__number(&text, &s->end[i])) return 0;
        s->axis[i] = w->axis[i];
    }
    s->axes = w->axes;
    return *text == 0;
}

/* Reads the next line into `w->line`; its length without the newline, or -1 at the end. */
static inline ptrdiff_t parfork__hear(parfork_worker *w) {
    for (;;) {
        char *end = (char *)memchr(w->line, '\n', w->kept);
        ssize_t got;
        if (end) return end - w->line;
        if (w->kept == sizeof w->line) return parfork__wrong(w, "an order is too long", "");
        got = read(w->orders, w->line + w->kept, sizeof w->line - w->kept);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return -1;
        w->kept += (size_t)got;
    }
}

/* Reads the order of a program that was started for one slice, or for one step of it. */
static inline int parfork__given(parfork_worker *w, size_t *step) {
    char name[32], number[4] = "";
    const char *value = getenv("PARFORK_STEP");
    size_t i;
    for (i = 0; i < w->axes; i++) {
        const char *start, *end;
        if (i > 0) snprintf(number, sizeof number, "%d", (int)i);
        snprintf(name, sizeof name, "PARFORK_START%s", number), start = getenv(name);
        snprintf(name, sizeof name, "PARFORK_END%s", number), end = getenv(name);
        if (!parfork__number(&start, &w->given.start[i]) || !parfork__number(&end, &w->given.end[i])) return 0;
        w->given.axis[i] = w->axis[i];
    }
    w->given.axes = w->axes;
    return !step || parfork__number(&value, step);
}

/* Says that the last slice is done, and waits for the next, or for the next step of one: 1 if there is one, 0 if there are no more (or `w->error` says why). */
static inline int parfork__next(parfork_worker *w, size_t *step) {
    const char *word = step ? "step " : "slice", *at;
    ptrdiff_t length;
    if ((w->planes > 0) != (step != NULL)) {
        parfork__wrong(w, step ? "there are no planes to do steps on; give --planes NAME=START.npy --steps N" : "this program was started to do steps; ask for them with parfork_next_step", "");
        return 0;
    }
    if (!w->stays) return !w->turns++ && parfork__given(w, step);
    if (w->turns++) {
        char text[256];
        size_t i, wrote = (size_t)snprintf(text, sizeof text, "done");
        for (i = 0; i < w->axes; i++) wrote += (size_t)snprintf(text + wrote, sizeof text - wrote, " %zu %zu", w->given.start[i], w->given.end[i]);
        text[wrote++] = '\n';
        if (w->owes && parfork__say(w, text, wrote) != 0) return 0;
        w->owes = 0;
    }
    length = parfork__hear(w);
    if (length < 0) {
        w->owes = 0;
        return 0;
    }
    w->line[length] = 0;
    w->owes = 1;
    at = w->line + 5;
    if (strncmp(w->line, word, 5) != 0 || (step && !parfork__number(&at, step)) || !parfork__bounds(w, at, &w->given)) {
        snprintf(w->error, sizeof w->error, "the order \"%.80s\" where `%s` was expected", w->line, step ? "step K START END" : "slice START END");
        return 0;
    }
    w->kept -= (size_t)length + 1;
    memmove(w->line, w->line + length + 1, w->kept);
    return 1;
}

/* Says that the last slice is done, and waits for the next: 1 if there is one, 0 if there are no more (or `w->error` says why). */
static inline int parfork_next(parfork_worker *w, parfork_slice *s) {
    if (!parfork__next(w, NULL)) return 0;
    *s = w->given;
    return 1;
}

/* Says that the last step of a slice is done, and waits for the next of the same or another slice; as parfork_next. */
static inline int parfork_next_step(parfork_worker *w, parfork_step *s) {
    size_t number, p, a, i;
    if (!parfork__next(w, &number)) return 0;
    s->number = number, s->slice = w->given;
    for (p = 0; p < w->planes; p++) {
        const parfork_planes *planes = &w->plane[p];
        parfork_cells *from = &s->from[p], *to = &s->to[p];
        from->ndim = to->ndim = planes->ndim;
        from->data = planes->to_read[number % 2], to->data = planes->to_write[1 - number % 2];
        for (a = 0; a < planes->ndim; a++) {
            size_t margin = planes->margin[a], start = margin, end = planes->shape[a] - margin;
            for (i = 0; i < w->axes; i++)
                if (w->axis[i] == a) start = w->given.start[i] + planes->padding[a], end = w->given.end[i] + planes->padding[a];
            if (start < margin || end < start || end > planes->shape[a] - margin) {
                parfork__wrong(w, "a slice was ordered that is not of the planes", planes->name);
                return 0;
            }
            from->strides[a] = to->strides[a] = planes->strides[a];
            from->shape[a] = end - start + 2 * margin, to->shape[a] = end - start;
            from->data = (char *)from->data + (start - margin) * planes->strides[a];
            to->data = (char *)to->data + start * planes->strides[a];
        }
    }
    return 1;
}

/* Unmaps the arrays; the status to leave with. */
static inline int parfork_leave(parfork_worker *w) {
    size_t i;
    for (i = 0; i < w->arrays; i++)
        if (w->array[i].data) munmap((char *)w->array[i].data - w->array[i].skip, w->array[i].skip + w->array[i].bytes), w->array[i].data = NULL;
    for (i = 0; i < 2 * w->planes; i++) {
        parfork_planes *planes = &w->plane[i / 2];
        if (planes->bytes > 0) munmap(planes->to_read[i % 2], planes->bytes), munmap(planes->to_write[i % 2], planes->bytes), planes->to_write[i % 2] = NULL;
    }
    return w->error[0] ? parfork_complain(w) : 0;
}

#endif
