"""
Answer typed questions with a probability for every option: the decision models of Transformers with the scores of GLM.

A cloze pattern asks every question with a blank, and every option is a branch behind the text (paper section 2.3). Options
do not see each other, so their order does not matter, and they may have several tokens.

Transformers has decision models from 5.23 on. Before, nothing imports this file.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from transformers.decision import DecisionConfig, Question
from transformers.decision.modeling_utils import DecisionMixin
from transformers.utils import cached_file

from .branches_glm import PieceLayout, Query, look_up, pad_layouts
from .configuration_glm import GLMConfig
from .questions_glm import DecisionRow, GLMDecisionConfig

# The most rows in a forward pass.
MOST_ROWS = 32
# Heads whose training changes the model below them, and with it the probabilities of words.
OTHER_HEADS = ("classifier.", "qa_outputs.")
DECISION_FILE, TASK_FILE = "decision.json", "cloze.json"
HUB_SETTINGS = ("cache_dir", "local_files_only", "revision", "subfolder", "token")


class GLMDecisionMixin(DecisionMixin):
    """Add `decide` to a model with the projection to the vocabulary, and `decision.json` to its folder."""

    config: GLMConfig
    device: torch.device
    glm: Any
    # Whether the weights come from a checkpoint. `decide` refuses to answer with random ones.
    has_trained_weights = False

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike | None,
        *args: Any,
        decision_config: DecisionConfig | None = None,
        **kwargs: Any,
    ):
        """
        Load a model from any GLM checkpoint that fills blanks, with its `decision.json` if there is one.

        Args:
            pretrained_model_name_or_path, args, kwargs: As in `PreTrainedModel.from_pretrained`.
            decision_config: How questions are asked, in place of `decision.json`.

        Raises:
            ValueError: For weights that lack a tensor, which would be drawn at random, for a checkpoint that was fine-tuned
                with another head, and for a cloze classifier whose task the model would not follow.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        # The library's method reads heads that ship in formats of their own, which GLM does not have.
        loaded: Any = super(DecisionMixin, cls).from_pretrained(  # type: ignore[misc]
            pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs
        )
        model, info = loaded
        _require_trained(info, pretrained_model_name_or_path)
        model.has_trained_weights = True
        if decision_config is None and pretrained_model_name_or_path is not None:
            settings = {name: kwargs[name] for name in HUB_SETTINGS if name in kwargs}
            _refuse_task(str(pretrained_model_name_or_path), settings)
            decision_config = GLMDecisionConfig.from_pretrained(str(pretrained_model_name_or_path), **settings)
        if decision_config is not None:
            model.decision_config = decision_config
        return (model, info) if wants_info else model

    def post_init(self):
        """Start with the default decision config."""
        super().post_init()
        self.decision_config = GLMDecisionConfig()

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load weights as the library does. If none are missing, the model may answer afterwards."""
        loaded = super().load_state_dict(state_dict, *args, **kwargs)  # type: ignore[misc]
        tied = {"lm_head.weight"} if self.config.tie_word_embeddings else set()
        self.has_trained_weights |= not set(loaded.missing_keys) - tied
        return loaded

    @property
    def decision_config(self) -> DecisionConfig:
        """How questions are asked. It knows how long a text may be, because it meets texts before the model does."""
        return self._decision_config

    @decision_config.setter
    def decision_config(self, config: DecisionConfig) -> None:
        self._decision_config = self._with_limits(config) if isinstance(config, GLMDecisionConfig) else config

    def _with_limits(self, config: GLMDecisionConfig) -> GLMDecisionConfig:
        """Limit the lengths of texts and options to what the position table holds."""
        table = {"max_length": self.config.max_context_length, "max_option_length": self.config.max_piece_length}
        limits: dict[str, Any] = {name: min(getattr(config, name) or most, most) for name, most in table.items()}
        if all(getattr(config, name) == limit for name, limit in limits.items()):
            return config
        return replace(config, **limits)

    def require_config(self, config: DecisionConfig | None = None) -> GLMDecisionConfig:
        """Return a decision config, by default the model's. Raises a `ValueError` if GLM cannot use it."""
        config = self.decision_config if config is None else config
        if not isinstance(config, GLMDecisionConfig):
            raise ValueError(
                f"The decision config is a {type(config).__name__}: expected a GLMDecisionConfig. Keep the settings in "
                "decision.json beside the weights, and give no other config."
            )
        return self._with_limits(config)

    @torch.no_grad()
    def decide(
        self,
        input_ids: torch.Tensor | None = None,
        marks: torch.Tensor | None = None,
        decision_questions: Sequence[Question] = (),
        decision_config: DecisionConfig | None = None,
        *,
        rows: Sequence[DecisionRow] | None = None,
        **kwargs: Any,
    ) -> list[torch.Tensor]:
        """
        Score the options of every question of a request, in one forward pass up to 32 rows.

        Args:
            input_ids: (rows, seq) int64 contexts, for callers that count tokens.
            marks: Not used: blanks say where GLM reads.
            decision_questions: The questions.
            decision_config: Another decision config than the model's.
            rows: The rows that `GLMDecisionConfig.prepare_inputs` made of the request.
            kwargs: Not used.

        Returns:
            For every question its scores (options,), float64, corrected by the contextual calibration and divided by the
            temperature of its type. Their softmax are the probabilities.

        Raises:
            ValueError: If the weights are random, or the inputs were prepared by another config than a
                `GLMDecisionConfig`.
        """
        config = self.require_config(decision_config)
        if rows is None:
            raise ValueError(
                "The inputs have no rows: prepare them with model.decision_config.prepare_inputs(request, tokenizer)."
            )
        return self.correct_scores(self.score_rows(rows), decision_questions, config)

    def score_rows(self, rows: Sequence[DecisionRow]) -> list[list[tuple[int, float]]]:
        """
        Score the options of rows.

        Args:
            rows: Rows of one or many requests.

        Returns:
            For every row the slot of every form of an option, and its log-probability, divided by a power of its length
            where the config sets `choice_length_penalty`.

        Raises:
            ValueError: If the weights are random, or a text or an option is longer than the position table.
        """
        if not self.has_trained_weights:
            raise ValueError(
                f"The weights of this {type(self).__name__} are random, so its answers would mean nothing: load a checkpoint "
                "with from_pretrained, or weights with load_state_dict."
            )
        scored = []
        for start in range(0, len(rows), MOST_ROWS):
            scored += self._score_batch(rows[start : start + MOST_ROWS])
        return scored

    def _score_batch(self, rows: Sequence[DecisionRow]) -> list[list[tuple[int, float]]]:
        layouts, queries = zip(*(lay_out_row(row, self.config) for row in rows), strict=True)
        inputs = pad_layouts(layouts, 0, self.device)  # the id does not matter: it is masked
        states = self.glm(**inputs._asdict(), use_cache=False).last_hidden_state
        found = iter(look_up(self, states, layouts, queries))
        penalty = self.config.choice_length_penalty
        return [
            [
                (form.slot, sum(next(found) for _ in form.token_ids) / len(form.token_ids) ** penalty)
                for form in row.forms
            ]
            for row in rows
        ]

    def correct_scores(
        self,
        scored: Sequence[Sequence[tuple[int, float]]],
        questions: Sequence[Question],
        config: GLMDecisionConfig,
    ) -> list[torch.Tensor]:
        """
        Turn the scores of all rows of a request into those of its questions.

        Args:
            scored: What `score_rows` returned for the rows of the request.
            questions: The questions of the request.
            config: Its decision config.

        Returns:
            As `decide`.
        """
        sizes = [len(question.options) for question in questions]
        states, total = 1 + len(config.content_free), sum(sizes)
        slots, values = zip(*chain.from_iterable(scored), strict=True)
        # (states, options); the probabilities of the forms of an option are added
        table = _add_forms(torch.tensor(slots), torch.tensor(values, dtype=torch.float64), states * total)
        corrected = []
        for question, of_question in zip(questions, table.view(states, total).split(sizes, dim=1), strict=True):
            scores = of_question[0]
            if states > 1:
                # A sum of logarithms, because a probability may be too small for float64.
                scores = scores - of_question[1:].log_softmax(-1).logsumexp(0) + math.log(states - 1)
            process = config.get_logits_processor(question.type)
            corrected.append(process(torch.empty(0, dtype=torch.long), scores))
        return corrected


def lay_out_row(row: DecisionRow, config: GLMConfig) -> tuple[PieceLayout, list[Query]]:
    """
    Lay out a text with its options as branches, and say what is predicted where.

    The options of the only blank share the start of piece. With several blanks, each option has its own:

        ids     [CLS] a M <eos> S | x | y          ids     [CLS] M M <eos> | S x | S y
        branch     0  0 0   0   0 | 1 | 2          branch     0  0 0   0   | 1 1 | 2 2

    Raises:
        ValueError: If the text or an option is longer than the position table.
    """
    for name, count, most in (
        ("text", len(row.context), config.max_context_length),
        ("option", max(len(form.token_ids) for form in row.forms), config.max_piece_length),
    ):
        if count > most:
            raise ValueError(f"The {name} has {count} tokens, but the position table holds {most}: shorten it.")
    layout, queries = PieceLayout(row.context, config), list[Query]()
    blanks = {form.blank for form in row.forms}
    shared = layout.append(min(blanks), [layout.sop_token_id]) if len(blanks) == 1 else None
    for branch, form in enumerate(row.forms, start=1):
        # The last token is only predicted, so it is not fed.
        fed = form.token_ids[:-1]
        if shared is None:
            columns = list(layout.append(form.blank, [layout.sop_token_id, *fed], branch=branch))
        else:
            columns = [*shared, *layout.append(form.blank, fed, first=2, branch=branch)]
        queries += map(Query, columns, form.token_ids)
    return layout, queries


def _add_forms(slots: torch.Tensor, values: torch.Tensor, total: int) -> torch.Tensor:
    """Compute the logarithm of the summed probabilities of every slot: (total,)."""
    highest = values.new_full((total,), -torch.inf).scatter_reduce(0, slots, values, "amax")
    sums = values.new_zeros(total).scatter_add(0, slots, (values - highest[slots]).exp())
    return highest + sums.log()


def _refuse_task(source: str, settings: Mapping[str, Any]) -> None:
    """Raise a `ValueError` for a cloze classifier, unless `decision.json` says how its questions are asked."""

    def has(name: str) -> bool:
        return cached_file(source, name, _raise_exceptions_for_missing_entries=False, **settings) is not None

    if has(TASK_FILE) and not has(DECISION_FILE):
        raise ValueError(
            f"{source} has a cloze task ({TASK_FILE}), which a decision model does not read, so its answers would not be "
            "those of the classifier. Make a decision model that has the task: build_decision_model(ClozeClassifier(model, "
            "tokenizer)). To ask other questions, give decision_config=GLMDecisionConfig()."
        )


def _require_trained(info: Mapping[str, Any], source: Any) -> None:
    missing = sorted(map(str, [*info["missing_keys"], *info.get("mismatched_keys", ())]))
    if missing:
        raise ValueError(
            f"The weights in {source} lack {missing[0]}, which would be drawn at random, so answers would mean nothing: load "
            "a checkpoint that fills blanks."
        )
    if heads := sorted(key for key in info["unexpected_keys"] if key.startswith(OTHER_HEADS)):
        raise ValueError(
            f"The weights in {source} have a head of another kind ({heads[0]}). Its training changed the model below, so the "
            "probabilities of words mean nothing: load the checkpoint from before, or a cloze classifier."
        )


__all__ = ["GLMDecisionMixin", "lay_out_row"]
