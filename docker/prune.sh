#!/bin/sh
# Remove from the virtual environment what a running peer never opens. A peer links libtorch and does not import torch in
# Python, so of that wheel only the shared libraries stay. Other packages' libraries are left as they came: stripping
# them breaks numpy's OpenBLAS.
set -eu
packages=$(python3 -c 'import sysconfig; print(sysconfig.get_path("platlib"))')

# Needed by Python's torch alone, or by the build alone. Nothing of the peer's own dependencies requires these; packages
# of environments in Python may.
[ -n "${PEER_PACKAGES:-}" ] || pip uninstall -q -y sympy mpmath networkx jinja2 markupsafe fsspec filelock pybind11 scikit-build-core cmake ninja >/dev/null
find "$packages/torch" -mindepth 1 -maxdepth 1 ! -name lib -exec rm -rf {} +
rm -rf "$packages"/torch/lib/*.a "$packages"/torch/lib/libtorch_python.so "$packages"/torch/lib/libshm* \
  "$packages"/functorch "$packages"/torchgen "$packages"/setuptools "$packages"/setuptools-* "$packages"/_distutils_hack \
  "$packages"/distutils-precedence.pth "$packages"/pip "$packages"/pip-* /opt/venv/bin/pip*
find "$packages" -type d -name tests -prune -exec rm -rf {} +
