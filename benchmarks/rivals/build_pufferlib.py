"""Compile what one benchmark needs of PufferLib, in its unpacked sources: the CartPole env and the advantage kernel.

    cd SOURCES && python build_pufferlib.py build_ext --inplace

PufferLib's own setup.py builds all its environments and fetches raylib and Box2D from a git host for that. The flags
here are its own; raylib for Linux comes with the sources. MAX_STEPS is raised from 200 to CartPole-v1's 500.
"""

from pathlib import Path

import numpy
from setuptools import Extension, setup
from torch.utils.cpp_extension import BuildExtension, CppExtension

CARTPOLE = Path("pufferlib/ocean/cartpole")
RAYLIB = Path("raylib-5.5_linux_amd64")


def set_episode_length(header: Path, *, steps: int) -> None:
    text = header.read_text()
    new = text.replace("#define MAX_STEPS 200\n", f"#define MAX_STEPS {steps}\n")
    if f"#define MAX_STEPS {steps}\n" not in new:
        raise SystemExit(f"{header}: expected a line '#define MAX_STEPS 200': is this another release?")
    header.write_text(new)


set_episode_length(CARTPOLE / "cartpole.h", steps=500)
setup(
    name="pufferlib-cartpole",
    packages=[],
    ext_modules=[
        Extension(
            "pufferlib.ocean.cartpole.binding",
            sources=[str(CARTPOLE / "binding.c")],
            include_dirs=[numpy.get_include(), str(RAYLIB / "include")],
            extra_compile_args=["-DPLATFORM_DESKTOP", "-O2", "-flto", "-Wno-implicit-function-declaration"],
            extra_link_args=["-fwrapv", "-O2", "-Bsymbolic-functions"],
            extra_objects=[str(RAYLIB / "lib/libraylib.a")],
        ),
        CppExtension("pufferlib._C", ["pufferlib/extensions/pufferlib.cpp"], extra_compile_args={"cxx": ["-O3"]}),
    ],
    cmdclass={"build_ext": BuildExtension.with_options(use_ninja=False)},  # ninja would compile C as C++
)
