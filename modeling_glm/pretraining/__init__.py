"""
Pretraining by blank infilling: from text files to a folder that `from_pretrained` reads.

`run.pretrain` does all of it; `examples/03_pretrain.py` is its command line. The room needs the packages of the extra
`examples` (`datasets`, `pyyaml`, `matplotlib`). `import modeling_glm` does not import it.
"""
