"""
Run lm-evaluation-harness with the model `glm`.

    python -m modeling_glm.evaluation.lm_eval --model glm --model_args pretrained=my-model --tasks lambada_openai

The command takes the arguments of `lm_eval`. Importing this module registers the model in this process, for
`lm_eval.simple_evaluate(model="glm", ...)`. The package declares the entry point `lm_eval.models`; lm-evaluation-harness 0.4.13
does not look for entry points, so `lm_eval --model glm` alone does not find the model.
"""

from .harness import GLMHarnessModel

from lm_eval.api.registry import model_registry  # isort: skip  (`harness` says what to install)

MODEL_NAME = "glm"


def register() -> None:
    """Register the model `glm` with lm-evaluation-harness, unless it is registered already."""
    if MODEL_NAME not in model_registry:
        model_registry.register(MODEL_NAME, target=GLMHarnessModel)


def main() -> None:
    """Run the command of lm-evaluation-harness."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


register()

if __name__ == "__main__":
    main()


__all__ = ["GLMHarnessModel", "main", "register"]
