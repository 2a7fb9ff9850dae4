/* What the adapters for callback loops share: a step around a callback, and which
 * callback a trampoline has to call. Not for direct use: see libuv_steps.h,
 * libevent_steps.h and glib_steps.h beside this folder.
 *
 * C and C++. Everything is either static or weak, so that any number of source files
 * may include it and still share one table and one loop for each thread.
 */
#ifndef LOOPSAN_INSTRUMENT_ADAPTERS_INTERNAL_CALLBACK_STEPS_H_
#define LOOPSAN_INSTRUMENT_ADAPTERS_INTERNAL_CALLBACK_STEPS_H_

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "instrument/annotate.h"

/* This place in the source, as a pointer that stays good. */
#define LOOPSAN_PLACE()                                                                       \
  __extension__({                                                                             \
    static const loopsan_source loopsan_place = {__FILE__, __PRETTY_FUNCTION__, __LINE__, 0}; \
    &loopsan_place;                                                                           \
  })

#define LOOPSAN_SHARED __attribute__((weak))
#define LOOPSAN_LOCAL __attribute__((unused)) static inline

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the probe ---------------------------------------------------------------- */

/* 0: not looked for yet, 1: nobody watches, else the probe's table. */
LOOPSAN_SHARED uintptr_t loopsan_adapters_probe;

LOOPSAN_LOCAL const loopsan_annotations* loopsan_find_probe(void) {
  uintptr_t known = __atomic_load_n(&loopsan_adapters_probe, __ATOMIC_ACQUIRE);
  if (known == 0) {
    loopsan_annotations_function function = NULL;
    void* symbol = dlsym(RTLD_DEFAULT, LOOPSAN_ANNOTATIONS_SYMBOL);
    const loopsan_annotations* found = NULL;
    __builtin_memcpy((void*)&function, (void*)&symbol, sizeof function);
    if (function != NULL) found = function();
    known = found != NULL && found->version == LOOPSAN_ANNOTATIONS_VERSION &&
                    found->bytes >= sizeof(loopsan_annotations)
                ? (uintptr_t)found
                : 1;
    __atomic_store_n(&loopsan_adapters_probe, known, __ATOMIC_RELEASE);
  }
  return known == 1 ? NULL : (const loopsan_annotations*)known;
}

/* ---- steps -------------------------------------------------------------------- */

struct loopsan_adapters_thread {
  loopsan_loop loop;
  unsigned depth; /* callbacks that run, each inside the one before */
  int step_open;
};
LOOPSAN_SHARED __thread struct loopsan_adapters_thread loopsan_adapters_thread;

/* A callback that was given to the loop at `place` begins. Inside of another callback it
 * is a part of that one's step; where another library tells the steps, it is left to that.
 * `flags` is LOOPSAN_LOOP_... for a thread's first step. */
LOOPSAN_LOCAL void loopsan_begin_callback(const char* kind, uint32_t flags,
                                          const loopsan_source* place) {
  const loopsan_annotations* probe = loopsan_find_probe();
  struct loopsan_adapters_thread* thread = &loopsan_adapters_thread;
  if (probe == NULL || thread->depth++ != 0) return;
  loopsan_loop* told = probe->this_loop();
  if (told == NULL) {
    thread->loop.kind = kind;
    thread->loop.flags = flags;
    if (!probe->loop_begin(&thread->loop)) return;
  } else if (told != &thread->loop) {
    return;
  }
  probe->step(&thread->loop, NULL, place);
  thread->step_open = 1;
}

LOOPSAN_LOCAL void loopsan_end_callback(void) {
  const loopsan_annotations* probe = loopsan_find_probe();
  struct loopsan_adapters_thread* thread = &loopsan_adapters_thread;
  if (probe == NULL || thread->depth == 0) return;
  --thread->depth;
  if (thread->depth != 0 || !thread->step_open) return;
  probe->idle(&thread->loop);
  thread->step_open = 0;
}

/* ---- callbacks ---------------------------------------------------------------- */

/* Trampolines find here what to call. The key is the object that the loop hands to its
 * callbacks, and which of its callbacks it is. */
typedef void (*loopsan_function)(void);

struct loopsan_callback {
  struct loopsan_callback* next;
  const void* object;
  unsigned which;
  loopsan_function function;
  void* data; /* the adapter's */
  const loopsan_source* place;
};

struct loopsan_callbacks {
  struct loopsan_callback** buckets;
  size_t bucket_count; /* a power of two */
  size_t count;
  int ready;
};
LOOPSAN_SHARED struct loopsan_callbacks loopsan_callbacks;
LOOPSAN_SHARED pthread_mutex_t loopsan_callbacks_mutex = PTHREAD_MUTEX_INITIALIZER;

LOOPSAN_LOCAL void loopsan_lock_callbacks(void) { pthread_mutex_lock(&loopsan_callbacks_mutex); }
LOOPSAN_LOCAL void loopsan_unlock_callbacks(void) {
  pthread_mutex_unlock(&loopsan_callbacks_mutex);
}

LOOPSAN_LOCAL size_t loopsan_hash(const void* object, unsigned which) {
  uint64_t hash = ((uint64_t)(uintptr_t)object + which) * 0x9e3779b97f4a7c15ULL;
  return (size_t)(hash >> 32);
}

/* Makes room for one more. Returns 0 if there is none. REQUIRES: locked. */
LOOPSAN_LOCAL int loopsan_grow_callbacks(void) {
  struct loopsan_callbacks* all = &loopsan_callbacks;
  if (!all->ready) {
    /* A forked child must not find the table locked for ever. */
    pthread_atfork(loopsan_lock_callbacks, loopsan_unlock_callbacks, loopsan_unlock_callbacks);
    all->ready = 1;
  }
  if (all->count < all->bucket_count) return 1;
  size_t bucket_count = all->bucket_count != 0 ? 2 * all->bucket_count : 64;
  struct loopsan_callback** buckets =
      (struct loopsan_callback**)calloc(bucket_count, sizeof *buckets);
  if (buckets == NULL) return all->bucket_count != 0;
  for (size_t i = 0; i < all->bucket_count; ++i) {
    struct loopsan_callback* one = all->buckets[i];
    while (one != NULL) {
      struct loopsan_callback* next = one->next;
      size_t bucket = loopsan_hash(one->object, one->which) & (bucket_count - 1);
      one->next = buckets[bucket];
      buckets[bucket] = one;
      one = next;
    }
  }
  free((void*)all->buckets);
  all->buckets = buckets;
  all->bucket_count = bucket_count;
  return 1;
}

/* Where the entry is linked, or where it would be. REQUIRES: locked, and a bucket. */
LOOPSAN_LOCAL struct loopsan_callback** loopsan_find_callback(const void* object, unsigned which) {
  struct loopsan_callbacks* all = &loopsan_callbacks;
  size_t bucket = loopsan_hash(object, which) & (all->bucket_count - 1);
  struct loopsan_callback** at = &all->buckets[bucket];
  while (*at != NULL && ((*at)->object != object || (*at)->which != which)) at = &(*at)->next;
  return at;
}

/* Returns 0 if nobody watches or there is no memory: then the loop gets the callback
 * itself. One that was there before is replaced. */
LOOPSAN_LOCAL int loopsan_put_callback(const void* object, unsigned which,
                                       loopsan_function function, void* data,
                                       const loopsan_source* place) {
  if (function == NULL || loopsan_find_probe() == NULL) return 0;
  int done = 0;
  loopsan_lock_callbacks();
  if (loopsan_grow_callbacks()) {
    struct loopsan_callback** at = loopsan_find_callback(object, which);
    if (*at == NULL) {
      *at = (struct loopsan_callback*)calloc(1, sizeof **at);
      if (*at != NULL) ++loopsan_callbacks.count;
    }
    if (*at != NULL) {
      (*at)->object = object;
      (*at)->which = which;
      (*at)->function = function;
      (*at)->data = data;
      (*at)->place = place;
      done = 1;
    }
  }
  loopsan_unlock_callbacks();
  return done;
}

/* A copy of the entry; `function` is null if there is none. `take` removes it. */
LOOPSAN_LOCAL struct loopsan_callback loopsan_get_callback(const void* object, unsigned which,
                                                           int take) {
  struct loopsan_callback result = {NULL, NULL, 0, NULL, NULL, NULL};
  loopsan_lock_callbacks();
  if (loopsan_callbacks.bucket_count != 0) {
    struct loopsan_callback** at = loopsan_find_callback(object, which);
    struct loopsan_callback* found = *at;
    if (found != NULL) {
      result = *found;
      if (take) {
        *at = found->next;
        free(found);
        --loopsan_callbacks.count;
      }
    }
  }
  loopsan_unlock_callbacks();
  return result;
}

#ifdef __cplusplus
}
#endif

#endif /* LOOPSAN_INSTRUMENT_ADAPTERS_INTERNAL_CALLBACK_STEPS_H_ */
