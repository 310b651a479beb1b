#include "wire/step.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "wire/values.h"

namespace flotilla {
namespace {

// The body's records, copied as they lie in memory: every field is four bytes, so no compiler pads them.
struct BodyHead {
  std::uint32_t rows, frees, truncates, copies, activation_rows, width, type, reserved;
};
struct RowRecord {
  std::uint32_t sequence, position;
  std::int32_t token;
  std::uint32_t flags;
};
struct TruncateRecord {
  std::uint32_t sequence, keep_positions;
};
struct CopyRecord {
  std::uint32_t from, to, positions;
};
static_assert(sizeof(BodyHead) == 32 && sizeof(RowRecord) == 16 && sizeof(TruncateRecord) == 8 &&
              sizeof(CopyRecord) == 12);

constexpr std::uint32_t wants_logits_flag = 1, likeliest_flag = 2;

std::uint32_t flags_of(const StepRow& row) {
  if (!row.wants_logits) return 0;
  return wants_logits_flag | (row.likeliest_is_enough ? likeliest_flag : 0);
}

bool flags_ok(std::uint32_t flags) {
  return flags <= wants_logits_flag || flags == (wants_logits_flag | likeliest_flag);
}

class RecordWriter {
 public:
  explicit RecordWriter(std::byte* to) : to_(to) {}
  template <class T>
  void put(const T& record) {
    std::memcpy(to_, &record, sizeof record);
    to_ += sizeof record;
  }
  std::byte* at() { return to_; }

 private:
  std::byte* to_;
};

// Only after the length was proven to be what the counts say.
class RecordReader {
 public:
  explicit RecordReader(const std::byte* from) : from_(from) {}
  template <class T>
  T take() {
    T record;
    std::memcpy(&record, from_, sizeof record);
    from_ += sizeof record;
    return record;
  }
  const std::byte* at() const { return from_; }

 private:
  const std::byte* from_;
};

std::size_t orders_bytes(const BodyHead& head) {
  return sizeof head + head.rows * sizeof(RowRecord) + head.frees * std::size_t{4} +
         head.truncates * sizeof(TruncateRecord) + head.copies * sizeof(CopyRecord);
}


// Every count is bounded first, so that the sums below cannot overflow and nothing is allocated for a lie.
Status check_head(const BodyHead& head, std::size_t body_bytes) {
  using namespace limits;
  if (head.rows > step_rows_max || head.activation_rows > head.rows || head.width > embedding_length_max ||
      head.frees > sequences_max || head.truncates > sequences_max || head.copies > sequences_max) {
    return fail(Code::too_large,
                "[wire] expected at most {} rows of width {} and {} cache orders of a kind but got {} rows, {} rows of "
                "activations, width {}, {} to free, {} to truncate, {} to copy; the ring's peer is broken",
                step_rows_max, embedding_length_max, sequences_max, head.rows, head.activation_rows, head.width,
                head.frees, head.truncates, head.copies);
  }
  if (head.type > static_cast<std::uint32_t>(ActivationType::bf16) || head.reserved != 0 ||
      (head.activation_rows > 0 && head.width == 0)) {
    return fail(Code::corrupt,
                "[wire] expected activations of type 0 or 1 and some width but got type {}, width {}, reserved {}; the "
                "ring's peer is broken",
                head.type, head.width, head.reserved);
  }
  const std::size_t expected = orders_bytes(head) + std::size_t{head.activation_rows} * head.width *
                                                        value_bytes(static_cast<ActivationType>(head.type));
  if (body_bytes != expected) {
    return fail(Code::corrupt, "[wire] expected a step of {} bytes by its counts but got {}; the ring's peer is broken",
                expected, body_bytes);
  }
  return {};
}

bool sequence_ok(std::uint32_t sequence) { return sequence < limits::sequences_max; }
bool positions_ok(std::uint32_t positions) { return positions <= limits::context_tokens_max; }

bool take_rows(RecordReader& reader, std::uint32_t count, std::vector<StepRow>& rows) {
  rows.resize(count);
  for (StepRow& row : rows) {
    const auto record = reader.take<RowRecord>();
    if (!sequence_ok(record.sequence) || record.position >= limits::context_tokens_max || record.token < 0 ||
        record.token >= static_cast<TokenId>(limits::vocabulary_max) || !flags_ok(record.flags)) {
      return false;
    }
    row = {SeqId{record.sequence}, record.position, record.token, (record.flags & wants_logits_flag) != 0,
           (record.flags & likeliest_flag) != 0};
  }
  return true;
}

bool take_orders(RecordReader& reader, const BodyHead& head, StepBatch& batch) {
  bool ok = true;
  batch.free.resize(head.frees);
  for (SeqId& sequence : batch.free) {
    sequence.value = reader.take<std::uint32_t>();
    ok = ok && sequence_ok(sequence.value);
  }
  batch.truncate.resize(head.truncates);
  for (CacheTruncate& truncate : batch.truncate) {
    const auto record = reader.take<TruncateRecord>();
    truncate = {SeqId{record.sequence}, record.keep_positions};
    ok = ok && sequence_ok(record.sequence) && positions_ok(record.keep_positions);
  }
  batch.copy_prefix.resize(head.copies);
  for (CacheCopy& copy : batch.copy_prefix) {
    const auto record = reader.take<CopyRecord>();
    copy = {SeqId{record.from}, SeqId{record.to}, record.positions};
    ok = ok && sequence_ok(record.from) && sequence_ok(record.to) && positions_ok(record.positions);
  }
  return ok;
}

}  // namespace

std::size_t StepBatch::logits_rows() const {
  return static_cast<std::size_t>(std::ranges::count_if(rows, &StepRow::wants_logits));
}

void encode_step(const StepBatch& batch, std::span<const float> values, std::uint32_t width, ActivationType type,
                 Bytes& scratch) {
  check(width > 0 ? values.size() % width == 0 : values.empty(), "activations are whole rows");
  check(batch.rows.size() <= limits::step_rows_max, "a step has at most step_rows_max rows");
  const BodyHead head{.rows = static_cast<std::uint32_t>(batch.rows.size()),
                      .frees = static_cast<std::uint32_t>(batch.free.size()),
                      .truncates = static_cast<std::uint32_t>(batch.truncate.size()),
                      .copies = static_cast<std::uint32_t>(batch.copy_prefix.size()),
                      .activation_rows = width > 0 ? static_cast<std::uint32_t>(values.size() / width) : 0,
                      .width = width,
                      .type = static_cast<std::uint32_t>(type),
                      .reserved = 0};
  scratch.resize(orders_bytes(head) + values.size() * value_bytes(type));
  RecordWriter writer(scratch.data());
  writer.put(head);
  for (const StepRow& row : batch.rows) {
    writer.put(RowRecord{row.sequence.value, row.position, row.token, flags_of(row)});
  }
  for (const SeqId& sequence : batch.free) writer.put(sequence.value);
  for (const CacheTruncate& t : batch.truncate) writer.put(TruncateRecord{t.sequence.value, t.keep_positions});
  for (const CacheCopy& c : batch.copy_prefix) writer.put(CopyRecord{c.from.value, c.to.value, c.positions});
  put_values(writer.at(), values, type);
}

Status decode_step(const FrameHeader& header, std::span<const std::byte> body, StepBatch& batch,
                   Activations& activations) {
  if (body.size() < sizeof(BodyHead)) {
    return fail(Code::corrupt, "[wire] expected a step of at least {} bytes but got {}; the ring's peer is broken",
                sizeof(BodyHead), body.size());
  }
  RecordReader reader(body.data());
  const auto head = reader.take<BodyHead>();
  FLOTILLA_TRY_STATUS(check_head(head, body.size()));
  batch.epoch = header.epoch;
  batch.step = header.step;
  if (!take_rows(reader, head.rows, batch.rows) || !take_orders(reader, head, batch)) {
    return fail(Code::corrupt,
                "[wire] expected rows and cache orders within sequences {}, positions {} and tokens {} but "
                "got one outside; the ring's peer is broken",
                limits::sequences_max, limits::context_tokens_max, limits::vocabulary_max);
  }
  if (head.activation_rows != head.rows && head.activation_rows != batch.logits_rows()) {
    return fail(Code::corrupt, "[wire] expected {} or {} rows of activations but got {}; the ring's peer is broken",
                head.rows, batch.logits_rows(), head.activation_rows);
  }
  activations.rows = head.activation_rows;
  activations.width = head.width;
  activations.values.resize(std::size_t{head.activation_rows} * head.width);
  take_values(reader.at(), activations.values, static_cast<ActivationType>(head.type));
  return {};
}

}  // namespace flotilla
