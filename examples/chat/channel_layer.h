// A channel layer: how the parts of the chat reach each other without knowing each other.
//
// A channel is a queue with a name, a group a set of channels. The interface is
// asynchronous, since a layer may lie in another process (one on Redis would wait for its
// socket); blocking code uses it through AsyncToSync().
//
// Threads: the loop's.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/queue.h"
#include "runtime/task.h"

namespace chat {

struct Message {
  std::string room;
  std::string from;
  std::string text;
};

// Nobody takes the messages of a channel fast enough.
class ChannelFull : public std::runtime_error {
 public:
  explicit ChannelFull(const std::string& channel)
      : std::runtime_error("channel " + channel + " is full") {}
};

class ChannelLayer {
 public:
  virtual ~ChannelLayer() = default;

  // Throws ChannelFull instead of waiting: one slow reader must not stop a sender.
  virtual loopsan::Task<> Send(std::string channel, Message message) = 0;
  // Waits for the next message.
  virtual loopsan::Task<Message> Receive(std::string channel) = 0;
  // Forgets it, with what is in it.
  virtual loopsan::Task<> Close(std::string channel) = 0;

  virtual loopsan::Task<> GroupAdd(std::string group, std::string channel) = 0;
  virtual loopsan::Task<> GroupDiscard(std::string group, std::string channel) = 0;
  // To each channel of the group that is not full; returns to how many.
  virtual loopsan::Task<size_t> GroupSend(std::string group, Message message) = 0;
  // How many channels each group has.
  virtual loopsan::Task<std::map<std::string, size_t>> Groups() = 0;
};

// All in this process' memory.
class InMemoryChannelLayer final : public ChannelLayer {
 public:
  explicit InMemoryChannelLayer(size_t capacity) : capacity_(capacity) {}

  loopsan::Task<> Send(std::string channel, Message message) override;
  loopsan::Task<Message> Receive(std::string channel) override;
  loopsan::Task<> Close(std::string channel) override;
  loopsan::Task<> GroupAdd(std::string group, std::string channel) override;
  loopsan::Task<> GroupDiscard(std::string group, std::string channel) override;
  loopsan::Task<size_t> GroupSend(std::string group, Message message) override;
  loopsan::Task<std::map<std::string, size_t>> Groups() override;

 private:
  using Channel = loopsan::Queue<Message>;
  // Shared with who receives from it: it may be closed meanwhile.
  std::shared_ptr<Channel> Find(const std::string& name);

  const size_t capacity_;
  std::map<std::string, std::shared_ptr<Channel>> channels_;
  std::map<std::string, std::set<std::string>> groups_;
};

}  // namespace chat
