"""
Import the package when a command begins, so that help, the version and wrong options do not wait for torch.

`modeling_glm/__init__.py` registers GLM with Transformers, and so imports torch and Transformers. The modules of the command
line import only the standard library, Typer, Rich and each other at their top. All else is imported where it is used.
"""

import gc
import sys
from typing import Any

from typer.core import TyperCommand

PACKAGE = "modeling_glm"


class PackageCommand(TyperCommand):
    """A command that imports the package after its options are read, and before it runs."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        import_package()
        if not sys.stderr.isatty():
            from transformers.utils.logging import disable_progress_bar

            disable_progress_bar()
        return super().invoke(ctx)


def import_package() -> None:
    """Run the `__init__` of the package, if `modeling_glm_command` has left it out."""
    package = sys.modules[PACKAGE]
    if "__all__" in vars(package):
        return
    spec = package.__spec__
    assert spec is not None
    assert spec.loader is not None
    # What an import makes stays. To look through it for garbage, again and again, takes a sixth of the time.
    gc.disable()
    try:
        spec.loader.exec_module(package)
    finally:
        gc.enable()
    gc.freeze()


__all__ = ["PackageCommand", "import_package"]
