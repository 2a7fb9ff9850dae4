/* Intent: a libevent program whose callbacks are steps, by libevent_steps.h.
 *
 * Usage: steps_libevent SCENARIO
 */
#define _GNU_SOURCE
#include "instrument/adapters/libevent_steps.h"

#include <event2/buffer.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "tests/programs/steps_victim.h"

static struct event_base* g_base;
static const struct timeval kSoon = {0, 10000};

/* ---- one slow callback, and many short ones in one turn -------------------------- */

static void Slow(evutil_socket_t fd, short what, void* argument) {
  (void)fd;
  (void)what;
  (void)argument;
  if (Is("compute")) {
    Compute(300);
  } else {
    Sleep();
  }
}

static void Short(evutil_socket_t fd, short what, void* argument) {
  (void)fd;
  (void)what;
  (void)argument;
  Compute(10);
}

static void Tick(evutil_socket_t fd, short what, void* ticker) {
  static int turns = 0;
  (void)fd;
  (void)what;
  if (++turns == 20) event_del((struct event*)ticker);
}

/* As another library does it, which was built without the header. */
static int (*g_once)(struct event_base*, evutil_socket_t, short, event_callback_fn, void*,
                     const struct timeval*) = event_base_once;

/* ---- every kind of callback, with its arguments ---------------------------------- */

static int g_seen = 0;

static void OnEvent(evutil_socket_t fd, short what, void* argument) {
  (void)fd;
  Require(what == EV_TIMEOUT && argument == &g_seen, "event: arguments");
  g_seen |= 1;
}
static void OnAssigned(evutil_socket_t fd, short what, void* self) {
  (void)fd;
  (void)what;
  Require(event_get_callback((struct event*)self) == OnAssigned, "event_get_callback");
  Require(event_get_callback_arg((struct event*)self) == self, "event_get_callback_arg");
  g_seen |= 2;
}
static void OnSignal(evutil_socket_t number, short what, void* argument) {
  Require(number == SIGUSR1 && what == EV_SIGNAL && argument == &g_seen, "signal: arguments");
  g_seen |= 4;
  event_base_loopexit(g_base, NULL);
}
static void OnRead(struct bufferevent* buffers, void* argument) {
  char text[8];
  Require(bufferevent_read(buffers, text, sizeof text) == 5 && argument == &g_seen, "read");
  g_seen |= 8;
}
static void OnWritten(struct bufferevent* buffers, void* argument) {
  (void)buffers;
  Require(argument == &g_seen, "written");
  g_seen |= 16;
}
static void OnStatus(struct bufferevent* buffers, short what, void* argument) {
  Require((what & BEV_EVENT_EOF) != 0 && argument == &g_seen, "status");
  g_seen |= 32;
  bufferevent_free(buffers);
}
static void OnAccept(struct evconnlistener* listener, evutil_socket_t fd, struct sockaddr* from,
                     int bytes, void* argument) {
  Require(from->sa_family == AF_INET && bytes > 0 && argument == &g_seen, "accept");
  g_seen |= 64;
  struct bufferevent* buffers = bufferevent_socket_new(g_base, fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(buffers, OnRead, OnWritten, OnStatus, &g_seen);
  bufferevent_enable(buffers, EV_READ | EV_WRITE);
  bufferevent_write(buffers, "hi", 2);
  evconnlistener_free(listener);
}

static void PlayAll(void) {
  struct event* one = event_new(g_base, -1, 0, OnEvent, &g_seen);
  event_add(one, &kSoon);
  struct event embedded;
  event_assign(&embedded, g_base, -1, 0, OnAssigned, event_self_cbarg());
  event_add(&embedded, &kSoon);
  struct event* number = evsignal_new(g_base, SIGUSR1, OnSignal, &g_seen);
  event_add(number, NULL);

  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  struct evconnlistener* listener = evconnlistener_new_bind(
      g_base, OnAccept, &g_seen, LEV_OPT_CLOSE_ON_FREE, 1, (struct sockaddr*)&here, sizeof here);
  Require(listener != NULL, "listen");
  socklen_t bytes = sizeof here;
  getsockname(evconnlistener_get_fd(listener), (struct sockaddr*)&here, &bytes);
  const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Require(connect(peer, (struct sockaddr*)&here, sizeof here) == 0, "connect");
  Require(write(peer, "hello", 5) == 5, "write");
  shutdown(peer, SHUT_WR);

  while ((g_seen & ~4) != (127 & ~4)) event_base_loop(g_base, EVLOOP_ONCE);
  raise(SIGUSR1);
  event_base_dispatch(g_base);
  Require(g_seen == 127, "a callback that was not called");
  event_free(one);
  event_free(number);
  event_del(&embedded);
  close(peer);
}

int main(int argc, char** argv) {
  ReadScenario(argc, argv);
  g_base = event_base_new();
  struct event* slow = NULL;
  struct event* many[12] = {NULL};
  struct event* ticker = event_new(g_base, -1, EV_PERSIST, Tick, event_self_cbarg());
  const struct timeval millisecond = {0, 1000};
  event_add(ticker, &millisecond);
  if (Is("slow") || Is("compute")) {
    slow = evtimer_new(g_base, Slow, NULL);  // BLOCK: created
    event_add(slow, &kSoon);
  }
  if (Is("once")) {
    event_base_once(g_base, -1, EV_TIMEOUT, Slow, NULL, &kSoon);  // BLOCK: once
  }
  if (Is("untold")) g_once(g_base, -1, EV_TIMEOUT, Slow, NULL, &kSoon);
  for (int i = 0; Is("many_short") && i < 12; ++i) {
    many[i] = evtimer_new(g_base, Short, NULL);
    event_add(many[i], &kSoon);
  }
  if (Is("all")) PlayAll();
  event_base_dispatch(g_base);
  event_free(ticker);
  if (slow != NULL) event_free(slow);
  for (int i = 0; i < 12; ++i) {
    if (many[i] != NULL) event_free(many[i]);
  }
  event_base_free(g_base);
  return 0;
}
