/* What the callbacks of steps_libuv.c, steps_libevent.c and steps_glib.c do. */
#ifndef LOOPSAN_TESTS_PROGRAMS_STEPS_VICTIM_H_
#define LOOPSAN_TESTS_PROGRAMS_STEPS_VICTIM_H_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile int g_sink = 0;

/* A victim that does not do what its name says would pass for the wrong reason. */
static inline void Require(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "%s\n", what);
  abort();
}

__attribute__((noinline, unused)) static void Sleep(void) {
  usleep(200000);  // BLOCK: usleep
  g_sink = g_sink + 1;
}

static inline long CpuMilliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__attribute__((noinline, unused)) static void Compute(long milliseconds) {
  const long end = CpuMilliseconds() + milliseconds;
  while (CpuMilliseconds() < end) g_sink = g_sink + 1;
}

/* The scenario that the command line names. */
static const char* g_scenario = "";
static inline int Is(const char* scenario) { return strcmp(g_scenario, scenario) == 0; }

static inline void ReadScenario(int argc, char** argv) {
  if (argc > 1) g_scenario = argv[1];
}

#endif /* LOOPSAN_TESTS_PROGRAMS_STEPS_VICTIM_H_ */
