#include "murmur/base/blob.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "murmur/base/check.hpp"
#include "murmur/base/hash.hpp"

namespace murmur {

namespace {

constexpr std::size_t kMagicSize = 8;
constexpr std::size_t kDigestSize = sizeof(std::uint64_t);

constexpr std::size_t element_size(BlobType type) {
  switch (type) {
    case BlobType::kBytes:
      return 1;
    case BlobType::kU32:
    case BlobType::kI32:
    case BlobType::kF32:
      return 4;
    case BlobType::kU64:
    case BlobType::kI64:
    case BlobType::kF64:
      return 8;
  }
  return 0;  // a type from a damaged file
}

std::uint64_t digest_of(std::span<const std::byte> bytes) {
  Fnv1a hash;
  hash.update(bytes);
  return hash.digest();
}

template <class T>
void append(std::vector<std::byte>& bytes, const T& value) {
  const auto raw = std::as_bytes(std::span<const T>(&value, 1));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

template <class T>
T load(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::string quoted(std::string_view name) {
  return "'" + std::string(name) + "'";
}

// A damaged file's characters must not reach a terminal, nor Python, whose texts are UTF-8.
bool is_printable(std::byte b) {
  return b >= std::byte{' '} && b <= std::byte{'~'};
}

std::string printable(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) text += is_printable(b) ? static_cast<char>(b) : '?';
  return quoted(text);
}

}  // namespace

BlobWriter::BlobWriter(BlobKind kind) {
  MURMUR_ASSERT(kind.magic.size() == kMagicSize);
  const auto magic = std::as_bytes(std::span(kind.magic));
  bytes_.reserve(4096);  // also keeps GCC 12 from a false -Warray-bounds in the first growth
  bytes_.insert(bytes_.end(), magic.begin(), magic.end());
  append(bytes_, kind.version);
}

void BlobWriter::put(std::string_view name, std::string_view text) {
  put_raw(name, BlobType::kBytes, text.size(), std::as_bytes(std::span(text)));
}

std::vector<std::byte> BlobWriter::finish() && {
  append(bytes_, digest_of(bytes_));
  return std::move(bytes_);
}

void BlobWriter::put_raw(std::string_view name, BlobType type, std::size_t count,
                         std::span<const std::byte> bytes) {
  MURMUR_ASSERT(!name.empty() && name.size() <= 255);
  const auto name_bytes = std::as_bytes(std::span(name));
  append(bytes_, static_cast<std::uint8_t>(name.size()));
  bytes_.insert(bytes_.end(), name_bytes.begin(), name_bytes.end());
  append(bytes_, static_cast<std::uint8_t>(type));
  append(bytes_, static_cast<std::uint64_t>(count));
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

BlobReader::BlobReader(std::span<const std::byte> bytes, BlobKind kind) {
  MURMUR_ASSERT(kind.magic.size() == kMagicSize);
  if (bytes.size() < kMagicSize + sizeof(std::uint32_t) + kDigestSize) {
    throw BlobError("cut short: " + std::to_string(bytes.size()) + " bytes are too few for a header");
  }
  const auto magic = bytes.first(kMagicSize);
  if (std::memcmp(magic.data(), kind.magic.data(), kMagicSize) != 0) {
    throw BlobError("not a " + quoted(kind.magic) + " file: it starts with " + printable(magic));
  }
  const auto body = bytes.first(bytes.size() - kDigestSize);
  const auto version = load<std::uint32_t>(bytes.subspan(kMagicSize));
  // Version before digest: a newer format may end differently, and its user should read "version", not
  // "damaged".
  if (version != kind.version) {
    throw BlobError(quoted(kind.magic) + " file of version " + std::to_string(version) +
                    ", this program reads " + std::to_string(kind.version));
  }
  if (load<std::uint64_t>(bytes.last(kDigestSize)) != digest_of(body)) {
    throw BlobError(quoted(kind.magic) + " file is damaged: its digest does not match its content");
  }
  rest_ = body.subspan(kMagicSize + sizeof(std::uint32_t));
}

std::string BlobReader::get_text(std::string_view name, std::size_t max_size) {
  const Field field = next_field(name);
  if (field.type != BlobType::kBytes) throw BlobError("field " + quoted(name) + " is not a text");
  if (field.count > max_size) {
    throw BlobError("field " + quoted(name) + " has " + std::to_string(field.count) +
                    " characters, at most " + std::to_string(max_size) + " are allowed");
  }
  if (!std::ranges::all_of(field.bytes, is_printable)) {
    throw BlobError("field " + quoted(name) + " holds characters that no text of ours has");
  }
  std::string text(field.bytes.size(), '\0');
  if (!text.empty()) std::memcpy(text.data(), field.bytes.data(), text.size());
  return text;
}

void BlobReader::expect_end() const {
  if (!rest_.empty()) throw BlobError(std::to_string(rest_.size()) + " bytes are left over at the end");
}

BlobReader::Field BlobReader::next_field(std::string_view name) {
  const auto name_size = load<std::uint8_t>(take(1, name));
  const auto found = take(name_size, name);
  if (found.size() != name.size() || std::memcmp(found.data(), name.data(), name.size()) != 0) {
    throw BlobError("expected field " + quoted(name) + ", found " + printable(found));
  }
  const auto type = static_cast<BlobType>(load<std::uint8_t>(take(1, name)));
  const auto count = load<std::uint64_t>(take(sizeof(std::uint64_t), name));
  const std::size_t size = element_size(type);
  if (size == 0) throw BlobError("field " + quoted(name) + " has an unknown type");
  if (count > rest_.size() / size) {
    throw BlobError("field " + quoted(name) + " is cut short: it declares " + std::to_string(count) +
                    " values");
  }
  return {type, count, take(static_cast<std::size_t>(count) * size, name)};
}

std::span<const std::byte> BlobReader::take(std::size_t size, std::string_view what) {
  if (size > rest_.size()) throw BlobError("cut short before field " + quoted(what));
  const auto taken = rest_.first(size);
  rest_ = rest_.subspan(size);
  return taken;
}

void BlobReader::get_raw(std::string_view name, BlobType type, std::size_t count, std::span<std::byte> out) {
  const Field field = next_field(name);
  if (field.type != type) {
    throw BlobError("field " + quoted(name) + " has type " + std::to_string(static_cast<int>(field.type)) +
                    ", expected type " + std::to_string(static_cast<int>(type)));
  }
  if (field.count != count) {
    throw BlobError("field " + quoted(name) + " has " + std::to_string(field.count) + " values, expected " +
                    std::to_string(count));
  }
  if (!out.empty()) std::memcpy(out.data(), field.bytes.data(), out.size());
}

}  // namespace murmur
