"""
Start the command `modeling-glm`. This module stands beside the package, because `import modeling_glm` takes seconds.

Importing the package registers GLM with Transformers, and so imports torch. Help, the version and wrong options need neither.
"""

import sys
from importlib.util import find_spec, module_from_spec

PACKAGE = "modeling_glm"


def main() -> None:
    """Run the command. The `__init__` of the package runs when the options are read: see `modeling_glm.cli.package`."""
    if PACKAGE not in sys.modules:
        spec = find_spec(PACKAGE)
        assert spec is not None
        sys.modules[PACKAGE] = module_from_spec(spec)  # its modules can be imported, and its __init__ has not run
    from modeling_glm.cli.main import main

    main()


if __name__ == "__main__":
    main()
