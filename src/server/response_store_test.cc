#include "server/response_store.h"

#include <gtest/gtest.h>

#include <string>

namespace flotilla {
namespace {

ResponseStore::Messages of_bytes(std::size_t bytes) {
  return std::make_shared<const std::vector<ChatMessage>>(
      std::vector<ChatMessage>{{.role = "user", .content = std::string(bytes, 'x'), .name = {}}});
}

TEST(ResponseStore, WhatOneKeyKeptNoOtherFinds) {
  ResponseStore store;
  store.keep(1, "a", of_bytes(1));
  EXPECT_NE(store.find(1, "a"), nullptr);
  EXPECT_EQ(store.find(2, "a"), nullptr);
  EXPECT_EQ(store.find(1, "b"), nullptr);
}

TEST(ResponseStore, AKeyThatKeepsMuchLosesItsOwnOldest) {
  ResponseStore store({.bytes_max = 100'000, .bytes_per_key_max = 30'000});
  store.keep(1, "other", of_bytes(9'000));
  for (const auto* id : {"a", "b", "c", "d"}) store.keep(2, id, of_bytes(9'000));
  EXPECT_EQ(store.find(2, "a"), nullptr);
  for (const auto* id : {"b", "c", "d"}) EXPECT_NE(store.find(2, id), nullptr) << id;
  EXPECT_NE(store.find(1, "other"), nullptr);
  store.keep(2, "huge", of_bytes(40'000));
  EXPECT_EQ(store.find(2, "huge"), nullptr);
  EXPECT_NE(store.find(2, "d"), nullptr);
}

TEST(ResponseStore, AllTogetherAreBoundedInBytesAndNumber) {
  ResponseStore bytes({.bytes_max = 30'000, .bytes_per_key_max = 30'000});
  for (std::uint64_t key = 0; key < 10; ++key) bytes.keep(key, std::to_string(key), of_bytes(9'000));
  EXPECT_EQ(bytes.find(6, "6"), nullptr);
  EXPECT_NE(bytes.find(7, "7"), nullptr);
  ResponseStore number({.responses_max = 2});
  for (const auto* id : {"a", "b", "c"}) number.keep(1, id, of_bytes(1));
  EXPECT_EQ(number.find(1, "a"), nullptr);
  EXPECT_NE(number.find(1, "c"), nullptr);
}

}  // namespace
}  // namespace flotilla
