# Whether the CUDA kernels are compiled: sets MURMUR_CUDA.
#
# AUTO builds them where they can be used: with a CUDA compiler, next to a CUDA build of libtorch (a CPU build means a
# machine or an image without a GPU, which shall not wait for nvcc). ON needs the compiler alone, so that the kernels
# can be checked anywhere (scripts/check-cuda.sh).
set(MURMUR_WITH_CUDA AUTO CACHE STRING "Compile the CUDA kernels: AUTO, ON or OFF")
set_property(CACHE MURMUR_WITH_CUDA PROPERTY STRINGS AUTO ON OFF)
if(NOT MURMUR_WITH_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "MURMUR_WITH_CUDA must be AUTO, ON or OFF, got '${MURMUR_WITH_CUDA}'")
endif()

set(MURMUR_CUDA OFF)
if(MURMUR_WITH_CUDA STREQUAL "ON" OR (MURMUR_WITH_CUDA STREQUAL "AUTO" AND MURMUR_TORCH_CUDA))
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(MURMUR_CUDA ON)
  elseif(MURMUR_WITH_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MURMUR_WITH_CUDA=ON, but there is no CUDA compiler: put nvcc on PATH, or pass "
                        "-DCMAKE_CUDA_COMPILER=/path/to/nvcc (docs/gpu.md says where to get one)")
  endif()
endif()

if(MURMUR_CUDA)
  if(CMAKE_VERSION VERSION_LESS 3.25.2)
    message(FATAL_ERROR "CMake ${CMAKE_VERSION} does not know that nvcc compiles C++20: the CUDA kernels need 3.25.2 or "
                        "newer (pip install cmake), or pass -DMURMUR_WITH_CUDA=OFF")
  endif()
  # PTX of the oldest generation runs everywhere by way of the driver's compiler; machine code for what data centres
  # have starts faster. More of it would cost more time to compile than it brings.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-virtual 90-real 100-real)
  endif()
  enable_language(CUDA)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
    message(FATAL_ERROR "CUDA ${CMAKE_CUDA_COMPILER_VERSION} is too old: the kernels need 12.8 or newer")
  endif()
  if(CCACHE_PROGRAM AND NOT DEFINED CMAKE_CUDA_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
  endif()
endif()
message(STATUS "CUDA kernels: ${MURMUR_CUDA} (MURMUR_WITH_CUDA=${MURMUR_WITH_CUDA})")
