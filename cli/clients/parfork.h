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
    size_t axes, axis[2], start[2], end[2];
} parfork_slice;

/* This program as a worker. Its fields are to be read only. */
typedef struct {
    size_t rank, size; /* which worker it is, from 0, and of how many */
    size_t arrays;
    parfork_array array[PARFORK_ARRAYS];
    size_t axes, axis[2];
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
    const char *slices = parfork__member(json, "slices"), *entry = parfork__member(json, "arrays");
    const char *at_rank = parfork__member(json, "rank"), *at_size = parfork__member(json, "size");
    if (!parfork__text(parfork__member(json, "schema"), schema, sizeof schema) || strcmp(schema, PARFORK_SCHEMA) != 0)
        return parfork__wrong(w, "the manifest is of a version that this parfork.h does not know; get it anew with parfork exec --client c", "");
    if (!parfork__text(parfork__member(json, "protocol"), protocol, sizeof protocol) || !parfork__number(&at_rank, &w->rank) || !parfork__number(&at_size, &w->size) ||
        !parfork__numbers(parfork__member(slices, "axes"), w->axis, 2, &w->axes) || !entry || *entry != '[')
        return parfork__wrong(w, "the manifest lacks what every manifest has", "");
    w->stays = strcmp(protocol, "lines/1") == 0;
    for (entry = parfork__space(entry + 1); entry && *entry == '{'; entry = parfork__space(entry)) {
        if (w->arrays == PARFORK_ARRAYS) return parfork__wrong(w, "the job has more arrays than parfork.h knows", "");
        if (parfork__attach(w, entry) != 0) return -1;
        if (!(entry = parfork__skip(entry))) break;
        if (*entry == ',') entry++;
    }
    return 0;
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

/* Says that the last slice is done, and waits for the next: 1 if there is one, 0 if there are no more (or `w->error` says why). */
static inline int parfork_next(parfork_worker *w, parfork_slice *s) {
    ptrdiff_t length;
    if (!w->stays) {
        const char *start = getenv("PARFORK_START"), *end = getenv("PARFORK_END");
        const char *start1 = getenv("PARFORK_START1"), *end1 = getenv("PARFORK_END1");
        char text[128];
        if (w->turns++ || !start || !end) return 0;
        snprintf(text, sizeof text, " %s %s%s%s%s%s", start, end, start1 && end1 ? " " : "", start1 && end1 ? start1 : "", start1 && end1 ? " " : "", start1 && end1 ? end1 : "");
        return parfork__bounds(w, text, s);
    }
    if (w->turns++) {
        char text[128];
        int wrote = w->axes == 2 ? snprintf(text, sizeof text, "done %zu %zu %zu %zu\n", w->given.start[0], w->given.end[0], w->given.start[1], w->given.end[1])
                                 : snprintf(text, sizeof text, "done %zu %zu\n", w->given.start[0], w->given.end[0]);
        if (w->owes && parfork__say(w, text, (size_t)wrote) != 0) return 0;
        w->owes = 0;
    }
    length = parfork__hear(w);
    if (length < 0) {
        w->owes = 0;
        return 0;
    }
    w->line[length] = 0;
    w->owes = 1;
    if (strncmp(w->line, "slice", 5) != 0 || !parfork__bounds(w, w->line + 5, &w->given)) {
        snprintf(w->error, sizeof w->error, "the order \"%.80s\" where `slice START END` was expected", w->line);
        return 0;
    }
    w->kept -= (size_t)length + 1;
    memmove(w->line, w->line + length + 1, w->kept);
    *s = w->given;
    return 1;
}

/* Unmaps the arrays; the status to leave with. */
static inline int parfork_leave(parfork_worker *w) {
    size_t i;
    for (i = 0; i < w->arrays; i++)
        if (w->array[i].data) munmap((char *)w->array[i].data - w->array[i].skip, w->array[i].skip + w->array[i].bytes), w->array[i].data = NULL;
    return w->error[0] ? parfork_complain(w) : 0;
}

#endif
