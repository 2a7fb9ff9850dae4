/* libevent (2.1): callbacks as steps, each named by the line that gave it to libevent.
 *
 *   #include "instrument/adapters/libevent_steps.h"
 *
 * in place of, or after, libevent's headers in the files that make events; or, without a
 * change to them, `-include instrument/adapters/libevent_steps.h` among the compiler's
 * flags. C and C++.
 *
 * The functions below become macros that give libevent a callback of ours, which tells
 * loopsan that a step begins, calls yours with the same arguments, and tells that it
 * has ended. While nobody watches, libevent gets your callback itself.
 *
 * Exact: events (event_new, event_assign, evtimer_..., evsignal_...), event_base_once,
 * bufferevents (bufferevent_setcb), listeners (evconnlistener_new, _new_bind, _set_cb).
 *
 * Not: callbacks that were given to libevent elsewhere (by another library, or through a
 * pointer to one of these functions), and those of evhttp, evdns and evrpc. They are
 * judged by their stacks, as without this header.
 *
 * Visible: event_get_assignment and bufferevent_getcb return our callbacks; event_get_callback
 * and event_get_callback_arg, as macros too, return yours. An event that is assigned with
 * this header must not be freed or assigned again by code without it.
 *
 * Threads: as libevent's own functions. A loop is told on the thread that runs it.
 */
#ifndef LOOPSAN_INSTRUMENT_ADAPTERS_LIBEVENT_STEPS_H_
#define LOOPSAN_INSTRUMENT_ADAPTERS_LIBEVENT_STEPS_H_

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>

#include "instrument/adapters/internal/callback_steps.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  LOOPSAN_EVENT_CALLBACK,
  LOOPSAN_EVENT_READ,
  LOOPSAN_EVENT_WRITE,
  LOOPSAN_EVENT_STATUS,
};

LOOPSAN_LOCAL void loopsan_event_begin(const loopsan_source* place) {
  loopsan_begin_callback("libevent", LOOPSAN_LOOP_PARTIAL | LOOPSAN_LOOP_IF_KNOWN, place);
}

/* ---- events ------------------------------------------------------------------- */

/* The argument that libevent has is the event, or what stands for it. */
LOOPSAN_LOCAL void loopsan_event_call(evutil_socket_t fd, short what, void* event) {
  struct loopsan_callback yours = loopsan_get_callback(event, LOOPSAN_EVENT_CALLBACK, 0);
  if (yours.function == NULL) return;
  loopsan_event_begin(yours.place);
  ((event_callback_fn)yours.function)(fd, what, yours.data);
  loopsan_end_callback();
}

LOOPSAN_LOCAL int loopsan_event_put(struct event* event, event_callback_fn callback, void* argument,
                                    const loopsan_source* place) {
  if (argument == event_self_cbarg()) argument = event;
  return loopsan_put_callback(event, LOOPSAN_EVENT_CALLBACK, (loopsan_function)callback, argument,
                              place);
}

LOOPSAN_LOCAL struct event* loopsan_event_new(const loopsan_source* place, struct event_base* base,
                                              evutil_socket_t fd, short what,
                                              event_callback_fn callback, void* argument) {
  if (loopsan_find_probe() == NULL) return (event_new)(base, fd, what, callback, argument);
  struct event* event = (event_new)(base, fd, what, loopsan_event_call, event_self_cbarg());
  if (event != NULL && !loopsan_event_put(event, callback, argument, place)) {
    if (argument == event_self_cbarg()) argument = event;
    (event_assign)(event, base, fd, what, callback, argument);
  }
  return event;
}

LOOPSAN_LOCAL int loopsan_event_assign(const loopsan_source* place, struct event* event,
                                       struct event_base* base, evutil_socket_t fd, short what,
                                       event_callback_fn callback, void* argument) {
  if (!loopsan_event_put(event, callback, argument, place)) {
    return (event_assign)(event, base, fd, what, callback, argument);
  }
  return (event_assign)(event, base, fd, what, loopsan_event_call, event);
}

LOOPSAN_LOCAL void loopsan_event_free(struct event* event) {
  /* First: the address may be another event's the moment this one is freed. But none
   * of its callbacks may begin behind our back. */
  event_del(event);
  if (loopsan_find_probe() != NULL) loopsan_get_callback(event, LOOPSAN_EVENT_CALLBACK, 1);
  (event_free)(event);
}

LOOPSAN_LOCAL event_callback_fn loopsan_event_get_callback(const struct event* event) {
  event_callback_fn callback = (event_get_callback)(event);
  if (callback != loopsan_event_call) return callback;
  return (event_callback_fn)loopsan_get_callback(event, LOOPSAN_EVENT_CALLBACK, 0).function;
}

LOOPSAN_LOCAL void* loopsan_event_get_callback_arg(const struct event* event) {
  if ((event_get_callback)(event) != loopsan_event_call) return (event_get_callback_arg)(event);
  return loopsan_get_callback(event, LOOPSAN_EVENT_CALLBACK, 0).data;
}

/* ---- events that are made for one call ------------------------------------------- */

struct loopsan_event_once {
  event_callback_fn callback;
  void* argument;
  const loopsan_source* place;
};

LOOPSAN_LOCAL void loopsan_event_call_once(evutil_socket_t fd, short what, void* argument) {
  struct loopsan_event_once yours = *(struct loopsan_event_once*)argument;
  free(argument);
  loopsan_event_begin(yours.place);
  yours.callback(fd, what, yours.argument);
  loopsan_end_callback();
}

LOOPSAN_LOCAL int loopsan_event_base_once(const loopsan_source* place, struct event_base* base,
                                          evutil_socket_t fd, short what,
                                          event_callback_fn callback, void* argument,
                                          const struct timeval* timeout) {
  struct loopsan_event_once* once = NULL;
  if (loopsan_find_probe() != NULL) once = (struct loopsan_event_once*)malloc(sizeof *once);
  if (once == NULL) return (event_base_once)(base, fd, what, callback, argument, timeout);
  once->callback = callback;
  once->argument = argument;
  once->place = place;
  int result = (event_base_once)(base, fd, what, loopsan_event_call_once, once, timeout);
  if (result != 0) free(once);
  return result;
}

/* ---- bufferevents ----------------------------------------------------------------- */

LOOPSAN_LOCAL void loopsan_event_call_data(struct bufferevent* buffers, unsigned which,
                                           void* argument) {
  struct loopsan_callback yours = loopsan_get_callback(buffers, which, 0);
  if (yours.function == NULL) return;
  loopsan_event_begin(yours.place);
  ((bufferevent_data_cb)yours.function)(buffers, argument);
  loopsan_end_callback();
}
LOOPSAN_LOCAL void loopsan_event_call_read(struct bufferevent* buffers, void* argument) {
  loopsan_event_call_data(buffers, LOOPSAN_EVENT_READ, argument);
}
LOOPSAN_LOCAL void loopsan_event_call_write(struct bufferevent* buffers, void* argument) {
  loopsan_event_call_data(buffers, LOOPSAN_EVENT_WRITE, argument);
}
LOOPSAN_LOCAL void loopsan_event_call_status(struct bufferevent* buffers, short what,
                                             void* argument) {
  struct loopsan_callback yours = loopsan_get_callback(buffers, LOOPSAN_EVENT_STATUS, 0);
  if (yours.function == NULL) return;
  loopsan_event_begin(yours.place);
  ((bufferevent_event_cb)yours.function)(buffers, what, argument);
  loopsan_end_callback();
}

LOOPSAN_LOCAL void loopsan_bufferevent_setcb(const loopsan_source* place,
                                             struct bufferevent* buffers, bufferevent_data_cb read,
                                             bufferevent_data_cb write, bufferevent_event_cb status,
                                             void* argument) {
  if (loopsan_put_callback(buffers, LOOPSAN_EVENT_READ, (loopsan_function)read, NULL, place)) {
    read = loopsan_event_call_read;
  }
  if (loopsan_put_callback(buffers, LOOPSAN_EVENT_WRITE, (loopsan_function)write, NULL, place)) {
    write = loopsan_event_call_write;
  }
  if (loopsan_put_callback(buffers, LOOPSAN_EVENT_STATUS, (loopsan_function)status, NULL, place)) {
    status = loopsan_event_call_status;
  }
  (bufferevent_setcb)(buffers, read, write, status, argument);
}

/* ---- listeners -------------------------------------------------------------------- */

LOOPSAN_LOCAL void loopsan_event_call_accept(struct evconnlistener* listener, evutil_socket_t fd,
                                             struct sockaddr* address, int bytes, void* argument) {
  struct loopsan_callback yours = loopsan_get_callback(listener, LOOPSAN_EVENT_CALLBACK, 0);
  if (yours.function == NULL) return;
  loopsan_event_begin(yours.place);
  ((evconnlistener_cb)yours.function)(listener, fd, address, bytes, argument);
  loopsan_end_callback();
}

LOOPSAN_LOCAL void loopsan_evconnlistener_set_cb(const loopsan_source* place,
                                                 struct evconnlistener* listener,
                                                 evconnlistener_cb callback, void* argument) {
  if (loopsan_put_callback(listener, LOOPSAN_EVENT_CALLBACK, (loopsan_function)callback, NULL,
                           place)) {
    callback = loopsan_event_call_accept;
  }
  (evconnlistener_set_cb)(listener, callback, argument);
}

/* Without a callback a listener accepts nothing: so none is lost before ours is known. */
LOOPSAN_LOCAL struct evconnlistener* loopsan_evconnlistener_new(const loopsan_source* place,
                                                                struct event_base* base,
                                                                evconnlistener_cb callback,
                                                                void* argument, unsigned flags,
                                                                int backlog, evutil_socket_t fd) {
  struct evconnlistener* listener = (evconnlistener_new)(base, NULL, argument, flags, backlog, fd);
  if (listener != NULL && callback != NULL) {
    loopsan_evconnlistener_set_cb(place, listener, callback, argument);
  }
  return listener;
}

LOOPSAN_LOCAL struct evconnlistener* loopsan_evconnlistener_new_bind(
    const loopsan_source* place, struct event_base* base, evconnlistener_cb callback,
    void* argument, unsigned flags, int backlog, const struct sockaddr* address, int bytes) {
  struct evconnlistener* listener =
      (evconnlistener_new_bind)(base, NULL, argument, flags, backlog, address, bytes);
  if (listener != NULL && callback != NULL) {
    loopsan_evconnlistener_set_cb(place, listener, callback, argument);
  }
  return listener;
}

#ifdef __cplusplus
}
#endif

#define event_new(...) loopsan_event_new(LOOPSAN_PLACE(), __VA_ARGS__)
#define event_assign(...) loopsan_event_assign(LOOPSAN_PLACE(), __VA_ARGS__)
#define event_free(...) loopsan_event_free(__VA_ARGS__)
#define event_get_callback(...) loopsan_event_get_callback(__VA_ARGS__)
#define event_get_callback_arg(...) loopsan_event_get_callback_arg(__VA_ARGS__)
#define event_base_once(...) loopsan_event_base_once(LOOPSAN_PLACE(), __VA_ARGS__)
#define bufferevent_setcb(...) loopsan_bufferevent_setcb(LOOPSAN_PLACE(), __VA_ARGS__)
#define evconnlistener_set_cb(...) loopsan_evconnlistener_set_cb(LOOPSAN_PLACE(), __VA_ARGS__)
#define evconnlistener_new(...) loopsan_evconnlistener_new(LOOPSAN_PLACE(), __VA_ARGS__)
#define evconnlistener_new_bind(...) loopsan_evconnlistener_new_bind(LOOPSAN_PLACE(), __VA_ARGS__)

#endif /* LOOPSAN_INSTRUMENT_ADAPTERS_LIBEVENT_STEPS_H_ */
