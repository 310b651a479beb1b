#include "cluster/dialer.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

namespace flotilla {
namespace {

using boost::asio::ip::tcp;

// One attempt. Lives as long as one of its operations is under way.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(boost::asio::io_context& loop, PeerAddress address, std::function<void(Result<Descriptor>)> on_done)
      : address_(std::move(address)), on_done_(std::move(on_done)), resolver_(loop), socket_(loop), timer_(loop) {}

  void begin(std::chrono::milliseconds patience) {
    timer_.expires_after(patience);
    timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->finish(fail(Code::timeout, "[cluster] no answer from {} in time", to_string(self->address_)));
    });
    // Numbers do not queue behind a name server that does not answer: all names of a loop share one resolver thread.
    boost::system::error_code not_a_number;
    if (const auto number = boost::asio::ip::make_address(address_.host, not_a_number); !not_a_number) {
      socket_.async_connect(
          tcp::endpoint(number, address_.port),
          [self = shared_from_this()](boost::system::error_code error) { self->on_connected(error); });
      return;
    }
    resolver_.async_resolve(
        address_.host, std::to_string(address_.port), tcp::resolver::numeric_service,
        [self = shared_from_this()](boost::system::error_code error, const tcp::resolver::results_type& found) {
          self->on_resolved(error, found);
        });
  }

 private:
  void on_resolved(boost::system::error_code error, const tcp::resolver::results_type& found) {
    if (!on_done_) return;
    if (error)
      return finish(fail(Code::not_found, "[cluster] expected an address for {} but got: {}; check the name",
                         address_.host, error.message()));
    boost::asio::async_connect(socket_, found,
                               [self = shared_from_this()](boost::system::error_code failed, const tcp::endpoint&) {
                                 self->on_connected(failed);
                               });
  }

  void on_connected(boost::system::error_code error) {
    if (!on_done_) return;
    if (!error) {
      const int fd = socket_.release(error);
      if (!error) return finish(Descriptor(fd));
    }
    finish(fail(Code::unavailable, "[cluster] expected an answer from {} but got: {}", to_string(address_),
                error.message()));
  }

  void finish(Result<Descriptor> result) {
    if (!on_done_) return;
    const auto on_done = std::exchange(on_done_, nullptr);
    boost::system::error_code ignored;
    timer_.cancel();
    resolver_.cancel();
    socket_.close(ignored);
    on_done(std::move(result));
  }

  const PeerAddress address_;
  std::function<void(Result<Descriptor>)> on_done_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  boost::asio::steady_timer timer_;
};

}  // namespace

void dial(boost::asio::io_context& loop, const PeerAddress& address, std::chrono::milliseconds patience,
          std::function<void(Result<Descriptor>)> on_done) {
  std::make_shared<Attempt>(loop, address, std::move(on_done))->begin(patience);
}

}  // namespace flotilla
