// `flotilla key`: makes, lists and revokes the keys of this machine's API. Works on the home, so that no node need run;
// one that does notices. Each returns the process's exit code.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace flotilla {

struct KeyOptions {
  std::filesystem::path home;
  std::string name;                          // create: empty gives the key its id as a name; revoke: a name or an id
  std::vector<std::string> scopes{"infer"};  // names of scopes (server/access.h)
  bool json = false;
};

int create_key(const KeyOptions& options);  // the key alone on stdout, what is to be known about it on stderr
int list_keys(const KeyOptions& options);
int revoke_key(const KeyOptions& options);

}  // namespace flotilla
