#include "channel_layer.h"

#include <utility>

namespace chat {

using loopsan::Task;

std::shared_ptr<InMemoryChannelLayer::Channel> InMemoryChannelLayer::Find(const std::string& name) {
  std::shared_ptr<Channel>& channel = channels_[name];
  if (channel == nullptr) channel = std::make_shared<Channel>(capacity_);
  return channel;
}

Task<> InMemoryChannelLayer::Send(std::string channel, Message message) {
  if (!Find(channel)->TryPut(std::move(message))) throw ChannelFull(channel);
  co_return;
}

Task<Message> InMemoryChannelLayer::Receive(std::string channel) {
  const std::shared_ptr<Channel> queue = Find(channel);
  Message message = co_await queue->Get();
  co_return message;
}

Task<> InMemoryChannelLayer::Close(std::string channel) {
  channels_.erase(channel);
  co_return;
}

Task<> InMemoryChannelLayer::GroupAdd(std::string group, std::string channel) {
  groups_[group].insert(channel);
  co_return;
}

Task<> InMemoryChannelLayer::GroupDiscard(std::string group, std::string channel) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) co_return;
  found->second.erase(channel);
  if (found->second.empty()) groups_.erase(found);
}

Task<size_t> InMemoryChannelLayer::GroupSend(std::string group, Message message) {
  size_t sent = 0;
  const auto found = groups_.find(group);
  if (found == groups_.end()) co_return sent;
  for (const std::string& channel : found->second) {
    if (Find(channel)->TryPut(message)) ++sent;
  }
  co_return sent;
}

Task<std::map<std::string, size_t>> InMemoryChannelLayer::Groups() {
  std::map<std::string, size_t> sizes;
  for (const auto& [group, channels] : groups_) sizes[group] = channels.size();
  co_return sizes;
}

}  // namespace chat
