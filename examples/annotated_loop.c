/* A small event loop in C that tells loopsan what it runs (instrument/annotate.h).
 *
 * Some tasks take turns on it: one counts, one reads lines from a pipe and takes too
 * long over them, one writes a log and means to block. And two wait for one pipe, which
 * the loop itself finds. Run it alone, or see what loopsan knows of it:
 *
 *   loopsan run build/bin/annotated_loop
 */
#define _GNU_SOURCE
#include "instrument/annotate.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- a loop and its tasks ----------------------------------------------------- */

struct loop;
struct task;
typedef void (*task_function)(struct loop*, struct task*);

struct task {
  loopsan_task told; /* what others may read of it */
  task_function resume;
  int rounds;
  int fd;       /* to be readable, or -1 */
  long wake_at; /* in milliseconds, or -1 */
};

#define MOST_TASKS 8

struct loop {
  loopsan_loop told;
  const loopsan_annotations* probe; /* null: nobody watches */
  struct task* tasks[MOST_TASKS];
  int told_second_reader;
};

/* This place in the source. It is read as long as the task lives, and longer. */
#define PLACE(name) static const loopsan_source name = {__FILE__, __func__, __LINE__, 0}

static long now_in_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Once in a program; it may be null. */
static const loopsan_annotations* find_probe(void) {
  loopsan_annotations_function function = NULL;
  *(void**)&function = dlsym(RTLD_DEFAULT, LOOPSAN_ANNOTATIONS_SYMBOL);
  const loopsan_annotations* found = function != NULL ? function() : NULL;
  return found != NULL && found->version == LOOPSAN_ANNOTATIONS_VERSION ? found : NULL;
}

static void loop_begin(struct loop* loop) {
  loop->told.name = "main loop";
  loop->told.kind = "annotated-example";
  loop->probe = find_probe();
  if (loop->probe != NULL && !loop->probe->loop_begin(&loop->told)) loop->probe = NULL;
}

static void loop_end(struct loop* loop) {
  if (loop->probe != NULL) loop->probe->loop_end(&loop->told);
}

/* `made_at` and `name` stay. */
static struct task* spawn(struct loop* loop, const char* name, const loopsan_source* made_at,
                          task_function resume) {
  static uint64_t last_id = 0;
  struct task* task = calloc(1, sizeof *task);
  task->resume = resume;
  task->fd = -1;
  task->told.id = ++last_id;
  task->told.name = name;
  task->told.spawned_at = made_at;
  task->told.spawner = loop->told.current != NULL ? loop->told.current->id : 0;
  task->told.state = LOOPSAN_TASK_READY;
  task->told.next = loop->told.first_task;
  if (task->told.next != NULL) task->told.next->previous = &task->told;
  loop->told.first_task = &task->told;
  for (int i = 0; i < MOST_TASKS; ++i) {
    if (loop->tasks[i] == NULL) {
      loop->tasks[i] = task;
      return task;
    }
  }
  abort();
}

static void end_task(struct loop* loop, struct task* task) {
  if (task->told.previous != NULL) task->told.previous->next = task->told.next;
  if (task->told.next != NULL) task->told.next->previous = task->told.previous;
  if (loop->told.first_task == &task->told) loop->told.first_task = task->told.next;
  for (int i = 0; i < MOST_TASKS; ++i) {
    if (loop->tasks[i] == task) loop->tasks[i] = NULL;
  }
  free(task);
}

static void wait_for_time(struct task* task, long milliseconds) {
  task->wake_at = now_in_milliseconds() + milliseconds;
  task->told.state = LOOPSAN_TASK_WAITING;
  task->told.waiting_for = "timer";
}

/* A check of the loop's own. Prints what it found if nobody else tells it. */
static void report_second_reader(struct loop* loop, const struct task* task) {
  loopsan_finding finding;
  memset(&finding, 0, sizeof finding);
  finding.bytes = sizeof finding;
  finding.rule = "second-reader";
  finding.message = "two tasks wait for input from one pipe: each gets a part of it";
  finding.remedy = "let one task read, and hand on what it has read";
  finding.task = task->told.name;
  finding.spawned_at = task->told.spawned_at;
  if (loop->probe == NULL || !loop->probe->finding(&finding)) {
    fprintf(stderr, "%s: task %s: %s\n", finding.rule, finding.task, finding.message);
  }
}

static void wait_for_input(struct loop* loop, struct task* task, int fd) {
  for (int i = 0; i < MOST_TASKS; ++i) {
    const int second = loop->tasks[i] != NULL && loop->tasks[i]->fd == fd;
    if (second && !loop->told_second_reader++) report_second_reader(loop, task);
  }
  task->fd = fd;
  task->wake_at = -1;
  task->told.state = LOOPSAN_TASK_WAITING;
  task->told.waiting_for = "input";
}

static void run_step(struct loop* loop, struct task* task) {
  task->fd = -1;
  task->wake_at = -1;
  task->told.waiting_for = NULL;
  task->told.state = LOOPSAN_TASK_RUNNING;
  loop->told.current = &task->told;
  if (loop->probe != NULL) loop->probe->step(&loop->told, &task->told, NULL);
  task->resume(loop, task);
  /* It may be gone. The step goes on until the next, or until the loop is idle. */
  loop->told.current = NULL;
}

static void run(struct loop* loop) {
  while (loop->told.first_task != NULL) {
    struct pollfd fds[MOST_TASKS];
    int wait = -1;
    const long now = now_in_milliseconds();
    for (int i = 0; i < MOST_TASKS; ++i) {
      const struct task* task = loop->tasks[i];
      fds[i].fd = task != NULL ? task->fd : -1;
      fds[i].events = POLLIN;
      fds[i].revents = 0;
      if (task == NULL || task->wake_at < 0) continue;
      const int left = task->wake_at > now ? (int)(task->wake_at - now) : 0;
      if (wait < 0 || left < wait) wait = left;
    }
    if (loop->probe != NULL) loop->probe->idle(&loop->told);
    poll(fds, MOST_TASKS, wait);
    const long woken = now_in_milliseconds();
    for (int i = 0; i < MOST_TASKS; ++i) {
      struct task* task = loop->tasks[i];
      if (task == NULL) continue;
      if (fds[i].revents != 0 || (task->wake_at >= 0 && task->wake_at <= woken)) {
        run_step(loop, task);
      }
    }
  }
}

/* ---- what the tasks do -------------------------------------------------------- */

static int g_pipe[2];

static void ticker(struct loop* loop, struct task* self) {
  if (++self->rounds == 5) {
    if (write(g_pipe[1], "one\n", 4) != 4) abort();
    close(g_pipe[1]);
    end_task(loop, self);
    return;
  }
  wait_for_time(self, 5);
}

static void parse_line(const char* line) {
  usleep(150000); /* nobody else is served meanwhile */
  printf("read: %s", line);
}

static void reader(struct loop* loop, struct task* self) {
  char line[64];
  const ssize_t got = read(g_pipe[0], line, sizeof line - 1);
  if (got <= 0) {
    end_task(loop, self);
    return;
  }
  line[got] = '\0';
  parse_line(line);
  wait_for_input(loop, self, g_pipe[0]);
}

/* It blocks, and that is meant. */
static void writer(struct loop* loop, struct task* self) {
  if (loop->probe != NULL) loop->probe->allow_blocking(&loop->told, 1);
  usleep(150000);
  if (loop->probe != NULL) loop->probe->allow_blocking(&loop->told, -1);
  end_task(loop, self);
}

int main(void) {
  struct loop loop;
  memset(&loop, 0, sizeof loop);
  if (pipe(g_pipe) != 0) return 1;
  loop_begin(&loop);
  PLACE(ticker_made);
  wait_for_time(spawn(&loop, "ticker", &ticker_made, ticker), 0);
  PLACE(reader_made);
  wait_for_input(&loop, spawn(&loop, "reader", &reader_made, reader), g_pipe[0]);
  PLACE(spare_made);
  wait_for_input(&loop, spawn(&loop, "spare reader", &spare_made, reader), g_pipe[0]);
  PLACE(writer_made);
  wait_for_time(spawn(&loop, "writer", &writer_made, writer), 1);
  run(&loop);
  loop_end(&loop);
  return 0;
}
