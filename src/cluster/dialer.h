// Connects to a host by name or number without blocking the loop.
//
// Thread: the loop's; callbacks too, never from inside dial().
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>

#include "base/result.h"
#include "cluster/address.h"
#include "io/tcp_link.h"

namespace flotilla {

// Resolves, then tries the addresses one after the other, for at most `patience` altogether. The socket is connected
// and of either family. not_found, unavailable or timeout with the address and what to do in the message. The callback
// is called exactly once, unless the loop ends first.
void dial(boost::asio::io_context& loop, const PeerAddress& address, std::chrono::milliseconds patience,
          std::function<void(Result<Descriptor>)> on_done);

}  // namespace flotilla
