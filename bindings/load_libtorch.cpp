// The libtorch back end, loaded when it is first needed. Most peers compute with our own kernels and never
// do: it would cost each of them a hundred MiB and a fifth of a second.

#include <dlfcn.h>
#include <pthread.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "exit_gate.hpp"
#include "module.hpp"
#include "murmur/agents/libtorch_library.hpp"
#include "murmur/base/check.hpp"

namespace murmur {
namespace {

using python::ExitGate;

constinit ExitGate gate;  // of libtorch, whose operator tables are gone before the process is

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

/// A back end of the library, entered by the gate.
class GatedBackend final : public PpoBackend {
 public:
  explicit GatedBackend(std::unique_ptr<PpoBackend> backend) : backend_(std::move(backend)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return backend_->name(); }
  [[nodiscard]] bool starts_threads() const noexcept override { return backend_->starts_threads(); }

  void get_params(std::span<float> params) const override {
    const ExitGate::Pass pass(gate);
    backend_->get_params(params);
  }

  void set_params(std::span<const float> params) override {
    const ExitGate::Pass pass(gate);
    backend_->set_params(params);
  }

  [[nodiscard]] AdamState optimizer_state() const override {
    const ExitGate::Pass pass(gate);
    return backend_->optimizer_state();
  }

  void set_optimizer_state(const AdamState& state) override {
    const ExitGate::Pass pass(gate);
    backend_->set_optimizer_state(state);
  }

  void enter() override {
    const ExitGate::Pass pass(gate);
    backend_->enter();
  }

  void leave() noexcept override {
    const ExitGate::Pass pass(gate);
    backend_->leave();
  }

  void act(std::span<const float> observations, std::span<float> policy) override {
    const ExitGate::Pass pass(gate);
    backend_->act(observations, policy);
  }

  void log_std(std::span<float> log_std) const override {
    const ExitGate::Pass pass(gate);
    backend_->log_std(log_std);
  }

  void value(std::span<const float> observations, std::span<float> values) override {
    const ExitGate::Pass pass(gate);
    backend_->value(observations, values);
  }

  PpoLossStats step(const PpoBatch& batch, const PpoLossSettings& loss, const AdamSettings& adam,
                    double max_kl) override {
    const ExitGate::Pass pass(gate);
    return backend_->step(batch, loss, adam, max_kl);
  }

 private:
  std::unique_ptr<PpoBackend> backend_;
};

}  // namespace

std::unique_ptr<PpoBackend> make_libtorch_backend(const PolicyLayout& layout, Device device,
                                                  std::shared_ptr<ThreadPool> pool, std::string_view why) {
  const ExitGate::Pass pass(gate);
  return std::make_unique<GatedBackend>(load().make_backend(layout, device, std::move(pool), why));
}

bool libtorch_has_cuda() {
  if (!MURMUR_TORCH_CUDA) return false;  // a CPU build need not be asked
  const ExitGate::Pass pass(gate);
  return load().has_cuda();
}

void python::leave_libtorch_at_exit() {
  // After the last line of Python, before the destructor of any global. Fails where the 32 places for this
  // are taken; then a thread that computes in libtorch at that time may end the process by a signal.
  static_cast<void>(Py_AtExit([] { gate.close(); }));
  ::pthread_atfork(nullptr, nullptr, [] { gate.forget_threads(); });
}

}  // namespace murmur
