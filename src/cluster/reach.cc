#include "cluster/reach.h"

#include <boost/asio/io_context.hpp>
#include <cstddef>

#include "base/words.h"
#include "cluster/dialer.h"

namespace flotilla {

std::vector<Reach> reach(const std::vector<PeerAddress>& addresses, std::chrono::milliseconds patience) {
  std::vector<Reach> reached(addresses.size());
  boost::asio::io_context loop;
  const auto began = std::chrono::steady_clock::now();
  std::size_t missing = addresses.size();
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    reached[i].address = addresses[i];
    dial(loop, addresses[i], patience, [&, i](const Result<Descriptor>& socket) {
      if (socket)
        reached[i].answered_in =
            std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
      else
        reached[i].why = without_room(socket.error().message);
      if (--missing == 0) loop.stop();  // a name that is looked up for long would hold it up
    });
  }
  if (missing > 0) loop.run();
  return reached;
}

}  // namespace flotilla
