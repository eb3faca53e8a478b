#include "murmur/agents/libtorch_library.hpp"

extern "C" [[gnu::visibility("default")]] const murmur::LibtorchLibrary murmur_libtorch_library;
const murmur::LibtorchLibrary murmur_libtorch_library{&murmur::make_libtorch_backend,
                                                      &murmur::libtorch_has_cuda};
