// The value loss of one sample, worked out by hand, on every instruction set and in every place of a vector.

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "murmur/kernels/kernel_set.hpp"

namespace murmur::kernels {
namespace {

struct Case {
  const char* name;
  float value, old_value, target, clip;
  double loss;     // half the squared error
  float gradient;  // d loss / d value
};

TEST(ValueLossKernel, LossAndGradientAreThoseWorkedOutByHand) {
  const std::vector<Case> cases{
      {"not clipped", 2.0F, 0.0F, 1.25F, 0.0F, 0.5 * 0.5625, 0.75F},
      {"within the clip range", 0.25F, 0.0F, 1.25F, 0.5F, 0.5, -1.0F},
      {"at the end of the range", 0.5F, 0.0F, 1.25F, 0.5F, 0.5 * 0.5625, -0.75F},
      {"beyond the range, worse than its end", 2.0F, 0.0F, 1.0F, 0.5F, 0.5, 1.0F},
      {"beyond the range, better than its end", 1.0F, 0.0F, 1.25F, 0.5F, 0.5 * 0.5625, 0.0F},
      {"beyond the range, as good as its end", 2.0F, 0.0F, 1.25F, 0.5F, 0.5 * 0.5625, 0.375F},
      {"beyond the lower end, better", -1.0F, 0.0F, -1.25F, 0.5F, 0.5 * 0.5625, 0.0F},
  };
  for (const KernelSet* set : available_kernels()) {
    for (const Case& c : cases) {
      for (const std::size_t rows : {std::size_t{1}, std::size_t{16}, std::size_t{37}}) {
        const std::vector<float> values(rows, c.value), old_values(rows, c.old_value),
            targets(rows, c.target);
        std::vector<float> gradient(rows);
        const LossSums sums = set->value_loss({.rows = rows,
                                               .values = values.data(),
                                               .old_values = old_values.data(),
                                               .returns = targets.data(),
                                               .clip = c.clip,
                                               .scale = 2.0F,
                                               .gradient = gradient.data()});
        EXPECT_DOUBLE_EQ(sums.value_loss, static_cast<double>(rows) * c.loss) << c.name << " " << set->name;
        for (const float slope : gradient) EXPECT_EQ(slope, 2.0F * c.gradient) << c.name << " " << set->name;
      }
    }
  }
}

}  // namespace
}  // namespace murmur::kernels
