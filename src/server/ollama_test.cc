// Ollama's dialect: lines of JSON, durations, models and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr auto answer_text = "one two three four five";

std::vector<json> lines_of(const Response& response) {
  std::vector<json> lines;
  std::istringstream body(response.body);
  for (std::string line; std::getline(body, line);) lines.push_back(json::parse(line));
  return lines;
}

json generating(std::string prompt, json more = json::object()) {
  json body{{"model", "tiny"}, {"prompt", std::move(prompt)}};
  body.update(more);
  return body;
}

TEST(Ollama, AChatIsAStreamUnlessSomebodySaysOtherwise) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post("/api/chat", chat("hi", {{"keep_alive", "5m"}}));
  EXPECT_EQ(response.headers.at("content-type"), "application/x-ndjson");
  const auto lines = lines_of(response);
  std::string text;
  for (const auto& line : lines) {
    EXPECT_EQ(line["model"], "tiny");
    EXPECT_THAT(line["created_at"].get<std::string>(), testing::MatchesRegex("20..-..-..T..:..:...*Z"));
    EXPECT_EQ(line["message"]["role"], "assistant");
    text += line["message"]["content"].get<std::string>();
    EXPECT_EQ(line["done"], &line == &lines.back());
  }
  EXPECT_EQ(text, answer_text);
  const auto& last = lines.back();
  EXPECT_EQ(last["done_reason"], "stop");
  EXPECT_EQ(last["prompt_eval_count"], 21);
  EXPECT_EQ(last["eval_count"], 23);
  for (const auto* duration : {"load_duration", "prompt_eval_duration", "eval_duration"}) EXPECT_GT(last[duration], 0);
  EXPECT_EQ(last["total_duration"].get<std::int64_t>(), last["load_duration"].get<std::int64_t>() +
                                                            last["prompt_eval_duration"].get<std::int64_t>() +
                                                            last["eval_duration"].get<std::int64_t>());
  const auto whole = client.post("/api/chat", chat("hi", {{"stream", false}}));
  EXPECT_EQ(whole.headers.at("content-type"), "application/json");
  EXPECT_EQ(whole.json()["message"]["content"], answer_text);
  EXPECT_EQ(whole.json()["done"], true);
}

TEST(Ollama, APromptIsGeneratedFromWithItsSystem) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto whole = client.post("/api/generate", generating("hi", {{"stream", false}})).json();
  EXPECT_EQ(whole["response"], answer_text);
  EXPECT_EQ(whole["done"], true);
  std::string text;
  for (const auto& line : lines_of(client.post("/api/generate", generating("hi"))))
    text += line["response"].get<std::string>();
  EXPECT_EQ(text, answer_text);
  const auto request = seen(server, "/api/generate", generating("hi", {{"system", "be brief"}}));
  EXPECT_EQ(scripted_tokenizer()->decode(request->prompt, false), "system: be brief\nuser: hi\nassistant: ");
}

TEST(Ollama, OptionsReachTheSampler) {
  ServerUnderTest server;
  const json options{{"temperature", 0.5}, {"top_k", 5},   {"seed", 7},        {"num_predict", 4},
                     {"num_ctx", 8192},    {"num_gpu", 1}, {"stop", {"five"}}, {"repeat_penalty", 1.5}};
  const auto request = seen(server, "/api/chat", chat("hi", {{"options", options}}));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->sampling.temperature, 0.5f);
  EXPECT_EQ(request->sampling.top_k, 5);
  EXPECT_EQ(request->sampling.seed, 7u);
  EXPECT_EQ(request->sampling.repetition_penalty, 1.5f);
  EXPECT_EQ(request->tokens_max, 4u);
  EXPECT_TRUE(seen(server, "/api/chat", chat("hi", {{"model", "tiny:latest"}, {"options", {{"num_predict", -1}}}})));
}

TEST(Ollama, ThoughtsAndCallsHaveFieldsOfTheirOwn) {
  ServerUnderTest server;
  TestClient client(server.port());
  const json tool{{"type", "function"}, {"function", {{"name", "weather"}, {"parameters", {{"type", "object"}}}}}};
  const auto say =
      "[say]<think>hm</think>"
      R"(<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>)";
  const auto message = client.post("/api/chat", chat(say, {{"tools", {tool}}, {"stream", false}})).json()["message"];
  EXPECT_EQ(message["thinking"], "hm");
  EXPECT_EQ(message["content"], "");
  EXPECT_EQ(message["tool_calls"][0]["function"]["name"], "weather");
  EXPECT_EQ(message["tool_calls"][0]["function"]["arguments"], (json{{"city", "Paris"}}));
  std::size_t calls = 0;
  for (const auto& line : lines_of(client.post("/api/chat", chat(say, {{"tools", {tool}}}))))
    calls += line["message"].value("tool_calls", json::array()).size();
  EXPECT_EQ(calls, 1u);
  EXPECT_EQ(client.post("/api/generate", generating("[say]hm</think>yes", {{"think", true}, {"stream", false}}))
                .json()["thinking"],
            "hm");
  const json turns{{{"role", "user"}, {"content", "?"}},
                   {{"role", "assistant"},
                    {"content", ""},
                    {"thinking", "hm"},
                    {"tool_calls", {{{"function", {{"name", "weather"}, {"arguments", {{"city", "Paris"}}}}}}}}},
                   {{"role", "tool"}, {"tool_name", "weather"}, {"content", "rain"}}};
  const auto request = seen(server, "/api/chat", {{"model", "tiny"}, {"messages", turns}});
  ASSERT_TRUE(request);
  EXPECT_EQ(scripted_tokenizer()->decode(request->prompt, false),
            "user: ?\nassistant:  (hm)  weather{\"city\":\"Paris\"}\ntool weather: rain\nassistant: ");
}

TEST(Ollama, AskedForNothingAModelIsLoaded) {
  ServerUnderTest server;
  TestClient client(server.port());
  const std::vector<std::pair<const char*, json>> askings{
      {"/api/generate", {{"model", "tiny"}}},
      {"/api/chat", {{"model", "tiny"}, {"messages", json::array()}, {"stream", false}}}};
  for (const auto& [path, body] : askings) {
    const auto line = lines_of(client.post(path, body)).back();
    EXPECT_EQ(line["done"], true) << path;
    EXPECT_EQ(line["done_reason"], "load") << path;
  }
  EXPECT_THAT(client.post("/api/generate", {{"model", "tiny"}, {"keep_alive", 0}}).json()["error"].get<std::string>(),
              HasSubstr("POST /unload"));
}

TEST(Ollama, ModelsAreListedAndShown) {
  ServerUnderTest server;
  TestClient client(server.port());
  EXPECT_THAT(client.get("/api/version").json()["version"].get<std::string>(), testing::StartsWith("0."));
  const auto models = client.get("/api/tags").json()["models"];
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(models[0]["name"], "tiny");
  EXPECT_EQ(models[0]["model"], "tiny");
  EXPECT_EQ(models[0]["modified_at"], "2023-11-14T22:13:20.000000Z");
  EXPECT_EQ(client.get("/api/ps").json()["models"].size(), 3u);
  for (const auto* field : {"model", "name"}) {
    const auto shown = client.post("/api/show", {{field, "org/tiny:latest"}}).json();
    EXPECT_EQ(shown["capabilities"], (json{"completion", "tools", "thinking"}));
    EXPECT_EQ(shown["model_info"]["scripted.context_length"], 4096);
  }
  EXPECT_EQ(client.post("/api/show", {{"model", "absent"}}).status, 404);
  EXPECT_EQ(client.post("/api/show", json::array()).status, 400);
  client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read(false).status, 200);
  EXPECT_THAT(client.get("/").body, HasSubstr("Ollama is running"));
}

TEST(Ollama, ErrorsAreWords) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto words = [](const Response& response) { return response.json()["error"].get<std::string>(); };
  const auto unknown = client.post("/api/chat", chat("hi", {{"model", "llama9"}}));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(words(unknown), HasSubstr("llama9"));
  EXPECT_THAT(words(client.post("/api/push", {{"model", "llama9"}})), HasSubstr("not supported"));
  EXPECT_THAT(words(client.post("/api/embed", {{"model", "tiny"}})), HasSubstr("generates text"));
  for (const auto& more : {json{{"format", 5}}, json{{"options", {{"mirostat", 2}}}}, json{{"think", 5}},
                           json{{"options", 5}}, json{{"options", {{"temperature", "hot"}}}},
                           json{{"messages", {{{"role", "user"}, {"content", "x"}, {"images", {"eA=="}}}}}}})
    EXPECT_EQ(client.post("/api/chat", chat("hi", more)).status, 400) << more;
  for (const auto& more :
       {json{{"suffix", "x"}}, json{{"raw", true}}, json{{"template", "x"}}, json{{"images", {"x"}}}})
    EXPECT_EQ(client.post("/api/generate", generating("hi", more)).status, 400) << more;
  const auto broken = lines_of(client.post("/api/chat", chat("[broken]")));
  EXPECT_THAT(broken.back()["error"].get<std::string>(), HasSubstr("a stage was lost"));
}

TEST(Ollama, ASilentStreamSaysNothingInJson) {
  ServerUnderTest server({.stream_keepalive = 10ms, .stream_grace = 1ms});
  TestClient client(server.port());
  client.send(post_request("/api/chat", chat("[manual]").dump()));
  EXPECT_THAT(client.read_until("\"content\":\"\"},\"done\":false}\n"), HasSubstr("application/x-ndjson"));
}

}  // namespace
}  // namespace flotilla
