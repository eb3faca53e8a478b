// Compiled with -ffp-contract=off: a fused multiply-add rounds once where a machine without it rounds twice.
#include "murmur/agents/policy_init.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "murmur/base/check.hpp"

namespace murmur {
namespace {

// Apart from the env streams, so that a policy's first weights say nothing about its first episodes.
constexpr std::uint64_t kInitStream = 0x696e6974;

/// A nearly normal number: twelve uniforms minus their mean (Irwin-Hall). The sum is an integer, so it is
/// exact; the law's short tails do not matter for directions that are orthogonalised next.
double nearly_normal(Rng& rng) {
  std::int64_t sum = -6 * (std::int64_t{1} << 32U);
  for (int i = 0; i < 12; ++i) sum += rng.next_u32();
  return static_cast<double>(sum) * 0x1p-32;
}

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Make `v` a unit vector orthogonal to `basis`; false when it (nearly) lay in their span.
bool orthonormalize(const std::vector<Vector>& basis, Vector& v) {
  const double before = dot(v, v);
  // "Twice is enough": Giraud et al. 2005, on Gram-Schmidt's loss of precision.
  for (int pass = 0; pass < 2; ++pass) {
    for (const Vector& b : basis) {
      const double overlap = dot(v, b);
      for (std::size_t i = 0; i < v.size(); ++i) v[i] -= overlap * b[i];
    }
  }
  const double after = dot(v, v);
  if (!(after > before * 1e-20) || after == 0.0) return false;
  const double length = std::sqrt(after);
  for (double& x : v) x /= length;
  return true;
}

std::vector<Vector> orthonormal_vectors(std::size_t count, std::size_t length, Rng& rng) {
  std::vector<Vector> basis;
  while (basis.size() < count) {
    Vector v(length);
    std::generate(v.begin(), v.end(), [&] { return nearly_normal(rng); });
    if (orthonormalize(basis, v)) basis.push_back(std::move(v));
  }
  return basis;
}

/// Fill `layers` but the first `skip`, which are another network's too.
void fill_network(const std::vector<DenseLayer>& layers, std::size_t skip, double hidden_gain,
                  double head_gain, Rng& rng, std::span<float> params) {
  for (std::size_t i = skip; i < layers.size(); ++i) {
    const DenseLayer& layer = layers[i];
    const double gain = i + 1 == layers.size() ? head_gain : hidden_gain;
    fill_orthogonal(layer.outputs, layer.inputs, gain, rng,
                    params.subspan(layer.weight_offset, layer.inputs * layer.outputs));
  }
}

}  // namespace

void fill_orthogonal(std::size_t rows, std::size_t cols, double gain, Rng& rng, std::span<float> matrix) {
  check_size("orthogonal matrix", rows * cols, matrix.size());
  const bool wide = rows < cols;
  const std::vector<Vector> basis = orthonormal_vectors(std::min(rows, cols), std::max(rows, cols), rng);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      matrix[r * cols + c] = static_cast<float>(gain * (wide ? basis[r][c] : basis[c][r]));
    }
  }
}

void initialize_params(const PolicyLayout& layout, std::uint64_t seed, std::span<float> params,
                       const InitSettings& settings) {
  check_size("params", layout.num_params(), params.size());
  std::fill(params.begin(), params.end(), 0.0F);
  Rng rng(seed, kInitStream);
  fill_network(layout.actor(), 0, settings.hidden_gain, settings.policy_gain, rng, params);
  fill_network(layout.critic(), layout.num_shared_layers(), settings.hidden_gain, settings.value_gain, rng,
               params);
  std::ranges::fill(params.subspan(layout.log_std_offset(), layout.log_std_size()),
                    static_cast<float>(settings.log_std));
}

}  // namespace murmur
