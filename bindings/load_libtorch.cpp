// The libtorch back end, loaded when it is first needed. Most peers compute with our own kernels and never
// do: it would cost each of them a hundred MiB and a fifth of a second.

#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <utility>

#include "murmur/agents/libtorch_library.hpp"
#include "murmur/base/check.hpp"

namespace murmur {
namespace {

/// Return the file of the back end: beside the module that this is part of.
std::filesystem::path library_file() {
  Dl_info ours;
  if (dladdr(reinterpret_cast<const void*>(&library_file), &ours) == 0 || ours.dli_fname == nullptr)
    return kLibtorchLibraryFile;
  return std::filesystem::path(ours.dli_fname).parent_path() / kLibtorchLibraryFile;
}

const LibtorchLibrary& load() {
  static const LibtorchLibrary& library = []() -> const LibtorchLibrary& {
    const std::string file = library_file();
    void* const handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // for the life of the process
    void* const symbol = handle != nullptr ? dlsym(handle, kLibtorchLibrarySymbol) : nullptr;
    if (symbol == nullptr) {
      const char* const cause = dlerror();
      throw_invalid(
          "the libtorch back end cannot be loaded: " + std::string(cause != nullptr ? cause : file) +
          "; install torch and murmuration again, or use backend 'fused'");
    }
    return *static_cast<const LibtorchLibrary*>(symbol);
  }();
  return library;
}

}  // namespace

std::unique_ptr<PpoBackend> make_libtorch_backend(const PolicyLayout& layout, Device device,
                                                  std::shared_ptr<ThreadPool> pool, std::string_view why) {
  return load().make_backend(layout, device, std::move(pool), why);
}

bool libtorch_has_cuda() {
  return MURMUR_TORCH_CUDA && load().has_cuda();  // a CPU build of libtorch need not be asked
}

}  // namespace murmur
