#include "murmur/envs/variants.hpp"

#include <string>
#include <utility>

#include "murmur/base/check.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur {

namespace {

// What a person may list, with room; guards the load of a damaged file.
constexpr std::uint64_t kMaxVariants = 1U << 20U;

}  // namespace

VariantTable::VariantTable(const EnvSpec& spec, std::size_t num_envs)
    : spec_(&spec), table_{resolve(EnvVariant{})}, variant_of_(num_envs, 0) {}

std::vector<std::size_t> VariantTable::assign(std::span<const EnvVariant> variants) {
  if (variants.empty()) throw_invalid("variants must not be empty");
  if (variants.size() > kMaxVariants) throw_invalid("too many variants: " + std::to_string(variants.size()));
  std::vector<Resolved> table;
  std::vector<std::size_t> wanted;  // envs that variant v still lacks
  std::size_t total = 0;
  for (const EnvVariant& variant : variants) {
    table.push_back(resolve(variant));
    if (variant.count > variant_of_.size()) {
      throw_invalid("a variant wants " + std::to_string(variant.count) + " envs, the batch has " +
                    std::to_string(variant_of_.size()));
    }
    wanted.push_back(variant.count);
    total += variant.count;
  }
  check_size("the sum of the variants' counts", variant_of_.size(), total);

  // First every env that can go on does; then those left over take what is still wanted, in order.
  std::vector<std::int32_t> assigned(variant_of_.size(), -1);
  for (std::size_t i = 0; i < assigned.size(); ++i) {
    for (std::size_t v = 0; v < table.size(); ++v) {
      if (wanted[v] > 0 && table[v] == of(i)) {
        assigned[i] = static_cast<std::int32_t>(v);
        --wanted[v];
        break;
      }
    }
  }
  std::vector<std::size_t> changed;
  std::size_t next = 0;
  for (std::size_t i = 0; i < assigned.size(); ++i) {
    if (assigned[i] >= 0) continue;
    while (wanted[next] == 0) ++next;
    assigned[i] = static_cast<std::int32_t>(next);
    --wanted[next];
    changed.push_back(i);
  }
  table_ = std::move(table);
  variant_of_ = std::move(assigned);
  return changed;
}

void VariantTable::save(BlobWriter& writer) const {
  writer.put("variants.size", static_cast<std::uint64_t>(table_.size()));
  for (const Resolved& variant : table_) {
    writer.put("variants.params", variant.params);
    writer.put("variants.seed_start", variant.seeds.start);
    writer.put("variants.seed_end", variant.seeds.end);
  }
  writer.put("variants.of_env", variant_of_);
}

void VariantTable::load(BlobReader& reader) {
  const auto size = reader.get<std::uint64_t>("variants.size");
  if (size == 0 || size > kMaxVariants) throw BlobError("field 'variants.size' is " + std::to_string(size));
  std::vector<Resolved> table;
  for (std::uint64_t v = 0; v < size; ++v) {
    Resolved variant;
    variant.params.resize(spec_->params.size());
    reader.get("variants.params", variant.params);
    variant.seeds.start = reader.get<std::uint64_t>("variants.seed_start");
    variant.seeds.end = reader.get<std::uint64_t>("variants.seed_end");
    for (std::size_t p = 0; p < variant.params.size(); ++p) {
      const ParamSpec& spec = spec_->params[p];
      if (!(variant.params[p] >= spec.low && variant.params[p] <= spec.high)) {
        throw BlobError("saved parameter '" + std::string(spec.name) + "' is out of range");
      }
    }
    if (variant.seeds.start >= variant.seeds.end) throw BlobError("a saved variant has an empty seed range");
    table.push_back(std::move(variant));
  }
  std::vector<std::int32_t> variant_of(variant_of_.size());
  reader.get("variants.of_env", variant_of);
  for (const std::int32_t v : variant_of) {
    if (v < 0 || static_cast<std::uint64_t>(v) >= size) throw BlobError("an env has no saved variant");
  }
  table_ = std::move(table);
  variant_of_ = std::move(variant_of);
}

VariantTable::Resolved VariantTable::resolve(const EnvVariant& variant) const {
  if (variant.seed_start >= variant.seed_end) {
    throw_invalid("seed_start must be below seed_end, got " + std::to_string(variant.seed_start) + " and " +
                  std::to_string(variant.seed_end));
  }
  return {resolve_params(*spec_, variant.params), {variant.seed_start, variant.seed_end}};
}

}  // namespace murmur
