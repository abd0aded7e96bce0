"""Published numbers to compare with: of which model, by which protocol, and where they stand."""

from typing import NamedTuple

MOBILELLM = "README of facebookresearch/MobileLLM; paper arXiv 2402.14905"
HARNESS = "EleutherAI/lm-evaluation-harness"


class PublishedScore(NamedTuple):
    """
    Hold a published number.

    Attributes:
        task: The task of this package.
        model: The model.
        accuracy: In percent.
        protocol: How it was measured, as far as the source says.
        source: Where it stands.
    """

    task: str
    model: str
    accuracy: float
    protocol: str
    source: str


# No source that could be found has SmolLM2-135M on these questions: its card has HellaSwag, ARC, PIQA and others. So these are
# other models, and they give the range. The heading of MobileLLM's table does not fit its rows. Read as ARC-e, ARC-c, BoolQ,
# PIQA, SIQA, HellaSwag, OBQA, WinoGrande, the values do: OPT-125M has 62.0 on PIQA and 50.8 on WinoGrande.
PUBLISHED = (
    PublishedScore("social_iqa", "OPT-125M", 41.9, "zero-shot, as MobileLLM's authors measured", MOBILELLM),
    PublishedScore("social_iqa", "GPT-Neo-125M", 41.9, "zero-shot, as MobileLLM's authors measured", MOBILELLM),
    PublishedScore("social_iqa", "Pythia-160M", 41.5, "zero-shot, as MobileLLM's authors measured", MOBILELLM),
    PublishedScore("social_iqa", "MobileLLM-125M", 42.4, "zero-shot, as MobileLLM's authors measured", MOBILELLM),
    PublishedScore(
        "winograd", "XGLM-564M", 58.61, "wsc273, partial scoring, 273 schemas", f"{HARNESS}: results/xglm/xglm-564M"
    ),
    PublishedScore(
        "winograd", "BLOOM-560M", 66.67, "wsc273, partial scoring, 273 schemas", f"{HARNESS}: results/bloom/bloom-560m"
    ),
)


__all__ = ["PUBLISHED", "PublishedScore"]
