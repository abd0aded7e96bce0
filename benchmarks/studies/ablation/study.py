"""One study: its settings, its texts and vocabulary, and a run of a variant with a seed."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch

from examples.corpora.documents import Document
from examples.corpora.measuring.blanks import make_blanks
from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer
from modeling_glm.utils.files import whole_folder

from ...harness.embedded import EMBEDDED
from ...harness.machine import describe_this_machine
from .blanks import as_blanked, make_several_blanks
from .measuring import TextScores, measure_blanks, measure_objective, measure_reversed
from .texts import READERS, SourceTexts, digest_texts
from .training import draw_texts, train
from .variants import MIXTURE, VARIANTS, build_model, is_causal

MASK_RATIO = 0.25


@dataclass(frozen=True, kw_only=True)
class AblationSettings:
    """
    The settings that all runs of a study share.

    Attributes:
        texts: "facts" or "real".
        families: Families of the embedded corpus, for facts.
        vocab_size: Size of the vocabulary that is trained on the texts. 0 takes that of the embedded checkpoint.
        steps: Training steps.
        hidden_size: Width, a multiple of the size of a head.
        num_hidden_layers: Depth.
        batch_size: Texts of a step.
        learning_rate: The highest learning rate.
        max_length: Longest text in tokens.
        packed_length: Tokens of a row, which holds several texts with their pieces.
        blanks: Number of held-out blanks to measure, for each source. Half as many texts have several.
    """

    texts: str
    families: tuple[str, ...] = ()
    vocab_size: int = 0
    steps: int
    hidden_size: int = 128
    num_hidden_layers: int = 4
    batch_size: int
    learning_rate: float = 2e-3
    max_length: int
    packed_length: int
    blanks: int


class Study:
    """
    The texts of a study, and what it does with them.

    Args:
        settings: What all runs share.
        folder: Where a trained vocabulary is kept.

    Raises:
        FileNotFoundError: If the real texts are missing.
    """

    def __init__(self, settings: AblationSettings, folder: Path):
        self.settings = settings
        self.sources: dict[str, SourceTexts] = READERS[settings.texts](settings.families)
        self.digest = digest_texts(self.sources)
        self.tokenizer = self._load_tokenizer(folder)
        self._train_ids = [ids for source in self.sources.values() for ids in self._encode(source.train)]

    def _load_tokenizer(self, folder: Path) -> GLMTokenizer:
        """Load the vocabulary of the embedded checkpoint, or the one of these texts, which is trained once."""
        if not self.settings.vocab_size:
            return GLMTokenizer.from_pretrained(EMBEDDED)
        path = folder / f"ablation-vocabulary-{self.settings.vocab_size}-{self.digest}"
        if not path.exists():
            texts = (document.text for source in self.sources.values() for document in source.train)
            with whole_folder(path) as building:
                GLMTokenizer.train_from_iterator(texts, self.settings.vocab_size).save_pretrained(building)
        return GLMTokenizer.from_pretrained(path)

    def _encode(self, documents: Sequence[Document]) -> list[list[int]]:
        return self.tokenizer([document.text for document in documents])["input_ids"]

    @property
    def groups(self) -> dict[str, list[str]]:
        """The sources under every heading."""
        groups: dict[str, list[str]] = {}
        for name, source in self.sources.items():
            groups.setdefault(source.title, []).append(name)
        return groups

    @property
    def identity(self) -> dict[str, Any]:
        """What two runs must share to stand in one table."""
        return {**asdict(self.settings), "families": list(self.settings.families), "digest": self.digest}

    def run(self, name: str, seed: int, bf16: bool) -> dict[str, Any]:
        """Train and measure a variant. Returns the line for the file of finished runs."""
        settings, variant, started = self.settings, VARIANTS[name], time.process_time()
        torch.manual_seed(seed)
        model = build_model(
            variant,
            self.tokenizer,
            hidden_size=settings.hidden_size,
            num_hidden_layers=settings.num_hidden_layers,
            max_length=settings.max_length,
        ).to("cuda" if torch.cuda.is_available() else "cpu")
        options = {"objectives": MIXTURE, "mask_ratio": MASK_RATIO, **variant.collator, "seed": seed}
        lengths = {"max_length": settings.max_length, "packed_length": settings.packed_length}
        collate = DataCollatorForBlankInfilling(self.tokenizer, **lengths, **options)
        drawn = draw_texts(self._train_ids, seed)
        batches = (collate(list(islice(drawn, settings.batch_size))) for _ in count())
        loss = train(
            model,
            variant,
            batches,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            bf16=bf16,
            name=f"{name}, seed {seed}",
        )
        trained = time.process_time()
        measured = {source: self.measure(model, name, source) for source in self.sources}
        return {
            "variant": name,
            "seed": seed,
            **self.identity,
            "parameters": model.num_parameters(),
            "bf16": bf16,
            "machine": describe_this_machine(),
            "train_loss": loss,
            "train_cpu_seconds": round(trained - started, 1),
            "measure_cpu_seconds": round(time.process_time() - trained, 1),
            "measured": measured,
        }

    def measure(self, model: Any, name: str, source: str) -> dict[str, dict[str, list]]:
        """Measure a model of a variant on a source: the scores of every set of texts."""
        variant, count_of = VARIANTS[name], self.settings.blanks
        held_out = self._short_enough(self.sources[source].held_out)
        one = [as_blanked(blank) for blank in make_blanks(held_out, count=count_of, seed=1)]
        several = make_several_blanks(held_out, count=max(1, count_of // 2), seed=2)
        whole = self._encode(held_out[:: max(1, len(held_out) // max(1, count_of // 2))])
        scores: dict[str, TextScores] = {
            "one": measure_blanks(model, self.tokenizer, one),
            "several": measure_blanks(model, self.tokenizer, several),
        }
        if not is_causal(model):
            scores["reversed"] = measure_reversed(model, self.tokenizer, several)
        for objective in ("sentence", "document"):
            scores[objective] = measure_objective(
                model, self.tokenizer, whole, variant, objective, max_length=self.settings.max_length
            )
        return {kind: asdict(of_kind) for kind, of_kind in scores.items()}

    def _short_enough(self, documents: Sequence[Document]) -> list[Document]:
        """Leave out texts that are longer than the table of positions."""
        lengths = [len(ids) for ids in self._encode(documents)]
        return [
            document for document, length in zip(documents, lengths, strict=True) if length <= self.settings.max_length
        ]
