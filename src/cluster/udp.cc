#include "cluster/udp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/limits.h"
#include "base/log.h"
#include "io/tcp_link.h"

namespace flotilla {
namespace {

constexpr int datagrams_per_wake_max = 64;  // a flood must not starve the loop's other work

template <class Value>
bool set_option(int fd, int level, int name, const Value& value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// A non-blocking UDP socket on `port` (0: any) of every address of the family; empty where the system refuses.
Descriptor bound_socket(bool v6, std::uint16_t port) {
  Descriptor socket(::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, IPPROTO_UDP));
  if (!socket) return {};
  const int fd = socket.get();
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (port != 0) {  // shared with other nodes of this machine
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  }
  sockaddr_storage address{};
  socklen_t length = 0;
  if (v6) {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1u);
    auto& in6 = reinterpret_cast<sockaddr_in6&>(address);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    in6.sin6_addr = in6addr_any;
    length = sizeof in6;
  } else {
    set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
    set_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
    set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, 1);
    auto& in4 = reinterpret_cast<sockaddr_in&>(address);
    in4.sin_family = AF_INET;
    in4.sin_port = htons(port);
    in4.sin_addr.s_addr = htonl(INADDR_ANY);
    length = sizeof in4;
  }
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) return {};
  return socket;
}

std::string host_of(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& in4 = reinterpret_cast<const sockaddr_in&>(address);
    return inet_ntop(AF_INET, &in4.sin_addr, text.data(), text.size()) ? text.data() : "";
  }
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
  if (inet_ntop(AF_INET6, &in6.sin6_addr, text.data(), text.size()) == nullptr) return {};
  std::string host = text.data();
  std::array<char, IF_NAMESIZE> interface{};
  if (in6.sin6_scope_id != 0 && if_indextoname(in6.sin6_scope_id, interface.data()) != nullptr)
    host += std::string("%") + interface.data();
  return host;
}

sockaddr_in endpoint_v4(const char* host, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  inet_pton(AF_INET, host, &out.sin_addr);
  return out;
}

sockaddr_in6 endpoint_v6(const char* host, std::uint16_t port, std::uint32_t interface) {
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(port);
  out.sin6_scope_id = interface;
  inet_pton(AF_INET6, host, &out.sin6_addr);
  return out;
}

// By the interface that is named, whatever the routing table would choose: two cables may carry the same subnet, and a
// direct cable has no route for a group at all.
void send_v4(int fd, const sockaddr_in& target, std::uint32_t interface, std::span<const std::byte> datagram) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(in_pktinfo))> control{};
  iovec part{.iov_base = const_cast<std::byte*>(datagram.data()), .iov_len = datagram.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr_in*>(&target);
  message.msg_namelen = sizeof target;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  auto* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_IP;
  header->cmsg_type = IP_PKTINFO;
  header->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  info.ipi_ifindex = static_cast<decltype(info.ipi_ifindex)>(interface);
  std::memcpy(CMSG_DATA(header), &info, sizeof info);
  if (sendmsg(fd, &message, 0) < 0)
    log(LogLevel::debug, "cluster", "beacon by interface {} not sent: {}", interface, std::strerror(errno));
}

class RealBeaconSockets : public BeaconSockets {
 public:
  RealBeaconSockets(boost::asio::io_context& loop, std::uint16_t port, OnDatagram on_datagram)
      : port_(port), on_datagram_(std::move(on_datagram)) {
    for (const bool v6 : {false, true}) {
      adopt(loop, bound_socket(v6, port), v6, ears_);
      adopt(loop, bound_socket(v6, 0), v6, mouths_);
    }
    loopback_ = if_nametoindex("lo");
    if (loopback_ == 0) loopback_ = if_nametoindex("lo0");
  }

  bool can_hear() const { return !ears_.empty(); }

  void begin() {
    for (auto& ear : ears_) listen(*ear);
    for (auto& mouth : mouths_) listen(*mouth);
    refresh_interfaces();
  }

  bool refresh_interfaces() override {
    auto now = real_interfaces();
    const bool changed = now != interfaces_;
    interfaces_ = std::move(now);
    // Joining again where we are a member already fails and changes nothing; an interface that went and came back needs
    // it.
    for (const auto& ear : ears_) {
      join(*ear, loopback_);
      for (const auto& address : interfaces_)
        if (address.v6 == ear->v6) join(*ear, address.index);
    }
    return changed;
  }

  void send_everywhere(std::span<const std::byte> datagram) override {
    for (const auto& mouth : mouths_) {
      const int fd = mouth->stream.native_handle();
      if (!mouth->v6) send_v4(fd, endpoint_v4(beacon_group_v4, port_), loopback_, datagram);
      std::uint32_t last_index = 0;  // an interface may have several addresses; one copy by each family will do
      for (const auto& address : interfaces_) {
        if (address.v6 != mouth->v6) continue;
        send_by(*mouth, address, address.index != std::exchange(last_index, address.index), datagram);
      }
    }
  }

  void send_by(const InterfaceAddress& address, std::span<const std::byte> datagram) override {
    for (const auto& mouth : mouths_)
      if (mouth->v6 == address.v6) send_by(*mouth, address, true, datagram);
  }

  void send_to(const Source& source, std::span<const std::byte> datagram) override {
    for (const auto& mouth : mouths_) {
      if (mouth->v6 != source.v6) continue;
      sendto(mouth->stream.native_handle(), datagram.data(), datagram.size(), 0,
             reinterpret_cast<const sockaddr*>(source.address.data()), static_cast<socklen_t>(source.address.size()));
      return;
    }
  }

 private:
  struct Socket {
    boost::asio::posix::stream_descriptor stream;
    bool v6;
  };
  using Sockets = std::vector<std::unique_ptr<Socket>>;

  static void adopt(boost::asio::io_context& loop, Descriptor socket, bool v6, Sockets& into) {
    if (!socket) return;
    into.push_back(std::make_unique<Socket>(Socket{boost::asio::posix::stream_descriptor(loop, socket.release()), v6}));
  }

  void send_by(Socket& mouth, const InterfaceAddress& address, bool to_group,
               std::span<const std::byte> datagram) const {
    const int fd = mouth.stream.native_handle();
    if (!mouth.v6 && !address.broadcast.empty())
      send_v4(fd, endpoint_v4(address.broadcast.c_str(), port_), address.index, datagram);
    if (!to_group) return;
    if (mouth.v6)
      send_v6(fd, address.index, datagram);
    else
      send_v4(fd, endpoint_v4(beacon_group_v4, port_), address.index, datagram);
  }

  static void join(const Socket& ear, std::uint32_t interface) {
    const int fd = const_cast<Socket&>(ear).stream.native_handle();
    if (ear.v6) {
      ipv6_mreq request{};
      inet_pton(AF_INET6, beacon_group_v6, &request.ipv6mr_multiaddr);
      request.ipv6mr_interface = interface;
      set_option(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, request);
    } else {
      ip_mreqn request{};
      inet_pton(AF_INET, beacon_group_v4, &request.imr_multiaddr);
      request.imr_ifindex = static_cast<int>(interface);
      set_option(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, request);
    }
  }

  void send_v6(int fd, std::uint32_t interface, std::span<const std::byte> datagram) const {
    const auto target = endpoint_v6(beacon_group_v6, port_, interface);
    set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(interface));
    if (sendto(fd, datagram.data(), datagram.size(), 0, reinterpret_cast<const sockaddr*>(&target), sizeof target) < 0)
      log(LogLevel::debug, "cluster", "beacon by interface {} not sent: {}", interface, std::strerror(errno));
  }

  // Waits for readiness only and then reads what is there, so that no buffer has to outlive this object.
  void listen(Socket& socket) {
    socket.stream.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                             [this, &socket, alive = std::weak_ptr(alive_)](boost::system::error_code error) {
                               if (error || alive.expired()) return;
                               if (read_all(socket)) listen(socket);
                             });
  }

  // False where the handler ended this object.
  bool read_all(Socket& socket) {
    const std::weak_ptr alive = alive_;
    for (int i = 0; i < datagrams_per_wake_max; ++i) {
      std::array<std::byte, limits::beacon_bytes_max + 1> buffer;
      sockaddr_storage address{};
      socklen_t length = sizeof address;
      const auto bytes = recvfrom(socket.stream.native_handle(), buffer.data(), buffer.size(), 0,
                                  reinterpret_cast<sockaddr*>(&address), &length);
      // A port-unreachable report of an earlier send comes up here as an error and is used up by it.
      if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
      if (bytes < 0) continue;
      const auto* raw = reinterpret_cast<const std::byte*>(&address);
      const Source source{.host = host_of(address), .address = {raw, raw + length}, .v6 = socket.v6};
      on_datagram_(source, std::span(buffer).first(static_cast<std::size_t>(bytes)));
      if (alive.expired()) return false;
    }
    return true;
  }

  const std::uint16_t port_;
  const OnDatagram on_datagram_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
  Sockets ears_, mouths_;
  std::vector<InterfaceAddress> interfaces_;
  std::uint32_t loopback_ = 0;
};

}  // namespace

Result<std::unique_ptr<BeaconSockets>> BeaconSockets::open(boost::asio::io_context& loop, std::uint16_t discovery_port,
                                                           OnDatagram on_datagram) {
  auto sockets = std::make_unique<RealBeaconSockets>(loop, discovery_port, std::move(on_datagram));
  if (!sockets->can_hear())
    return fail(
        Code::unavailable,
        "[cluster] expected to listen for beacons on UDP port {} but got: {}; other machines are found by --peer only",
        discovery_port, std::strerror(errno));
  sockets->begin();
  return sockets;
}

}  // namespace flotilla
