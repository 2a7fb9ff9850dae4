/* libuv (1.44 and later): callbacks as steps, each named by the line that gave it to libuv.
 *
 *   #include "instrument/adapters/libuv_steps.h"
 *
 * in place of, or after, <uv.h> in the files that start handles and requests; or, without
 * a change to them, `-include instrument/adapters/libuv_steps.h` among the compiler's
 * flags. C and C++.
 *
 * The functions below become macros that give libuv a callback of ours, which tells
 * loopsan that a step begins, calls yours with the same arguments, and tells that it
 * has ended. handle->data and req->data stay yours. While nobody watches, libuv gets your
 * callback itself.
 *
 * Exact: the callbacks of timers, polls, reads, listens, asyncs, idle, prepare and check
 * handles, signals, file system events and polls, closes, exits of child processes, writes,
 * connects, shutdowns, datagrams, name lookups, queued work (the part on the loop) and
 * the file system requests below.
 *
 * Not: callbacks that were given to libuv elsewhere (by another library, or through a
 * pointer to one of these functions), and alloc callbacks. They are judged by their
 * stacks, as without this header.
 *
 * Threads: as libuv's own functions. A loop is told on the thread that runs it.
 */
#ifndef LOOPSAN_INSTRUMENT_ADAPTERS_LIBUV_STEPS_H_
#define LOOPSAN_INSTRUMENT_ADAPTERS_LIBUV_STEPS_H_

#include <uv.h>

#include "instrument/adapters/internal/callback_steps.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  LOOPSAN_UV_CALLBACK, /* of a handle that has but one, or of a request */
  LOOPSAN_UV_READ,
  LOOPSAN_UV_CONNECTION,
  LOOPSAN_UV_CLOSE,
};

/* Defines loopsan_uv_NAME(object, callback, place), which returns what to give to libuv.
 * `once`: the callback is called at most once. */
#define LOOPSAN_UV_TRAMPOLINE(name, type, which, once, object_type, parameters, arguments)      \
  LOOPSAN_LOCAL void loopsan_uv_call_##name parameters {                                        \
    struct loopsan_callback yours = loopsan_get_callback(object, which, once);                  \
    if (yours.function == NULL) return;                                                         \
    loopsan_begin_callback("libuv", LOOPSAN_LOOP_PARTIAL | LOOPSAN_LOOP_IF_KNOWN, yours.place); \
    ((type)yours.function) arguments;                                                           \
    loopsan_end_callback();                                                                     \
  }                                                                                             \
  LOOPSAN_LOCAL type loopsan_uv_##name(const object_type* object, type callback,                \
                                       const loopsan_source* place) {                           \
    int told = loopsan_put_callback(object, which, (loopsan_function)callback, NULL, place);    \
    return told ? loopsan_uv_call_##name : callback;                                            \
  }

/* clang-format off */
LOOPSAN_UV_TRAMPOLINE(timer, uv_timer_cb, LOOPSAN_UV_CALLBACK, 0, uv_timer_t, (uv_timer_t* object), (object))
LOOPSAN_UV_TRAMPOLINE(poll, uv_poll_cb, LOOPSAN_UV_CALLBACK, 0, uv_poll_t, (uv_poll_t* object, int status, int events), (object, status, events))
LOOPSAN_UV_TRAMPOLINE(async, uv_async_cb, LOOPSAN_UV_CALLBACK, 0, uv_async_t, (uv_async_t* object), (object))
LOOPSAN_UV_TRAMPOLINE(idle, uv_idle_cb, LOOPSAN_UV_CALLBACK, 0, uv_idle_t, (uv_idle_t* object), (object))
LOOPSAN_UV_TRAMPOLINE(prepare, uv_prepare_cb, LOOPSAN_UV_CALLBACK, 0, uv_prepare_t, (uv_prepare_t* object), (object))
LOOPSAN_UV_TRAMPOLINE(check, uv_check_cb, LOOPSAN_UV_CALLBACK, 0, uv_check_t, (uv_check_t* object), (object))
LOOPSAN_UV_TRAMPOLINE(signal, uv_signal_cb, LOOPSAN_UV_CALLBACK, 0, uv_signal_t, (uv_signal_t* object, int number), (object, number))
LOOPSAN_UV_TRAMPOLINE(fs_event, uv_fs_event_cb, LOOPSAN_UV_CALLBACK, 0, uv_fs_event_t, (uv_fs_event_t* object, const char* name, int events, int status), (object, name, events, status))
LOOPSAN_UV_TRAMPOLINE(fs_poll, uv_fs_poll_cb, LOOPSAN_UV_CALLBACK, 0, uv_fs_poll_t, (uv_fs_poll_t* object, int status, const uv_stat_t* before, const uv_stat_t* now), (object, status, before, now))
LOOPSAN_UV_TRAMPOLINE(udp_recv, uv_udp_recv_cb, LOOPSAN_UV_READ, 0, uv_udp_t, (uv_udp_t* object, ssize_t read, const uv_buf_t* buffer, const struct sockaddr* from, unsigned flags), (object, read, buffer, from, flags))
LOOPSAN_UV_TRAMPOLINE(read, uv_read_cb, LOOPSAN_UV_READ, 0, uv_stream_t, (uv_stream_t* object, ssize_t read, const uv_buf_t* buffer), (object, read, buffer))
LOOPSAN_UV_TRAMPOLINE(connection, uv_connection_cb, LOOPSAN_UV_CONNECTION, 0, uv_stream_t, (uv_stream_t* object, int status), (object, status))
LOOPSAN_UV_TRAMPOLINE(exit, uv_exit_cb, LOOPSAN_UV_CALLBACK, 1, uv_process_t, (uv_process_t* object, int64_t status, int signal), (object, status, signal))
LOOPSAN_UV_TRAMPOLINE(close, uv_close_cb, LOOPSAN_UV_CLOSE, 1, uv_handle_t, (uv_handle_t* object), (object))
LOOPSAN_UV_TRAMPOLINE(write, uv_write_cb, LOOPSAN_UV_CALLBACK, 1, uv_write_t, (uv_write_t* object, int status), (object, status))
LOOPSAN_UV_TRAMPOLINE(connect, uv_connect_cb, LOOPSAN_UV_CALLBACK, 1, uv_connect_t, (uv_connect_t* object, int status), (object, status))
LOOPSAN_UV_TRAMPOLINE(shutdown, uv_shutdown_cb, LOOPSAN_UV_CALLBACK, 1, uv_shutdown_t, (uv_shutdown_t* object, int status), (object, status))
LOOPSAN_UV_TRAMPOLINE(udp_send, uv_udp_send_cb, LOOPSAN_UV_CALLBACK, 1, uv_udp_send_t, (uv_udp_send_t* object, int status), (object, status))
LOOPSAN_UV_TRAMPOLINE(getaddrinfo, uv_getaddrinfo_cb, LOOPSAN_UV_CALLBACK, 1, uv_getaddrinfo_t, (uv_getaddrinfo_t* object, int status, struct addrinfo* found), (object, status, found))
LOOPSAN_UV_TRAMPOLINE(getnameinfo, uv_getnameinfo_cb, LOOPSAN_UV_CALLBACK, 1, uv_getnameinfo_t, (uv_getnameinfo_t* object, int status, const char* host, const char* service), (object, status, host, service))
LOOPSAN_UV_TRAMPOLINE(after_work, uv_after_work_cb, LOOPSAN_UV_CALLBACK, 1, uv_work_t, (uv_work_t* object, int status), (object, status))
LOOPSAN_UV_TRAMPOLINE(fs, uv_fs_cb, LOOPSAN_UV_CALLBACK, 1, uv_fs_t, (uv_fs_t* object), (object))
/* clang-format on */

/* Defines loopsan_uv_FUNCTION(place, ...): libuv's function with what the trampoline of
 * `kind` makes of `callback`, for `object`. Both name parameters. */
#define LOOPSAN_UV_FUNCTION(function, kind, object, callback, parameters, arguments) \
  LOOPSAN_LOCAL int loopsan_uv_start_##function(const loopsan_source* place,         \
                                                LOOPSAN_UV_LIST parameters) {        \
    callback = loopsan_uv_##kind(object, callback, place);                           \
    return (uv_##function)arguments;                                                 \
  }
#define LOOPSAN_UV_LIST(...) __VA_ARGS__
#define LOOPSAN_UV_FS(function, parameters, arguments)                                            \
  LOOPSAN_UV_FUNCTION(fs_##function, fs, req, cb,                                                 \
                      (uv_loop_t * loop, uv_fs_t * req, LOOPSAN_UV_LIST parameters, uv_fs_cb cb), \
                      (loop, req, LOOPSAN_UV_LIST arguments, cb))

/* clang-format off */
LOOPSAN_UV_FUNCTION(timer_start, timer, handle, cb, (uv_timer_t* handle, uv_timer_cb cb, uint64_t timeout, uint64_t repeat), (handle, cb, timeout, repeat))
LOOPSAN_UV_FUNCTION(poll_start, poll, handle, cb, (uv_poll_t* handle, int events, uv_poll_cb cb), (handle, events, cb))
LOOPSAN_UV_FUNCTION(async_init, async, handle, cb, (uv_loop_t* loop, uv_async_t* handle, uv_async_cb cb), (loop, handle, cb))
LOOPSAN_UV_FUNCTION(idle_start, idle, handle, cb, (uv_idle_t* handle, uv_idle_cb cb), (handle, cb))
LOOPSAN_UV_FUNCTION(prepare_start, prepare, handle, cb, (uv_prepare_t* handle, uv_prepare_cb cb), (handle, cb))
LOOPSAN_UV_FUNCTION(check_start, check, handle, cb, (uv_check_t* handle, uv_check_cb cb), (handle, cb))
LOOPSAN_UV_FUNCTION(signal_start, signal, handle, cb, (uv_signal_t* handle, uv_signal_cb cb, int number), (handle, cb, number))
LOOPSAN_UV_FUNCTION(signal_start_oneshot, signal, handle, cb, (uv_signal_t* handle, uv_signal_cb cb, int number), (handle, cb, number))
LOOPSAN_UV_FUNCTION(fs_event_start, fs_event, handle, cb, (uv_fs_event_t* handle, uv_fs_event_cb cb, const char* path, unsigned flags), (handle, cb, path, flags))
LOOPSAN_UV_FUNCTION(fs_poll_start, fs_poll, handle, cb, (uv_fs_poll_t* handle, uv_fs_poll_cb cb, const char* path, unsigned interval), (handle, cb, path, interval))
LOOPSAN_UV_FUNCTION(udp_recv_start, udp_recv, handle, cb, (uv_udp_t* handle, uv_alloc_cb alloc, uv_udp_recv_cb cb), (handle, alloc, cb))
LOOPSAN_UV_FUNCTION(read_start, read, stream, cb, (uv_stream_t* stream, uv_alloc_cb alloc, uv_read_cb cb), (stream, alloc, cb))
LOOPSAN_UV_FUNCTION(listen, connection, stream, cb, (uv_stream_t* stream, int backlog, uv_connection_cb cb), (stream, backlog, cb))
LOOPSAN_UV_FUNCTION(write, write, req, cb, (uv_write_t* req, uv_stream_t* stream, const uv_buf_t* buffers, unsigned count, uv_write_cb cb), (req, stream, buffers, count, cb))
LOOPSAN_UV_FUNCTION(write2, write, req, cb, (uv_write_t* req, uv_stream_t* stream, const uv_buf_t* buffers, unsigned count, uv_stream_t* sent, uv_write_cb cb), (req, stream, buffers, count, sent, cb))
LOOPSAN_UV_FUNCTION(tcp_connect, connect, req, cb, (uv_connect_t* req, uv_tcp_t* handle, const struct sockaddr* address, uv_connect_cb cb), (req, handle, address, cb))
LOOPSAN_UV_FUNCTION(shutdown, shutdown, req, cb, (uv_shutdown_t* req, uv_stream_t* stream, uv_shutdown_cb cb), (req, stream, cb))
LOOPSAN_UV_FUNCTION(udp_send, udp_send, req, cb, (uv_udp_send_t* req, uv_udp_t* handle, const uv_buf_t* buffers, unsigned count, const struct sockaddr* to, uv_udp_send_cb cb), (req, handle, buffers, count, to, cb))
LOOPSAN_UV_FUNCTION(getaddrinfo, getaddrinfo, req, cb, (uv_loop_t* loop, uv_getaddrinfo_t* req, uv_getaddrinfo_cb cb, const char* host, const char* service, const struct addrinfo* hints), (loop, req, cb, host, service, hints))
LOOPSAN_UV_FUNCTION(getnameinfo, getnameinfo, req, cb, (uv_loop_t* loop, uv_getnameinfo_t* req, uv_getnameinfo_cb cb, const struct sockaddr* address, int flags), (loop, req, cb, address, flags))
LOOPSAN_UV_FUNCTION(queue_work, after_work, req, after, (uv_loop_t* loop, uv_work_t* req, uv_work_cb work, uv_after_work_cb after), (loop, req, work, after))
LOOPSAN_UV_FS(open, (const char* path, int flags, int mode), (path, flags, mode))
LOOPSAN_UV_FS(close, (uv_file file), (file))
LOOPSAN_UV_FS(read, (uv_file file, const uv_buf_t* buffers, unsigned count, int64_t offset), (file, buffers, count, offset))
LOOPSAN_UV_FS(write, (uv_file file, const uv_buf_t* buffers, unsigned count, int64_t offset), (file, buffers, count, offset))
LOOPSAN_UV_FS(fsync, (uv_file file), (file))
LOOPSAN_UV_FS(fdatasync, (uv_file file), (file))
LOOPSAN_UV_FS(ftruncate, (uv_file file, int64_t size), (file, size))
LOOPSAN_UV_FS(sendfile, (uv_file to, uv_file from, int64_t offset, size_t bytes), (to, from, offset, bytes))
LOOPSAN_UV_FS(stat, (const char* path), (path))
LOOPSAN_UV_FS(lstat, (const char* path), (path))
LOOPSAN_UV_FS(fstat, (uv_file file), (file))
LOOPSAN_UV_FS(scandir, (const char* path, int flags), (path, flags))
LOOPSAN_UV_FS(access, (const char* path, int mode), (path, mode))
LOOPSAN_UV_FS(unlink, (const char* path), (path))
LOOPSAN_UV_FS(rename, (const char* path, const char* to), (path, to))
LOOPSAN_UV_FS(copyfile, (const char* path, const char* to, int flags), (path, to, flags))
LOOPSAN_UV_FS(mkdir, (const char* path, int mode), (path, mode))
LOOPSAN_UV_FS(rmdir, (const char* path), (path))
LOOPSAN_UV_FS(readlink, (const char* path), (path))
LOOPSAN_UV_FS(realpath, (const char* path), (path))
/* clang-format on */

LOOPSAN_LOCAL void loopsan_uv_start_pipe_connect(const loopsan_source* place, uv_connect_t* req,
                                                 uv_pipe_t* handle, const char* name,
                                                 uv_connect_cb cb) {
  (uv_pipe_connect)(req, handle, name, loopsan_uv_connect(req, cb, place));
}

LOOPSAN_LOCAL int loopsan_uv_start_spawn(const loopsan_source* place, uv_loop_t* loop,
                                         uv_process_t* handle,
                                         const uv_process_options_t* options) {
  uv_process_options_t told = *options;
  told.exit_cb = loopsan_uv_exit(handle, options->exit_cb, place);
  return (uv_spawn)(loop, handle, &told);
}

/* None of the handle's other callbacks is called any more. */
LOOPSAN_LOCAL void loopsan_uv_start_close(const loopsan_source* place, uv_handle_t* handle,
                                          uv_close_cb cb) {
  if (loopsan_find_probe() != NULL) {
    loopsan_get_callback(handle, LOOPSAN_UV_CALLBACK, 1);
    loopsan_get_callback(handle, LOOPSAN_UV_READ, 1);
    loopsan_get_callback(handle, LOOPSAN_UV_CONNECTION, 1);
  }
  (uv_close)(handle, loopsan_uv_close(handle, cb, place));
}

#ifdef __cplusplus
}
#endif

#define uv_timer_start(...) loopsan_uv_start_timer_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_poll_start(...) loopsan_uv_start_poll_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_async_init(...) loopsan_uv_start_async_init(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_idle_start(...) loopsan_uv_start_idle_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_prepare_start(...) loopsan_uv_start_prepare_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_check_start(...) loopsan_uv_start_check_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_signal_start(...) loopsan_uv_start_signal_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_signal_start_oneshot(...) \
  loopsan_uv_start_signal_start_oneshot(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_event_start(...) loopsan_uv_start_fs_event_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_poll_start(...) loopsan_uv_start_fs_poll_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_udp_recv_start(...) loopsan_uv_start_udp_recv_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_read_start(...) loopsan_uv_start_read_start(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_listen(...) loopsan_uv_start_listen(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_write(...) loopsan_uv_start_write(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_write2(...) loopsan_uv_start_write2(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_tcp_connect(...) loopsan_uv_start_tcp_connect(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_pipe_connect(...) loopsan_uv_start_pipe_connect(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_shutdown(...) loopsan_uv_start_shutdown(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_udp_send(...) loopsan_uv_start_udp_send(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_getaddrinfo(...) loopsan_uv_start_getaddrinfo(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_getnameinfo(...) loopsan_uv_start_getnameinfo(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_queue_work(...) loopsan_uv_start_queue_work(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_spawn(...) loopsan_uv_start_spawn(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_close(...) loopsan_uv_start_close(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_open(...) loopsan_uv_start_fs_open(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_close(...) loopsan_uv_start_fs_close(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_read(...) loopsan_uv_start_fs_read(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_write(...) loopsan_uv_start_fs_write(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_fsync(...) loopsan_uv_start_fs_fsync(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_fdatasync(...) loopsan_uv_start_fs_fdatasync(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_ftruncate(...) loopsan_uv_start_fs_ftruncate(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_sendfile(...) loopsan_uv_start_fs_sendfile(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_stat(...) loopsan_uv_start_fs_stat(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_lstat(...) loopsan_uv_start_fs_lstat(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_fstat(...) loopsan_uv_start_fs_fstat(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_scandir(...) loopsan_uv_start_fs_scandir(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_access(...) loopsan_uv_start_fs_access(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_unlink(...) loopsan_uv_start_fs_unlink(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_rename(...) loopsan_uv_start_fs_rename(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_copyfile(...) loopsan_uv_start_fs_copyfile(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_mkdir(...) loopsan_uv_start_fs_mkdir(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_rmdir(...) loopsan_uv_start_fs_rmdir(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_readlink(...) loopsan_uv_start_fs_readlink(LOOPSAN_PLACE(), __VA_ARGS__)
#define uv_fs_realpath(...) loopsan_uv_start_fs_realpath(LOOPSAN_PLACE(), __VA_ARGS__)

#endif /* LOOPSAN_INSTRUMENT_ADAPTERS_LIBUV_STEPS_H_ */
