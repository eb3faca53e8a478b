/// What the shared library with the libtorch back end offers to whoever loads it.
#pragma once

#include <memory>
#include <string_view>

#include "murmur/agents/ppo_backend.hpp"

namespace murmur {

/// Both sides are built together and share the standard library, so that C++ types and exceptions pass.
struct LibtorchLibrary {
  std::unique_ptr<PpoBackend> (*make_backend)(const PolicyLayout& layout, Device device,
                                              std::shared_ptr<ThreadPool> pool, std::string_view why);
  bool (*has_cuda)();
};

inline constexpr const char* kLibtorchLibraryFile = "libmurmur_libtorch.so";
inline constexpr const char* kLibtorchLibrarySymbol = "murmur_libtorch_library";  // a LibtorchLibrary

}  // namespace murmur
