"""
Pretraining by blank infilling: from text files to a folder that `from_pretrained` reads.

`run.pretrain` does all of it; `examples/03_pretrain.py` is its command line. The room needs the packages of the extra
`train` (`datasets`, `pyyaml`, `matplotlib`). `import modeling_glm` does not import it.
"""

from ..utils.extras import from_extra

with from_extra("train", "Pretraining"):
    import datasets  # noqa: F401  for all modules of the room
