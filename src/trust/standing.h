// Decides what this machine can prove and whom it believes: its key, its cluster's certificate and its own, tokens
// given out, machines put out. In: files of HOME/trust, orders of this machine's owner, what peers show. Out: TLS
// contexts, verdicts, certificates. Owns: HOME/trust.
//
//   device.key       this machine's key, made on the first start (0600)
//   membership.pem   its certificate as a member, then the cluster's
//   cluster.key      only where this machine may let others in and put them out (0600)
//   tokens.json      join tokens given out, without their secrets (0600)
//   revoked.bin      machines put out, signed
//   members.txt      the members met, so that one that is away can be put out by its name
//   known.txt        which key came under which name first, for --trust-lan
//
// Thread: any; guarded. What changes something writes a file and waits for the disk (a few milliseconds, more where it
// is slow), and so does the node's loop that asks for it: founding, joining, redeeming, making and ending tokens,
// putting out, and a name that is new. Time is passed in. Never: hands out a private key, believes a name.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "trust/certificate.h"
#include "trust/join_token.h"
#include "trust/known_devices.h"
#include "trust/revocations.h"
#include "trust/signing_key.h"
#include "trust/tls_context.h"

namespace flotilla {

// What a newcomer is given.
struct Admission {
  Bytes member, cluster;  // certificates
  Bytes revocations;      // may be empty
};

class Standing {
 public:
  // Makes the folder and the key where they are missing. corrupt, permission with what to do.
  static Result<std::shared_ptr<Standing>> open(const std::filesystem::path& folder);
  // A new device of which nothing is written down: for tests and probes.
  static std::shared_ptr<Standing> in_memory();

  DeviceId device() const { return key_.id(); }
  NodeId node() const { return node_id_of(device()); }
  PublicKey public_key() const { return key_.public_key(); }
  TlsContext tls() const;  // as things stand now, kept until they change; connections made before keep theirs

  // --- The cluster ---
  std::optional<DeviceId> cluster() const;  // none: this machine is alone
  bool may_sign() const;
  std::optional<WallTime> membership_ends() const;
  bool wants_renewal(WallTime now) const;
  Bytes membership() const;  // this machine's certificate; empty where it is alone
  // Whether a device that shows this is a member of this machine's cluster; unauthorized with a sentence.
  Status judge(const Certificate& shown, std::string_view name, WallTime now) const;
  // The same once more while it is connected: a clock that is set back ends no membership.
  Status judge_again(const Certificate& shown, std::string_view name, WallTime now) const;
  // The same for the cluster's certificate that came with it: whether the token is of that cluster.
  static Status judge_for_token(const Certificate& shown, const std::optional<Certificate>& issuer,
                                const JoinToken& token, WallTime now);

  // This machine becomes the first of a new cluster, and signs for it. busy where it is in one.
  Status found_cluster(WallTime now);
  // A certificate for a newcomer or for a member whose time is half over. unavailable where this machine may not sign;
  // unauthorized for one put out, unless `anew`: its owner, or who has a token, wants it back.
  Result<Admission> admit(const PublicKey& member, bool anew, WallTime now);
  // What admit() gave on another machine. unauthorized where it is for another key, or of another cluster than this
  // machine is in.
  Status accept(const Admission& admission, WallTime now);
  Status leave_cluster();  // forgets the certificate, and the cluster's key where it is here

  // --- Tokens; where this machine may sign ---
  // `maker`: the member that asks for it; none: this machine.
  Result<std::string> create_token(std::chrono::seconds lifetime, std::uint32_t uses, WallTime now,
                                   const std::optional<NodeId>& maker = {});
  Status redeem(const TokenProof& proof, const Digest& exporter, const DeviceId& newcomer, WallTime now);
  Result<std::vector<TokenFacts>> tokens(WallTime now) const;  // those that still let in
  Status end_token(const TokenName& token, WallTime now);      // not_found

  // --- Machines put out ---
  // Ends the tokens that it has used or made, too. unavailable where this machine may not sign; too_large.
  Status revoke(const DeviceId& device, WallTime now);
  bool is_revoked(const DeviceId& device) const;
  Bytes revocations() const;  // signed, for the others; may be empty
  // True where it was newer than ours. It holds at once; write_revocations() has it outlive this process too.
  Result<bool> adopt_revocations(std::span<const std::byte> list);
  Status write_revocations();  // those adopted since the last one that worked; no_space, permission

  // --- Names, for people ---
  void note_member(const std::string& name, const DeviceId& device);
  std::vector<KnownDevice> members_met() const;  // several may have one name

  // --- --trust-lan ---
  Status meet(const std::string& name, const DeviceId& device);

 private:
  Standing(std::filesystem::path folder, SigningKey key);
  Status read_files();
  Status read_membership();
  Status write(std::string_view name, std::string_view text, mode_t mode) const;
  Status keep_membership(const Certificate& member, const Certificate& cluster);
  Status keep_revocations(RevocationList list);
  Status write(const RevocationList& list) const;
  Status keep_tokens(TokenBook book);
  Status remove(std::string_view name) const;
  Status clear_leftovers() const;
  Result<Certificate> sign(const PublicKey& member, WallTime now) const;

  mutable std::mutex mutex_;
  const std::filesystem::path folder_;  // empty: nothing is written
  const SigningKey key_;
  std::optional<Certificate> member_, cluster_;
  std::optional<SigningKey> cluster_key_;
  TokenBook tokens_;
  RevocationList revocations_;
  bool are_revocations_written_ = true;
  KnownDevices known_, met_;
  mutable std::optional<TlsContext> tls_;
};

}  // namespace flotilla
