// Intent: a Boost.Asio program with one thread blocks in its handlers, and where, is found.
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>

#include "tests/programs/victim.h"

namespace {

class AsioLoop {
 public:
  void OnReadable(int fd, std::function<void()> callback) {
    auto& watched = descriptors_.emplace_back(io_, fd, std::move(callback));
    Wait(watched);
  }

  void After(std::chrono::milliseconds delay, std::function<void()> callback) {
    auto timer = std::make_shared<boost::asio::steady_timer>(io_, delay);
    timer->async_wait([timer, callback = std::move(callback)](boost::system::error_code error) {
      if (!error) callback();
    });
  }

  void Run() {
    io_.restart();
    io_.run();
  }
  void Stop() { io_.stop(); }

 private:
  struct Watched {
    Watched(boost::asio::io_context& io, int fd, std::function<void()> on_readable)
        : descriptor(io, fd), callback(std::move(on_readable)) {}
    boost::asio::posix::stream_descriptor descriptor;
    std::function<void()> callback;
  };

  void Wait(Watched& watched) {
    watched.descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                  [this, &watched](boost::system::error_code error) {
                                    if (error) return;
                                    watched.callback();
                                    Wait(watched);
                                  });
  }

  boost::asio::io_context io_{1};
  std::list<Watched> descriptors_;
};

}  // namespace

int main(int argc, char** argv) { return victim::VictimMain<AsioLoop>(argc, argv); }
