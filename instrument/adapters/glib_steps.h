/* GLib's main loop (2.36 and later): callbacks of sources as steps, each named by the line
 * that added it.
 *
 *   #include "instrument/adapters/glib_steps.h"
 *
 * in place of, or after, <glib.h> (and <glib-unix.h>) in the files that add sources; or,
 * without a change to them, `-include instrument/adapters/glib_steps.h` among the compiler's
 * flags. C and C++. GTK programs and others on the same main loop included.
 *
 * The functions below become macros that give GLib a callback of ours, which tells loopsan
 * that a step begins, calls yours with the same arguments, and tells that it has ended.
 * Data and destroy notifications stay yours. While nobody watches, GLib gets your
 * callback itself.
 *
 * Exact: g_timeout_add..., g_idle_add..., g_io_add_watch..., g_child_watch_add...,
 * g_unix_fd_add..., g_unix_signal_add..., and g_source_set_callback on sources of these kinds.
 *
 * Not seen at all: callbacks of other sources (GDBus, GTask, GTK's own), and those that were
 * added elsewhere: a main loop waits with poll, by which loopsan does not recognize one.
 * A main loop that runs inside a callback serves the other sources: it ends the
 * step of that callback and is not accused.
 *
 * Threads: as GLib's own functions. A loop is told on the thread that runs it.
 */
#ifndef LOOPSAN_INSTRUMENT_ADAPTERS_GLIB_STEPS_H_
#define LOOPSAN_INSTRUMENT_ADAPTERS_GLIB_STEPS_H_

#include <glib-unix.h>
#include <glib.h>

#include "instrument/adapters/internal/callback_steps.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  LOOPSAN_GLIB_CALLBACK, /* of a source */
};

/* What the contexts' own function was when ours took its place. */
LOOPSAN_SHARED GPollFunc loopsan_glib_own_poll;

/* The loop waits: also one that a callback runs. */
LOOPSAN_SHARED gint loopsan_glib_poll(GPollFD* fds, guint count, gint timeout) {
  struct loopsan_adapters_thread* thread = &loopsan_adapters_thread;
  if (thread->step_open) {
    thread->depth = 1;
    loopsan_end_callback();
  }
  thread->depth = 0;
  GPollFunc own = __atomic_load_n(&loopsan_glib_own_poll, __ATOMIC_ACQUIRE);
  return own(fds, count, timeout);
}

LOOPSAN_LOCAL void loopsan_glib_watch_polls(GMainContext* context) {
  GPollFunc now = g_main_context_get_poll_func(context);
  if (now == loopsan_glib_poll) return;
  GPollFunc none = NULL;
  /* One for all contexts: who replaces poll does so in one way. Another is left alone. */
  if (__atomic_compare_exchange_n(&loopsan_glib_own_poll, &none, now, 0, __ATOMIC_ACQ_REL,
                                  __ATOMIC_ACQUIRE) ||
      none == now) {
    g_main_context_set_poll_func(context, loopsan_glib_poll);
  }
}

/* The callback of the source that is being dispatched. */
LOOPSAN_LOCAL struct loopsan_callback loopsan_glib_begin(void) {
  GSource* source = g_main_current_source();
  struct loopsan_callback yours = loopsan_get_callback(source, LOOPSAN_GLIB_CALLBACK, 0);
  if (yours.function == NULL) return yours;
  if (loopsan_adapters_thread.loop.probe == NULL) {
    loopsan_glib_watch_polls(g_source_get_context(source));
  }
  loopsan_begin_callback("glib", LOOPSAN_LOOP_PARTIAL, yours.place);
  return yours;
}

#define LOOPSAN_GLIB_TRAMPOLINE(name, type, parameters, arguments) \
  LOOPSAN_LOCAL gboolean loopsan_glib_call_##name parameters {     \
    struct loopsan_callback yours = loopsan_glib_begin();          \
    if (yours.function == NULL) return G_SOURCE_CONTINUE;          \
    gboolean again = ((type)yours.function)arguments;              \
    loopsan_end_callback();                                        \
    return again;                                                  \
  }

LOOPSAN_GLIB_TRAMPOLINE(source, GSourceFunc, (gpointer data), (data))
LOOPSAN_GLIB_TRAMPOLINE(channel, GIOFunc, (GIOChannel * channel, GIOCondition what, gpointer data),
                        (channel, what, data))
LOOPSAN_GLIB_TRAMPOLINE(fd, GUnixFDSourceFunc, (gint fd, GIOCondition what, gpointer data),
                        (fd, what, data))

LOOPSAN_LOCAL void loopsan_glib_call_child(GPid child, gint status, gpointer data) {
  struct loopsan_callback yours = loopsan_glib_begin();
  if (yours.function == NULL) return;
  ((GChildWatchFunc)yours.function)(child, status, data);
  loopsan_end_callback();
}

/* The entry is never removed: the address of a source that is gone is soon another's. */
LOOPSAN_LOCAL void loopsan_glib_set_callback(const loopsan_source* place, GSource* source,
                                             GSourceFunc callback, gpointer data,
                                             GDestroyNotify notify) {
  const GSourceFuncs* kind = source->source_funcs;
  GSourceFunc trampoline = NULL;
  if (kind == &g_timeout_funcs || kind == &g_idle_funcs || kind == &g_unix_signal_funcs) {
    trampoline = loopsan_glib_call_source;
  } else if (kind == &g_io_watch_funcs) {
    trampoline = (GSourceFunc)(loopsan_function)loopsan_glib_call_channel;
  } else if (kind == &g_unix_fd_source_funcs) {
    trampoline = (GSourceFunc)(loopsan_function)loopsan_glib_call_fd;
  } else if (kind == &g_child_watch_funcs) {
    trampoline = (GSourceFunc)(loopsan_function)loopsan_glib_call_child;
  }
  if (trampoline != NULL && loopsan_put_callback(source, LOOPSAN_GLIB_CALLBACK,
                                                 (loopsan_function)callback, NULL, place)) {
    callback = trampoline;
  }
  (g_source_set_callback)(source, callback, data, notify);
}

/* What the g_..._add_full functions do: `source` goes to the default context. */
LOOPSAN_LOCAL guint loopsan_glib_attach(const loopsan_source* place, GSource* source, gint priority,
                                        GSourceFunc callback, gpointer data,
                                        GDestroyNotify notify) {
  g_source_set_priority(source, priority);
  loopsan_glib_set_callback(place, source, callback, data, notify);
  guint id = g_source_attach(source, NULL);
  g_source_unref(source);
  return id;
}

LOOPSAN_LOCAL guint loopsan_g_timeout_add_full(const loopsan_source* place, gint priority,
                                               guint interval, GSourceFunc callback, gpointer data,
                                               GDestroyNotify notify) {
  return loopsan_glib_attach(place, g_timeout_source_new(interval), priority, callback, data,
                             notify);
}
LOOPSAN_LOCAL guint loopsan_g_timeout_add_seconds_full(const loopsan_source* place, gint priority,
                                                       guint interval, GSourceFunc callback,
                                                       gpointer data, GDestroyNotify notify) {
  return loopsan_glib_attach(place, g_timeout_source_new_seconds(interval), priority, callback,
                             data, notify);
}
LOOPSAN_LOCAL guint loopsan_g_idle_add_full(const loopsan_source* place, gint priority,
                                            GSourceFunc callback, gpointer data,
                                            GDestroyNotify notify) {
  return loopsan_glib_attach(place, g_idle_source_new(), priority, callback, data, notify);
}
LOOPSAN_LOCAL guint loopsan_g_io_add_watch_full(const loopsan_source* place, GIOChannel* channel,
                                                gint priority, GIOCondition what, GIOFunc callback,
                                                gpointer data, GDestroyNotify notify) {
  return loopsan_glib_attach(place, g_io_create_watch(channel, what), priority,
                             (GSourceFunc)(loopsan_function)callback, data, notify);
}
LOOPSAN_LOCAL guint loopsan_g_unix_fd_add_full(const loopsan_source* place, gint priority, gint fd,
                                               GIOCondition what, GUnixFDSourceFunc callback,
                                               gpointer data, GDestroyNotify notify) {
  return loopsan_glib_attach(place, g_unix_fd_source_new(fd, what), priority,
                             (GSourceFunc)(loopsan_function)callback, data, notify);
}
LOOPSAN_LOCAL guint loopsan_g_unix_signal_add_full(const loopsan_source* place, gint priority,
                                                   gint number, GSourceFunc callback, gpointer data,
                                                   GDestroyNotify notify) {
  return loopsan_glib_attach(place, g_unix_signal_source_new(number), priority, callback, data,
                             notify);
}
LOOPSAN_LOCAL guint loopsan_g_child_watch_add_full(const loopsan_source* place, gint priority,
                                                   GPid child, GChildWatchFunc callback,
                                                   gpointer data, GDestroyNotify notify) {
  return loopsan_glib_attach(place, g_child_watch_source_new(child), priority,
                             (GSourceFunc)(loopsan_function)callback, data, notify);
}

/* The short forms. */
LOOPSAN_LOCAL guint loopsan_g_timeout_add(const loopsan_source* place, guint interval,
                                          GSourceFunc callback, gpointer data) {
  return loopsan_g_timeout_add_full(place, G_PRIORITY_DEFAULT, interval, callback, data, NULL);
}
LOOPSAN_LOCAL guint loopsan_g_timeout_add_seconds(const loopsan_source* place, guint interval,
                                                  GSourceFunc callback, gpointer data) {
  return loopsan_g_timeout_add_seconds_full(place, G_PRIORITY_DEFAULT, interval, callback, data,
                                            NULL);
}
LOOPSAN_LOCAL guint loopsan_g_idle_add(const loopsan_source* place, GSourceFunc callback,
                                       gpointer data) {
  return loopsan_g_idle_add_full(place, G_PRIORITY_DEFAULT_IDLE, callback, data, NULL);
}
LOOPSAN_LOCAL guint loopsan_g_io_add_watch(const loopsan_source* place, GIOChannel* channel,
                                           GIOCondition what, GIOFunc callback, gpointer data) {
  return loopsan_g_io_add_watch_full(place, channel, G_PRIORITY_DEFAULT, what, callback, data,
                                     NULL);
}
LOOPSAN_LOCAL guint loopsan_g_unix_fd_add(const loopsan_source* place, gint fd, GIOCondition what,
                                          GUnixFDSourceFunc callback, gpointer data) {
  return loopsan_g_unix_fd_add_full(place, G_PRIORITY_DEFAULT, fd, what, callback, data, NULL);
}
LOOPSAN_LOCAL guint loopsan_g_unix_signal_add(const loopsan_source* place, gint number,
                                              GSourceFunc callback, gpointer data) {
  return loopsan_g_unix_signal_add_full(place, G_PRIORITY_DEFAULT, number, callback, data, NULL);
}
LOOPSAN_LOCAL guint loopsan_g_child_watch_add(const loopsan_source* place, GPid child,
                                              GChildWatchFunc callback, gpointer data) {
  return loopsan_g_child_watch_add_full(place, G_PRIORITY_DEFAULT, child, callback, data, NULL);
}

#ifdef __cplusplus
}
#endif

#define g_source_set_callback(...) loopsan_glib_set_callback(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_timeout_add_full(...) loopsan_g_timeout_add_full(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_timeout_add(...) loopsan_g_timeout_add(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_timeout_add_seconds_full(...) \
  loopsan_g_timeout_add_seconds_full(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_timeout_add_seconds(...) loopsan_g_timeout_add_seconds(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_idle_add_full(...) loopsan_g_idle_add_full(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_idle_add(...) loopsan_g_idle_add(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_io_add_watch_full(...) loopsan_g_io_add_watch_full(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_io_add_watch(...) loopsan_g_io_add_watch(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_unix_fd_add_full(...) loopsan_g_unix_fd_add_full(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_unix_fd_add(...) loopsan_g_unix_fd_add(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_unix_signal_add_full(...) loopsan_g_unix_signal_add_full(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_unix_signal_add(...) loopsan_g_unix_signal_add(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_child_watch_add_full(...) loopsan_g_child_watch_add_full(LOOPSAN_PLACE(), __VA_ARGS__)
#define g_child_watch_add(...) loopsan_g_child_watch_add(LOOPSAN_PLACE(), __VA_ARGS__)

#endif /* LOOPSAN_INSTRUMENT_ADAPTERS_GLIB_STEPS_H_ */
