// The kernels of one target as a KernelSet.
#if defined(MURMUR_KERNELS_KERNEL_SET_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MURMUR_KERNELS_KERNEL_SET_INL
#undef MURMUR_KERNELS_KERNEL_SET_INL
#else
#define MURMUR_KERNELS_KERNEL_SET_INL
#endif

#include "kernels/dense_inl.hpp"
#include "kernels/heads_inl.hpp"
#include "kernels/optimizer_inl.hpp"
#include "kernels/transpose_inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace murmur::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
#define MURMUR_TARGET_NAME "scalar"
#elif HWY_TARGET == HWY_AVX2
#define MURMUR_TARGET_NAME "AVX2"
#elif HWY_TARGET <= HWY_AVX3
#define MURMUR_TARGET_NAME "AVX-512"
#else
#define MURMUR_TARGET_NAME "NEON"
#endif

inline constexpr KernelSet kKernelSet{
    .name = MURMUR_TARGET_NAME,
    .dense_forward = &dense_forward,
    .dense_backward = &dense_backward,
    .weight_gradient = &weight_gradient,
    .column_sums = &column_sums,
    .head_forward = &head_forward,
    .transpose = &transpose,
    .categorical_loss = &categorical_loss,
    .gaussian_loss = &gaussian_loss,
    .value_loss = &value_loss,
    .sample_categorical = &sample_categorical,
    .sample_gaussian = &sample_gaussian,
    .add = &add,
    .sum_of_squares = &sum_of_squares,
    .adam = &adam,
    .tanh = &tanh_of,
    .exp = &exp_of,
    .log = &log_of,
    .silu = &silu_of,
};
#undef MURMUR_TARGET_NAME

}  // namespace HWY_NAMESPACE
}  // namespace murmur::kernels
HWY_AFTER_NAMESPACE();

#endif
