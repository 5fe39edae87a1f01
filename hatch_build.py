"""The compiled wheel: the same source, of which mypyc has made C, for one Python on one kind of machine.

Off, unless HATCH_BUILD_HOOK_ENABLE_CUSTOM=true asks for it (`make wheel` does): then hatchling has this hook add
extension modules to the wheel, beside the .py files that they were made of. Python finds them first, by itself.
What is compiled is listed in pyproject.toml, under `tool.hatch.build.targets.wheel.hooks.custom`.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = "src"


class CompilingHook(BuildHookInterface[Any]):
    """Compiles the listed modules, all as one, so that they call each other without asking Python."""

    PLUGIN_NAME = "custom"
    _place: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the extension modules into the wheel, and have its name say for which Python it is.

        Raises:
            FileNotFoundError: a module that is listed is not there.
        """
        if version == "editable":
            return  # Whoever edits wants to see the change, not what was compiled before it.
        modules = self._modules()
        place = self._place = Path(tempfile.mkdtemp(prefix="slosh-compiled-"))
        for built in compile_modules(modules, Path(self.root), place):
            build_data["force_include"][str(built)] = str(built.relative_to(place / "lib"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """The wheel is written: remove what it was made of."""
        if self._place is not None:
            shutil.rmtree(self._place)

    def _modules(self) -> list[str]:
        modules: list[str] = []
        for pattern in self.config["modules"]:
            found = sorted(str(path.relative_to(self.root)) for path in Path(self.root).glob(f"{SOURCES}/{pattern}"))
            if not found:
                raise FileNotFoundError(f"pyproject.toml lists {pattern} to be compiled, and there is no such module")
            modules += found
        return modules


def compile_modules(modules: list[str], root: Path, place: Path) -> list[Path]:
    """Compile `modules`, paths below `root`, in the folder `place`; gives the files that came of it, in `place/lib`."""
    # Here, because the pure wheel is built without them.
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415

    extensions = mypycify(
        [f"--config-file={root / 'pyproject.toml'}", *modules],
        group_name="slosh",  # gives the one library that all share its name, slosh__mypyc
        opt_level="3",
        debug_level="0",
        target_dir=str(place / "c"),
    )
    build = Distribution({"name": "slosh", "ext_modules": extensions}).get_command_obj("build_ext")
    build.build_lib = str(place / "lib")
    build.build_temp = str(place / "objects")
    build.ensure_finalized()
    build.run()
    return sorted(path for path in (place / "lib").rglob("*") if path.is_file())
