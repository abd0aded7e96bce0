#!/usr/bin/env python
"""
Open a page that fills blanks: fillings, alternatives to click, choices, and a picture of what the model sees.

It runs on this machine without network access, unless the model is on the hub or you give --share. Without arguments it
shows the embedded checkpoint (`examples/glm-tiny`), a toy that knows words, numbers, dates and times.

    pip install 'modeling-glm[page]'
    python examples/app.py
    python examples/app.py --model path/or/hub-id --device cuda
"""

import argparse
import os
import sys
from dataclasses import dataclass, field

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # Gradio reads it when it is imported

import gradio as gr
from page.layout import build
from page.logic import Page
from page.views import HEAD
from transformers import HfArgumentParser
from transformers.utils.logging import disable_progress_bar

from modeling_glm import embedded_checkpoint
from modeling_glm.utils.help import HelpFormatter


@dataclass
class PageArguments:
    """The model to show, and where to show it."""

    model: str = field(
        default=os.environ.get("GLM_MODEL", embedded_checkpoint()),
        metadata={
            "help": "Folder or hub id of a GLM. Without it: the environment variable GLM_MODEL, or else the embedded "
            "checkpoint."
        },
    )
    device: str | None = field(
        default=None, metadata={"help": "Such as cpu or cuda:1. Without it: an accelerator if there is one."}
    )
    precision: str = field(
        default="auto",
        metadata={
            "help": "In which precision to compute. int8 is for CPUs. auto: what this CPU is good at, for the size of the "
            "model; on an accelerator the checkpoint's.",
            "choices": ["auto", "fp32", "bf16", "fp16", "int8"],
        },
    )
    dtype: str | None = field(
        default=None,
        metadata={
            "help": argparse.SUPPRESS,
            "choices": ["float16", "bfloat16", "float32"],
        },  # what --precision was before
    )
    port: int | None = field(default=None, metadata={"help": "Port. Without it: the first free one from 7860 on."})
    host: str | None = field(
        default=None,
        metadata={"help": "Address to listen on; 0.0.0.0 lets other machines in. Without it: only this machine."},
    )
    share: bool = field(default=False, metadata={"help": "Also make a public link through a server of Gradio."})
    open: bool = field(default=False, metadata={"help": "Open the page in the browser."})


def main():
    args: PageArguments
    parser = HfArgumentParser(PageArguments, description=__doc__, formatter_class=HelpFormatter)
    (args,) = parser.parse_args_into_dataclasses()
    disable_progress_bar()  # loading the weights takes less time than drawing the bar
    build(Page(args.model, args.device, args.dtype, args.precision), args.model).launch(
        server_name=args.host,
        server_port=args.port,
        share=args.share,
        inbrowser=args.open,
        ssr_mode=False,
        footer_links=["gradio", "settings"],
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        head=HEAD,
    )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
