#include "reporters/loop_functions.h"

#include <algorithm>
#include <iterator>

namespace loopsan {
namespace {

// The qualified name without parameters, template arguments of the last
// component and clone suffixes.
std::string_view BaseName(std::string_view name) {
  const size_t end = name.find_first_of("(<[ ", 1);
  name = name.substr(0, end);
  const size_t dot = name.find('.');
  return name.substr(0, dot);
}

template <size_t N>
bool Contains(const std::string_view (&list)[N], std::string_view name) {
  return std::find(std::begin(list), std::end(list), BaseName(name)) != std::end(list);
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

constexpr std::string_view kLoopFunctions[] = {
    // libuv, libevent, libev
    "uv_run",
    "event_base_loop",
    "event_base_dispatch",
    "event_loop",
    "event_dispatch",
    "ev_run",
    "ev_loop",
    // Boost.Asio and standalone Asio
    "boost::asio::detail::scheduler::run",
    "boost::asio::detail::scheduler::run_one",
    "boost::asio::detail::scheduler::poll",
    "boost::asio::detail::scheduler::poll_one",
    "boost::asio::detail::scheduler::do_run_one",
    "boost::asio::io_context::run",
    "asio::detail::scheduler::run",
    "asio::detail::scheduler::run_one",
    "asio::detail::scheduler::poll",
    "asio::detail::scheduler::poll_one",
    "asio::detail::scheduler::do_run_one",
    "asio::io_context::run",
    // Redis and its relatives
    "aeMain",
    "aeProcessEvents",
    // nginx
    "ngx_process_events_and_timers",
    // GLib, Qt
    "g_main_loop_run",
    "g_main_context_iteration",
    "QEventLoop::exec",
    // folly, KJ, Seastar, HAProxy
    "folly::EventBase::loopBody",
    "folly::EventBase::loopMain",
    "kj::EventLoop::run",
    "seastar::reactor::do_run",
    "seastar::reactor::run",
    "run_poll_loop",
    // systemd, PHP and others that export theirs
    "sd_event_loop",
    "sd_event_run",
    "mosquitto_loop_forever",
    "hloop_run",
};

constexpr std::string_view kDispatchPrefixes[] = {
    "uv__",
    "event_process_active",
    "event_persist_closure",
    "bufferevent_",
    "boost::asio::detail::",
    "asio::detail::",
    "ngx_event_",
    "ngx_epoll_",
    "boost::asio::asio_handler_invoke",
    "boost_asio_handler_invoke_helpers::",
    "g_main_",
    "ev_invoke_pending",
};

constexpr std::string_view kPoolWaitPrefixes[] = {
    "boost::asio::detail::",
    "asio::detail::",
    "std::condition_variable::",
    "pthread_cond_",
};

}  // namespace

bool IsLoopFunction(std::string_view name) { return Contains(kLoopFunctions, name); }

bool IsDispatchFunction(std::string_view name) {
  return std::any_of(std::begin(kDispatchPrefixes), std::end(kDispatchPrefixes),
                     [&](std::string_view prefix) { return StartsWith(name, prefix); });
}

bool IsPoolWaitFunction(std::string_view name) {
  return std::any_of(std::begin(kPoolWaitPrefixes), std::end(kPoolWaitPrefixes),
                     [&](std::string_view prefix) { return StartsWith(name, prefix); });
}

bool IsPythonEvaluation(std::string_view name) {
  return StartsWith(name, "_PyEval_EvalFrameDefault");
}

bool IsPythonTaskStep(std::string_view name, std::string_view module) {
  return StartsWith(name, "context_run") || StartsWith(name, "task_step") ||
         module.find("/_asyncio.") != std::string_view::npos;
}

}  // namespace loopsan
