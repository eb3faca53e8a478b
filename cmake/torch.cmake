# The imported target murmur_torch: libtorch out of Python's torch wheel, linked by path.
#
# Not find_package(Torch): in a CUDA wheel it demands a CUDA toolkit, which a machine that only runs the peer does
# not have, and it drags in MKL and protobuf checks that cost seconds.

murmur_find_python_package(MURMUR_TORCH_DIR torch)
set(_torch_lib "${MURMUR_TORCH_DIR}/lib")
if(NOT EXISTS "${_torch_lib}/libtorch_cpu.so" OR NOT EXISTS "${MURMUR_TORCH_DIR}/include/torch/csrc/api/include")
  message(FATAL_ERROR "${MURMUR_TORCH_DIR} has no libtorch_cpu.so or no C++ headers: is it torch's official wheel?")
endif()

add_library(murmur_torch INTERFACE)
# SYSTEM: torch's headers are not held to our warnings.
target_include_directories(murmur_torch SYSTEM INTERFACE "${MURMUR_TORCH_DIR}/include"
                                                         "${MURMUR_TORCH_DIR}/include/torch/csrc/api/include")
target_link_libraries(
  murmur_torch INTERFACE "${_torch_lib}/libtorch.so" "${_torch_lib}/libtorch_cpu.so" "${_torch_lib}/libc10.so"
                         Threads::Threads)

# The wheel may be built with the old std::string; it says so in its CMake config.
file(STRINGS "${MURMUR_TORCH_DIR}/share/cmake/Torch/TorchConfig.cmake" _abi_line REGEX "_GLIBCXX_USE_CXX11_ABI=[01]")
if(_abi_line MATCHES "_GLIBCXX_USE_CXX11_ABI=([01])")
  target_compile_definitions(murmur_torch INTERFACE "_GLIBCXX_USE_CXX11_ABI=${CMAKE_MATCH_1}")
endif()

set(MURMUR_TORCH_CUDA OFF)
if(EXISTS "${_torch_lib}/libtorch_cuda.so")
  set(MURMUR_TORCH_CUDA ON)
  # Nothing of ours names a symbol of libtorch_cuda: without --no-as-needed the linker drops it and torch finds no GPU.
  target_link_libraries(
    murmur_torch INTERFACE "-Wl,--push-state,--no-as-needed,${_torch_lib}/libtorch_cuda.so,--pop-state"
                           "${_torch_lib}/libc10_cuda.so")
endif()
message(STATUS "libtorch: ${MURMUR_TORCH_DIR} (CUDA build: ${MURMUR_TORCH_CUDA})")
