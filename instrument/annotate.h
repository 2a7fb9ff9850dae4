/* How an event loop or a coroutine library tells loopsan what it runs: exact
 * steps, named tasks, who awaits whom, and findings of its own.
 *
 * A C interface without a link dependency: the table of functions is found with
 *
 *   dlsym(RTLD_DEFAULT, LOOPSAN_ANNOTATIONS_SYMBOL)
 *
 * and is absent when the process is not watched; nothing needs to be called then.
 * Look it up once, in a file compiled with -fPIC (a weak reference does not
 * resolve in an executable that is not position independent).
 *
 * The structures below stay the caller's. Their addresses are handed over, and the
 * collector, which is another process, reads them when it wants to know: a task or
 * an await costs the stores into its own fields and nothing else. They must stay
 * readable while they are linked, and unlinked before they are freed; a reader
 * survives any bytes in them.
 *
 * Threads: the functions are called on the thread of the loop that they name;
 * `finding`, `now` and `queue_delay` on any. None throws, allocates, or changes errno.
 *
 * Times are ticks of loopsan_loop::ticks_per_second.
 */
#ifndef LOOPSAN_INSTRUMENT_ANNOTATE_H_
#define LOOPSAN_INSTRUMENT_ANNOTATE_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LOOPSAN_ANNOTATIONS_VERSION 1
#define LOOPSAN_ANNOTATIONS_SYMBOL "loopsan_annotations_v1"

/* A place in the source. The layout of what std::source_location points to in
 * libstdc++, so that one pointer serves for both. Strings end in a 0 and stay. */
typedef struct loopsan_source {
  const char* file;
  const char* function;
  uint32_t line;
  uint32_t column;
} loopsan_source;

struct loopsan_async_root;

/* One suspended or running coroutine. The first three fields have the layout of
 * folly's AsyncStackFrame, so that debugger scripts made for it work.
 *
 *   innermost ---parent---> its awaiter ---parent---> ... ---> the task's outermost (parent null)
 */
typedef struct loopsan_async_frame {
  struct loopsan_async_frame* parent; /* the coroutine that awaits this one */
  void* instruction_pointer;          /* where the parent goes on; may be null */
  struct loopsan_async_root* root;    /* set in the frame that is running, else null */
  const loopsan_source* awaiting_at;  /* the co_await at which it stands; null: not yet at one.
                                       * Not looked at in the frame that is running. */
  const loopsan_source* defined_at;   /* the coroutine itself; may be null */
} loopsan_async_frame;

/* On the stack of whoever resumes coroutines; layout of folly's AsyncStackRoot. */
typedef struct loopsan_async_root {
  loopsan_async_frame* top_frame;       /* the running coroutine */
  struct loopsan_async_root* next_root; /* of this thread, further out */
  void* stack_frame;                    /* frame address of the resuming function */
  void* return_address;
} loopsan_async_root;

enum {
  LOOPSAN_TASK_READY = 0,
  LOOPSAN_TASK_RUNNING = 1,
  LOOPSAN_TASK_WAITING = 2,
  LOOPSAN_TASK_DONE = 3,
};

/* One task of a loop: a chain of coroutines that runs by itself. */
typedef struct loopsan_task {
  struct loopsan_task* next; /* all tasks of the loop; null ends the list */
  struct loopsan_task* previous;
  uint64_t id;                      /* unique in the process, never 0 */
  const char* name;                 /* may be null */
  const loopsan_source* spawned_at; /* may be null */
  uint64_t spawner;                 /* id of the task that spawned it; 0: none */
  loopsan_async_frame* innermost;   /* the coroutine that runs or waits */
  const char* waiting_for;          /* "sleep", "mutex", ...; null unless waiting */
  const void* waiting_object;       /* the mutex, the other loopsan_task; may be null */
  uint64_t since;                   /* when it was spawned */
  uint32_t state;                   /* LOOPSAN_TASK_... */
  uint32_t reserved;
} loopsan_task;

enum {
  /* Steps are told for a part of what the loop runs: what runs while none is open is
   * judged as if nothing were told, by its stacks. Without this flag it is the loop's
   * own work, and nobody is accused of it. */
  LOOPSAN_LOOP_PARTIAL = 1,
  /* For code that runs on threads it does not know: loop_begin returns 0 unless the
   * probe has seen the thread run a loop (wait with epoll) that tells no steps itself.
   * Ask again at a later step. */
  LOOPSAN_LOOP_IF_KNOWN = 2,
};

/* One event loop. All fields are the caller's but those that loop_begin writes. */
typedef struct loopsan_loop {
  const char* name;            /* may be null */
  const char* kind;            /* of library: "loopsan" */
  loopsan_async_root* root;    /* innermost of the thread; null outside coroutines */
  loopsan_task* first_task;    /* head of the list */
  const loopsan_task* current; /* whose step is running; null: a plain callback */
  uint64_t ticks_per_second;   /* written by loop_begin */
  uint64_t threshold_ticks;    /* written by loop_begin: longer steps are stalls */
  void* probe;                 /* the probe's own; 0 before loop_begin */
  uint32_t flags;              /* LOOPSAN_LOOP_... */
  uint32_t reserved;           /* 0 */
} loopsan_loop;

/* One of several that a finding is about: a task, thread or executor in a circle of
 * waits, a function in a chain of calls. */
typedef struct loopsan_member {
  const char* what;            /* "task 'reader' waits for executor 'pool'" */
  const loopsan_source* where; /* where it stands; may be null */
  void* const* stack;          /* return addresses, innermost first; may be null */
  uint32_t stack_frames;       /* of `stack` */
  uint32_t reserved;           /* 0 */
} loopsan_member;

/* Something that the library found by itself. Everything is copied. Later versions
 * add fields at the end; `bytes` says which of them the caller knows, and nothing
 * behind them is read. */
typedef struct loopsan_finding {
  uint32_t bytes;                   /* sizeof(loopsan_finding) */
  uint32_t stack_frames;            /* of `stack` */
  const char* rule;                 /* "never-awaited" */
  const char* message;              /* one sentence: what, how long, whose */
  const char* remedy;               /* what to do instead; may be null */
  const char* task;                 /* name; may be null */
  const loopsan_source* where;      /* the place to look at first; may be null */
  const loopsan_source* spawned_at; /* of the task; may be null */
  void* const* stack;               /* return addresses, innermost first; may be null */
  double seconds;                   /* how long it took; 0: says nothing */
  const loopsan_member* members;    /* in the order to be shown; may be null. At most
                                     * LOOPSAN_FINDING_MEMBERS are taken, and of each
                                     * LOOPSAN_MEMBER_FRAMES addresses. */
  uint32_t member_count;            /* of `members` */
  uint32_t reserved;                /* 0 */
} loopsan_finding;

enum {
  LOOPSAN_FINDING_MEMBERS = 16,
  LOOPSAN_MEMBER_FRAMES = 24,
};

typedef struct loopsan_annotations {
  uint32_t version; /* LOOPSAN_ANNOTATIONS_VERSION */
  uint32_t bytes;   /* sizeof(loopsan_annotations): later versions add at the end */

  /* This thread runs `loop` from now on, whose steps are told exactly. Returns 1 if
   * it is watched; 0 if not, and then no other call is needed for it. The first call
   * in a program that was preloaded without `loopsan run` waits for its collector to
   * come up: a few milliseconds, at most 50. A forked child may go on with the loop. */
  int (*loop_begin)(loopsan_loop* loop);
  void (*loop_end)(loopsan_loop* loop);

  /* Ends the open step, if any, and begins the next: of `task`, or of a plain callback
   * that was scheduled at `created_at` (each may be null). One clock read, which it
   * returns. The task may end and be freed in its own step. */
  uint64_t (*step)(loopsan_loop* loop, const loopsan_task* task, const loopsan_source* created_at);

  /* Ends the open step; the loop is about to wait, or does its own work. */
  uint64_t (*idle)(loopsan_loop* loop);

  uint64_t (*now)(void);

  /* Returns 1 if a collector will report it; 0: report it yourself. */
  int (*finding)(const loopsan_finding* finding);

  /* Blocking calls of the running step are meant, until the same number of calls with
   * -1 has been made: +1 begins, -1 ends. */
  void (*allow_blocking)(loopsan_loop* loop, int change);

  /* The loop whose steps are told on this thread, or null. Whoever is called on a
   * thread that he does not know leaves another's loop alone, or adds to its `root`. */
  loopsan_loop* (*this_loop)(void);

  /* For tests. Waits, at most `milliseconds`, until the collector has judged all that this
   * process has done so far, and copies into `text` what it has found in it since the
   * call before, each finding a line of three fields with tabs between them: the
   * nanoseconds that it took, its rule, its message. What does not fit is left out; `text` ends in
   * a 0. Returns the number of findings; -1: nobody watches, the collector did not
   * answer in time, or another thread is asking. Notes are not counted, nor what happened in
   * steps that have not ended, nor on threads that may be no loops. */
  int (*take_findings)(uint32_t milliseconds, char* text, uint32_t bytes);

  /* For metrics: a job has waited so long for a thread of the executor `queue`. Any thread.
   * Of a process the first 16 names are kept, and the first 47 bytes of each. */
  void (*queue_delay)(const char* queue, uint64_t nanoseconds);
} loopsan_annotations;

/* What the symbol is. Null: this process is not watched. */
typedef const loopsan_annotations* (*loopsan_annotations_function)(void);

#ifdef __cplusplus
}
#endif

#endif /* LOOPSAN_INSTRUMENT_ANNOTATE_H_ */
