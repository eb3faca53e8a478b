#pragma once
// The checkpoint format: a magic, a version, named arrays in the order they were written, and an FNV-1a
// digest of everything before it. Little-endian. A reader asks for each field by name, type and size;
// whatever does not fit is a BlobError that names the field, never a crash and never an allocation that the
// file's size does not justify.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace murmur {

static_assert(std::endian::native == std::endian::little, "the blob format is written as memory is");

/// The bytes are not the blob that was asked for: damaged, cut short, of another kind, version or shape.
class BlobError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Says what a blob is: eight characters of magic and a version, which grows when the fields change.
struct BlobKind {
  std::string_view magic;  // exactly 8 characters
  std::uint32_t version = 1;
};

enum class BlobType : std::uint8_t { kBytes = 0, kU32 = 1, kI32 = 2, kU64 = 3, kI64 = 4, kF32 = 5, kF64 = 6 };

template <class T>
[[nodiscard]] constexpr BlobType blob_type() {
  if constexpr (std::is_same_v<T, float>)
    return BlobType::kF32;
  else if constexpr (std::is_same_v<T, double>)
    return BlobType::kF64;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 1)
    return BlobType::kBytes;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 4)
    return std::is_signed_v<T> ? BlobType::kI32 : BlobType::kU32;
  else {
    static_assert(std::is_integral_v<T> && sizeof(T) == 8, "blobs hold bytes, 32 and 64 bit numbers");
    return std::is_signed_v<T> ? BlobType::kI64 : BlobType::kU64;
  }
}

/// Collects fields, then gives the finished bytes.
class BlobWriter {
 public:
  explicit BlobWriter(BlobKind kind);

  /// Append an array. `name` has 1 to 255 characters.
  template <class T>
  void put(std::string_view name, std::span<const T> values) {
    put_raw(name, blob_type<T>(), values.size(), std::as_bytes(values));
  }
  template <class T>
  void put(std::string_view name, const std::vector<T>& values) {
    put(name, std::span<const T>(values));
  }
  /// Append one number.
  template <class T>
    requires std::is_arithmetic_v<T>
  void put(std::string_view name, T value) {
    put(name, std::span<const T>(&value, 1));
  }
  /// Append a text.
  void put(std::string_view name, std::string_view text);

  /// Append the digest and hand over the bytes; the writer is empty afterwards.
  [[nodiscard]] std::vector<std::byte> finish() &&;

 private:
  void put_raw(std::string_view name, BlobType type, std::size_t count, std::span<const std::byte> bytes);
  std::vector<std::byte> bytes_;
};

/// Reads fields in the order they were written. The bytes must outlive the reader.
class BlobReader {
 public:
  /// Check magic, version and digest. Throws BlobError.
  BlobReader(std::span<const std::byte> bytes, BlobKind kind);

  /// Fill `values` from the next field. Throws BlobError when its name, type or count differs.
  template <class T>
  void get(std::string_view name, std::span<T> values) {
    get_raw(name, blob_type<T>(), values.size(), std::as_writable_bytes(values));
  }
  template <class T>
  void get(std::string_view name, std::vector<T>& values) {
    get(name, std::span<T>(values));
  }
  /// Read one number.
  template <class T>
    requires std::is_arithmetic_v<T>
  [[nodiscard]] T get(std::string_view name) {
    T value{};
    get(name, std::span<T>(&value, 1));
    return value;
  }
  /// Read a text of at most `max_size` printable ASCII characters.
  [[nodiscard]] std::string get_text(std::string_view name, std::size_t max_size);

  /// Throw BlobError when fields are left over.
  void expect_end() const;

 private:
  struct Field {
    BlobType type;
    std::uint64_t count;
    std::span<const std::byte> bytes;
  };
  [[nodiscard]] Field next_field(std::string_view name);
  [[nodiscard]] std::span<const std::byte> take(std::size_t size, std::string_view what);
  void get_raw(std::string_view name, BlobType type, std::size_t count, std::span<std::byte> out);

  std::span<const std::byte> rest_;
};

}  // namespace murmur
