/* Intent: a libuv program whose callbacks are steps, by libuv_steps.h.
 *
 * Usage: steps_libuv SCENARIO
 */
#define _GNU_SOURCE
#include "instrument/adapters/libuv_steps.h"
#include "tests/programs/steps_victim.h"

static uv_loop_t* g_loop;
static int g_turns = 0;

static void Close(uv_handle_t* handle) { uv_close(handle, NULL); }

/* ---- one slow callback, and many short ones in one turn -------------------------- */

static void Slow(uv_timer_t* timer) {
  if (Is("compute")) {
    Compute(300);
  } else {
    Sleep();
  }
  Close((uv_handle_t*)timer);
}

static void Short(uv_timer_t* timer) {
  Compute(10);
  Close((uv_handle_t*)timer);
}

static void Tick(uv_timer_t* timer) {
  if (++g_turns == 20) Close((uv_handle_t*)timer);
}

/* As another library does it, which was built without the header. */
static int (*g_start)(uv_timer_t*, uv_timer_cb, uint64_t, uint64_t) = uv_timer_start;

/* ---- every kind of callback, with its arguments ---------------------------------- */

static uv_pipe_t g_ends[2];
static char g_buffer[16];
static char g_seen[64];

static void See(const char* what) {
  strncat(g_seen, what, sizeof g_seen - strlen(g_seen) - 1);
  strncat(g_seen, " ", sizeof g_seen - strlen(g_seen) - 1);
}

static void OnClosed(uv_handle_t* handle) {
  Require(handle->data == g_seen, "close: data");
  See("closed");
}

static void Allocate(uv_handle_t* handle, size_t wanted, uv_buf_t* buffer) {
  (void)handle;
  (void)wanted;
  *buffer = uv_buf_init(g_buffer, sizeof g_buffer);
}

static void OnRead(uv_stream_t* stream, ssize_t bytes, const uv_buf_t* buffer) {
  Require(bytes == 5 && memcmp(buffer->base, "hello", 5) == 0, "read: bytes");
  See("read");
  uv_close((uv_handle_t*)stream, OnClosed);
}

static void OnWritten(uv_write_t* request, int status) {
  Require(request->data == g_seen && status == 0, "write: status");
  See("written");
  Close((uv_handle_t*)request->handle);
}

static void Work(uv_work_t* request) { request->data = g_buffer; }
static void AfterWork(uv_work_t* request, int status) {
  Require(request->data == g_buffer && status == 0, "work: data");
  See("worked");
}

static void OnStat(uv_fs_t* request) {
  Require(request->result == 0 && uv_fs_get_statbuf(request)->st_mode != 0, "stat: result");
  uv_fs_req_cleanup(request);
  See("stat");
}

static void OnSignal(uv_signal_t* handle, int number) {
  Require(number == SIGUSR1, "signal: number");
  See("signal");
  Close((uv_handle_t*)handle);
}

static void OnExit(uv_process_t* process, int64_t status, int number) {
  Require(status == 3 && number == 0, "exit: status");
  See("exit");
  Close((uv_handle_t*)process);
}

static uv_write_t g_write;
static uv_work_t g_work;
static uv_fs_t g_stat;
static uv_signal_t g_signal;
static uv_process_t g_process;

static void StartAll(void) {
  int fds[2];
  Require(uv_pipe(fds, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE) == 0, "pipe");
  for (int i = 0; i < 2; ++i) {
    uv_pipe_init(g_loop, &g_ends[i], 0);
    uv_pipe_open(&g_ends[i], fds[i]);
  }
  g_ends[0].data = g_seen;
  Require(uv_read_start((uv_stream_t*)&g_ends[0], Allocate, OnRead) == 0, "read");
  uv_buf_t hello = uv_buf_init((char*)"hello", 5);
  g_write.data = g_seen;
  Require(uv_write(&g_write, (uv_stream_t*)&g_ends[1], &hello, 1, OnWritten) == 0, "write");
  Require(uv_queue_work(g_loop, &g_work, Work, AfterWork) == 0, "work");
  Require(uv_fs_stat(g_loop, &g_stat, "/", OnStat) == 0, "stat");
  uv_fs_t now;
  Require(uv_fs_stat(g_loop, &now, "/", NULL) == 0, "stat without a callback");
  uv_fs_req_cleanup(&now);
  uv_signal_init(g_loop, &g_signal);
  Require(uv_signal_start(&g_signal, OnSignal, SIGUSR1) == 0, "signal");
  char* arguments[] = {(char*)"sh", (char*)"-c", (char*)"exit 3", NULL};
  uv_process_options_t options = {.exit_cb = OnExit, .file = "sh", .args = arguments};
  Require(uv_spawn(g_loop, &g_process, &options) == 0, "spawn");
  raise(SIGUSR1);
}

static void CheckAll(void) {
  for (const char* what = "read\0closed\0written\0worked\0stat\0signal\0exit\0"; *what != '\0';
       what += strlen(what) + 1) {
    Require(strstr(g_seen, what) != NULL, what);
  }
  Require(loopsan_callbacks.count == 0, "callbacks that are left in the table");
}

int main(int argc, char** argv) {
  ReadScenario(argc, argv);
  g_loop = uv_default_loop();
  uv_timer_t ticker;
  uv_timer_t slow;
  uv_timer_t many[12];
  uv_timer_init(g_loop, &ticker);
  uv_timer_start(&ticker, Tick, 1, 1);
  if (Is("slow") || Is("compute")) {
    uv_timer_init(g_loop, &slow);
    uv_timer_start(&slow, Slow, 10, 0);  // BLOCK: created
  }
  if (Is("untold")) {
    uv_timer_init(g_loop, &slow);
    g_start(&slow, Slow, 10, 0);
  }
  if (Is("many_short")) {
    for (int i = 0; i < 12; ++i) {
      uv_timer_init(g_loop, &many[i]);
      uv_timer_start(&many[i], Short, 10, 0);
    }
  }
  if (Is("all")) StartAll();
  uv_run(g_loop, UV_RUN_DEFAULT);
  if (Is("all")) CheckAll();
  return uv_loop_close(g_loop);
}
