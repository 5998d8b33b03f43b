"""Builds the kernel, the one part that is compiled; all else is in setup.cfg.

Without a compiler the installation goes on without it, and base tiles are made from pixels.
VSV_PYRAMID_CHECKED=1 builds it with every check Cython has, and demands it; with VSV_PYRAMID_ASAN=1
or, for the fuzzer, VSV_PYRAMID_FUZZ=1 it is built with AddressSanitizer too.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

checked = os.environ.get("VSV_PYRAMID_CHECKED") == "1"
compile_args, link_args, macros = [], [], []
if os.name == "posix":
    # Without inlining the walk's state would live in memory instead of registers: half its speed.
    macros = [("CYTHON_INLINE", "__inline__ __attribute__((always_inline))")]
    # Without the last three a float's clamp may not become a minimum and a maximum.
    compile_args = ["-O3", "-fno-math-errno"]
    compile_args += ["-fno-trapping-math", "-ffinite-math-only", "-fno-signed-zeros"]
if os.environ.get("VSV_PYRAMID_ASAN") == "1":
    link_args = ["-fsanitize=address,undefined"]
    compile_args = ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined"]
    compile_args += link_args
if os.environ.get("VSV_PYRAMID_FUZZ") == "1":
    compile_args = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,fuzzer-no-link"]

extensions = cythonize(
    [
        Extension(
            "vsv_pyramid.jpeg._splice",
            ["vsv_pyramid/jpeg/_splice.pyx"],
            depends=[str(path) for path in Path("vsv_pyramid/jpeg").glob("_*.[hp]*")],
            define_macros=macros,
            extra_compile_args=compile_args,
            extra_link_args=link_args,
        )
    ],
    compiler_directives={
        "language_level": 3,
        "boundscheck": checked,
        "wraparound": False,
        "initializedcheck": checked,
        "nonecheck": checked,
        "cdivision": True,
    },
    force=True,
)
for extension in extensions:
    extension.optional = not checked  # cythonize does not hand it on

setup(ext_modules=extensions)
