#include "murmur/base/affinity.hpp"

#include <algorithm>
#include <string>

#include "murmur/base/check.hpp"

namespace murmur {

namespace {

cpu_set_t set_of(std::span<const int> cpus) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
  return set;
}

}  // namespace

void check_cpus(int num_threads, std::span<const int> cpus) {
  if (cpus.empty()) return;
  if (cpus.size() != static_cast<std::size_t>(num_threads)) {
    throw_invalid("cpus must name one core for each of " + std::to_string(num_threads) + " threads, got " +
                  std::to_string(cpus.size()));
  }
  cpu_set_t usable;
  CPU_ZERO(&usable);
  sched_getaffinity(0, sizeof usable, &usable);  // fails on more than 1024 cores; none is usable then
  for (const int cpu : cpus) {
    if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(static_cast<std::size_t>(cpu), &usable)) {
      throw_invalid("cpus must be cores that this process may use, got " + std::to_string(cpu));
    }
    if (std::ranges::count(cpus, cpu) > 1) {
      throw_invalid("cpus must differ from each other, got " + std::to_string(cpu) + " twice");
    }
  }
}

PinnedScope::PinnedScope(std::span<const int> cpus) noexcept {
  if (cpus.empty() || sched_getaffinity(0, sizeof before_, &before_) != 0) return;
  const cpu_set_t wanted = set_of(cpus);
  pinned_ = sched_setaffinity(0, sizeof wanted, &wanted) == 0;
}

PinnedScope::~PinnedScope() {
  if (pinned_) sched_setaffinity(0, sizeof before_, &before_);
}

}  // namespace murmur
