"""Where the repository and the golden data are."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FIXTURES = ROOT / "tests" / "fixtures"
# The full golden data where it is present, the copy of its small parts otherwise.
GOLDEN = Path(os.environ.get("GLM_GOLDEN", ROOT.parent / "shared" / "golden"))
GOLDEN_MODELS = GOLDEN / "model" if (GOLDEN / "model").is_dir() else FIXTURES / "model"
