// Making and connecting sockets that do not block.
//
// Threads: the loop's only. Errors: std::system_error.
#pragma once

#include <string>
#include <vector>

#include "runtime/address.h"
#include "runtime/internal/readiness.h"
#include "runtime/task.h"

namespace loopsan::internal {

[[noreturn]] void ThrowErrno(const std::string& what);

// Non-blocking, closed on exec.
Descriptor MakeSocket(int family, int type);
void Bind(const Descriptor& socket, const Address& address);
void SetOption(const Descriptor& socket, int level, int option, int value);
void SetNonBlocking(int fd);

// Their address; a default one if there is none.
Address LocalAddress(int socket) noexcept;
Address PeerAddress(int socket) noexcept;

// A connected stream socket.
Task<Descriptor> Connect(EventLoop& loop, Address to, Address from);
// To the first address that answers.
Task<Descriptor> ConnectToAny(EventLoop& loop, std::vector<Address> addresses, Address from);

}  // namespace loopsan::internal
