#include "hub/cached_choice.h"

#include <algorithm>
#include <format>

#include "base/words.h"
#include "hub/model_reference.h"
#include "model/excerpt.h"

namespace flotilla {
namespace {

// By the rules by which it was chosen when it was pulled.
Result<CachedModel> choose_referenced(const std::vector<CachedModel>& models, const ModelReference& reference) {
  std::vector<HubFile> listing;
  for (const CachedModel& model : models) {
    if (lower_case(model.repository) != lower_case(reference.repository)) continue;
    for (const auto& file : model.files) listing.push_back({.path = file.string(), .bytes = 0, .sha256 = {}});
  }
  if (listing.empty())
    return fail(Code::not_found, "[hub] expected {} among the models that were pulled but it is not there",
                reference.repository);
  FLOTILLA_TRY(const auto files, choose_files(listing, reference.repository, reference.quant));
  return *std::ranges::find(models, files.front().path,
                            [](const CachedModel& model) { return model.first_file().string(); });
}

}  // namespace

Result<CachedModel> choose_cached(const std::vector<CachedModel>& models, const std::string& typed) {
  const auto reference = parse_model_reference(typed);
  if (typed.contains('/') && reference && reference->file.empty()) return choose_referenced(models, *reference);
  std::vector<const CachedModel*> whole, beginnings;
  std::string names;
  for (const CachedModel& model : models) {
    names += (names.empty() ? "" : ", ") + model.name;
    if (model.name == typed) whole.push_back(&model);
    if (!typed.empty() && lower_case(model.name).starts_with(lower_case(typed))) beginnings.push_back(&model);
  }
  const auto& fitting = whole.empty() ? beginnings : whole;
  if (fitting.size() == 1) return *fitting.front();
  if (fitting.empty() && reference && reference->file.empty()) return choose_referenced(models, *reference);
  if (fitting.empty())
    return fail(Code::not_found, "[hub] expected '{}' among the models that were pulled but {}", excerpt(typed),
                names.empty() ? "there are none" : "there are: " + names);
  std::string choices;
  for (const CachedModel* model : fitting) choices += (choices.empty() ? "" : ", ") + model->reference();
  return fail(Code::invalid_argument, "[hub] '{}' could be any of: {}; type one of them", excerpt(typed), choices);
}

}  // namespace flotilla
