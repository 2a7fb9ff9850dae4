/* Intent: a GLib program whose callbacks are steps, by glib_steps.h.
 *
 * Usage: steps_glib SCENARIO
 */
#define _GNU_SOURCE
#include "instrument/adapters/glib_steps.h"

#include <signal.h>

#include "tests/programs/steps_victim.h"

static GMainLoop* g_loop;

/* ---- one slow callback, and many short ones in one turn -------------------------- */

static gboolean Slow(gpointer data) {
  (void)data;
  if (Is("compute")) {
    Compute(300);
  } else {
    Sleep();
  }
  return G_SOURCE_REMOVE;
}

static gboolean Short(gpointer data) {
  (void)data;
  Compute(10);
  return G_SOURCE_REMOVE;
}

static gboolean Tick(gpointer data) {
  static int turns = 0;
  (void)data;
  if (++turns < 20) return G_SOURCE_CONTINUE;
  g_main_loop_quit(g_loop);
  return G_SOURCE_REMOVE;
}

/* Runs a loop of its own, as a dialog does: the others are served meanwhile. */
static gboolean QuitInner(gpointer loop) {
  g_main_loop_quit((GMainLoop*)loop);
  return G_SOURCE_REMOVE;
}
static gboolean RunInner(gpointer data) {
  (void)data;
  GMainLoop* inner = g_main_loop_new(NULL, FALSE);
  g_timeout_add(200, QuitInner, inner);
  g_main_loop_run(inner);
  g_main_loop_unref(inner);
  g_main_loop_quit(g_loop);
  return G_SOURCE_REMOVE;
}

/* ---- every kind of callback, with its arguments ---------------------------------- */

static int g_seen = 0;

static void See(int what) {
  g_seen |= what;
  if (g_seen == 63) g_main_loop_quit(g_loop);
}

static gboolean OnIdle(gpointer data) {
  Require(data == &g_seen, "idle: data");
  See(1);
  return G_SOURCE_REMOVE;
}
static gboolean OnFd(gint fd, GIOCondition what, gpointer data) {
  char byte;
  Require(read(fd, &byte, 1) == 1 && what == G_IO_IN && data == &g_seen, "fd: arguments");
  See(2);
  return G_SOURCE_REMOVE;
}
static gboolean OnChannel(GIOChannel* channel, GIOCondition what, gpointer data) {
  char byte;
  Require(
      read(g_io_channel_unix_get_fd(channel), &byte, 1) == 1 && what == G_IO_IN && data == &g_seen,
      "channel: arguments");
  See(4);
  return G_SOURCE_REMOVE;
}
static void OnChild(GPid child, gint status, gpointer data) {
  (void)child;
  Require(WIFEXITED(status) && WEXITSTATUS(status) == 3 && data == &g_seen, "child: arguments");
  See(8);
}
static gboolean OnSignal(gpointer data) {
  Require(data == &g_seen, "signal: data");
  See(16);
  return G_SOURCE_REMOVE;
}
static gboolean OnSource(gpointer data) {
  Require(data == &g_seen, "source: data");
  See(32);
  return G_SOURCE_REMOVE;
}

static gboolean Never(gpointer data) {
  (void)data;
  Require(FALSE, "a source that was removed");
  return G_SOURCE_REMOVE;
}
static int g_notified = 0;
static void Notify(gpointer data) { g_notified += data == &g_notified; }

static void PlayAll(void) {
  int pipes[2][2];
  for (int i = 0; i < 2; ++i) {
    Require(pipe(pipes[i]) == 0 && write(pipes[i][1], "xy", 2) == 2, "pipe");
  }
  const pid_t child = fork();
  if (child == 0) _exit(3);
  g_idle_add(OnIdle, &g_seen);
  g_unix_fd_add(pipes[0][0], G_IO_IN, OnFd, &g_seen);
  GIOChannel* channel = g_io_channel_unix_new(pipes[1][0]);
  g_io_add_watch(channel, G_IO_IN, OnChannel, &g_seen);
  g_child_watch_add(child, OnChild, &g_seen);
  g_unix_signal_add(SIGUSR1, OnSignal, &g_seen);
  GSource* source = g_timeout_source_new(1);
  g_source_set_callback(source, OnSource, &g_seen, NULL);
  g_source_attach(source, NULL);
  g_source_unref(source);
  g_timeout_add_full(G_PRIORITY_LOW, 1, Never, &g_notified, Notify);
  Require(g_source_remove_by_user_data(&g_notified) && g_notified == 1, "removal by data");
  raise(SIGUSR1);
  g_main_loop_run(g_loop);
  g_io_channel_unref(channel);
}

int main(int argc, char** argv) {
  ReadScenario(argc, argv);
  g_loop = g_main_loop_new(NULL, FALSE);
  if (Is("all")) {
    PlayAll();
    return 0;
  }
  if (Is("inner")) {
    g_timeout_add(1, RunInner, NULL);
  } else {
    g_timeout_add(1, Tick, NULL);
  }
  if (Is("slow") || Is("compute")) {
    g_timeout_add(10, Slow, NULL);  // BLOCK: created
  }
  for (int i = 0; Is("many_short") && i < 12; ++i) g_timeout_add(10, Short, NULL);
  g_main_loop_run(g_loop);
  g_main_loop_unref(g_loop);
  return 0;
}
