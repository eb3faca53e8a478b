#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "murmur/base/blob.hpp"
#include "murmur/envs/vector_env.hpp"

namespace murmur {

struct SeedRange {
  std::uint64_t start = 0;
  std::uint64_t end = 0;  // exclusive
  friend bool operator==(const SeedRange&, const SeedRange&) = default;
};

/// Which of N envs is which variant: the rules of VectorEnv::assign_variants, apart from any physics.
class VariantTable {
 public:
  /// All envs are the default variant.
  VariantTable(const EnvSpec& spec, std::size_t num_envs);

  /// Share the envs out; see VectorEnv::assign_variants. Returns the envs that changed, ascending.
  std::vector<std::size_t> assign(std::span<const EnvVariant> variants);

  [[nodiscard]] std::span<const std::int32_t> variant_of() const noexcept { return variant_of_; }

  /// One value per entry of the spec's parameters, for env `i`.
  [[nodiscard]] std::span<const double> params(std::size_t i) const noexcept { return of(i).params; }
  [[nodiscard]] SeedRange seeds(std::size_t i) const noexcept { return of(i).seeds; }

  void save(BlobWriter& writer) const;
  /// Throws BlobError, and leaves the table as it was, when the saved one is not valid for this env and N.
  void load(BlobReader& reader);

 private:
  struct Resolved {
    std::vector<double> params;
    SeedRange seeds;
    friend bool operator==(const Resolved&, const Resolved&) = default;
  };
  [[nodiscard]] const Resolved& of(std::size_t i) const noexcept {
    return table_[static_cast<std::size_t>(variant_of_[i])];
  }
  [[nodiscard]] Resolved resolve(const EnvVariant& variant) const;

  const EnvSpec* spec_;
  std::vector<Resolved> table_;
  std::vector<std::int32_t> variant_of_;  // [N], index into table_
};

}  // namespace murmur
