// Intent: a program that was linked against the condition variables of glibc
// before 2.3.2, which have another layout, works, and its waits are its own.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

__asm__(".symver pthread_cond_init, pthread_cond_init@GLIBC_2.2.5");
__asm__(".symver pthread_cond_wait, pthread_cond_wait@GLIBC_2.2.5");
__asm__(".symver pthread_cond_timedwait, pthread_cond_timedwait@GLIBC_2.2.5");
__asm__(".symver pthread_cond_signal, pthread_cond_signal@GLIBC_2.2.5");
__asm__(".symver pthread_cond_broadcast, pthread_cond_broadcast@GLIBC_2.2.5");

// What such a program gave to a condition variable; the new ones write beyond.
static struct {
  void* old_condition;
  char behind[64];
} g_memory = {NULL, "untouched"};

static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
static int g_turn = 0;

static pthread_cond_t* Condition(void) { return (pthread_cond_t*)&g_memory.old_condition; }

static void* Answer(void* unused) {
  pthread_mutex_lock(&g_mutex);
  for (int i = 1; i < 20; i += 2) {
    while (g_turn != i) pthread_cond_wait(Condition(), &g_mutex);
    g_turn = i + 1;
    pthread_cond_broadcast(Condition());
  }
  pthread_mutex_unlock(&g_mutex);
  return unused;
}

static void Talk(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, Answer, NULL);
  pthread_mutex_lock(&g_mutex);
  for (int i = 0; i < 20; i += 2) {
    g_turn = i + 1;
    pthread_cond_signal(Condition());
    while (g_turn != i + 2) pthread_cond_wait(Condition(), &g_mutex);
  }
  struct timespec past = {1, 0};
  const int timed_out = pthread_cond_timedwait(Condition(), &g_mutex, &past);
  pthread_mutex_unlock(&g_mutex);
  pthread_join(thread, NULL);
  printf("turn %d, %s, the memory behind it is %s\n", g_turn,
         timed_out == ETIMEDOUT ? "timed out" : "not timed out", g_memory.behind);
}

int main(void) {
  pthread_cond_init(Condition(), NULL);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < 2; ++i) {
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(epoll, EPOLL_CTL_ADD, eventfd(1, EFD_CLOEXEC), &event);
  }
  for (int turn = 0; turn < 60; ++turn) {
    struct epoll_event events[2];
    epoll_wait(epoll, events, 2, -1);
    if (turn != 50) continue;
    Talk();
    const struct timespec moment = {0, 30000000};
    nanosleep(&moment, NULL);
  }
  return 3;
}
