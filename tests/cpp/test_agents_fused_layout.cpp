// The packed order against plain loops over the flat one, on every instruction set, with widths that fill the
// blocks of the kernels and widths that do not.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "murmur/agents/fused_layout.hpp"
#include "murmur/kernels/kernel_set.hpp"

namespace murmur {
namespace {

std::vector<PolicySpec> specs() {
  std::vector<PolicySpec> out;
  for (const std::vector<std::int64_t>& hidden :
       {std::vector<std::int64_t>{8}, {13, 33}, {64, 64}, {70, 17, 48}}) {
    for (const bool discrete : {true, false}) {
      for (const bool shared : {true, false}) {
        out.push_back({.obs_dim = 5,
                       .discrete = discrete,
                       .action_dim = 3,
                       .hidden = hidden,
                       .activation = Activation::kTanh,
                       .shared_trunk = shared});
      }
    }
  }
  return out;
}

/// 1, 2, 3, ...: no two alike, and none zero as the padding is.
std::vector<float> numbered(std::size_t size) {
  std::vector<float> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<float>(i + 1);
  return out;
}

/// Put the weights of one network where `PackedLayer` says that they are.
void place(const std::vector<DenseLayer>& layers, const PackedNet& net, const std::vector<float>& flat,
           std::vector<float>& packed) {
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const bool is_head = l + 1 == layers.size();
    const DenseLayer& from = layers[l];
    const PackedLayer& to = is_head ? net.head : net.hidden[l];
    for (std::size_t o = 0; o < from.outputs; ++o) {
      for (std::size_t i = 0; i < from.inputs; ++i) {
        packed[to.weight_offset + (is_head ? o * to.columns + i : i * to.columns + o)] =
            flat[from.weight_offset + o * from.inputs + i];
      }
      packed[to.bias_offset + o] = flat[from.bias_offset + o];
    }
  }
}

TEST(FusedLayout, PacksEveryNumberWhereItsLayerSaysAndZeroesThePadding) {
  for (const PolicySpec& spec : specs()) {
    const FusedLayout layout{PolicyLayout(spec)};
    const std::vector<float> flat = numbered(layout.flat().num_params());
    std::vector<float> expected(layout.size(), 0.0F);
    place(layout.flat().actor(), layout.actor(), flat, expected);
    place(layout.flat().critic(), layout.critic(), flat, expected);
    for (std::size_t j = 0; j < layout.flat().log_std_size(); ++j)
      expected[layout.log_std_offset() + j] = flat[layout.flat().log_std_offset() + j];

    for (const kernels::KernelSet* set : kernels::available_kernels()) {
      std::vector<float> packed(layout.size(), -1.0F);
      layout.pack(*set, flat, packed);
      EXPECT_EQ(packed, expected) << set->name << ", hidden " << ::testing::PrintToString(spec.hidden);
    }
  }
}

TEST(FusedLayout, UnpacksWhatWasPacked) {
  for (const PolicySpec& spec : specs()) {
    const FusedLayout layout{PolicyLayout(spec)};
    const std::vector<float> flat = numbered(layout.flat().num_params());
    for (const kernels::KernelSet* set : kernels::available_kernels()) {
      std::vector<float> packed(layout.size()), back(flat.size(), -1.0F);
      layout.pack(*set, flat, packed);
      layout.unpack(*set, packed, back);
      EXPECT_EQ(back, flat) << set->name << ", hidden " << ::testing::PrintToString(spec.hidden);
    }
  }
}

}  // namespace
}  // namespace murmur
