"""
Learn prompt tokens inside a pattern: P-tuning (Liu et al. 2021, "GPT Understands, Too").

`{soft:3}` in a pattern stands for three tokens of the vocabulary that have no meaning yet. `add_soft_tokens` adds them. To
train them alone, use PEFT's `TrainableTokensConfig`, which saves only their embeddings. To train more, use
`LoraConfig(trainable_token_indices=...)`, or train the whole model as usual:

```python
ids = add_soft_tokens(model, tokenizer, task)
model = get_peft_model(model, TrainableTokensConfig(token_indices=ids, target_modules=["word_embeddings"]))
```

PEFT's own prompt tuning puts its embeddings in front of a text. These tokens stand where the pattern has them.
"""

import torch
from tokenizers import AddedToken

from ..modeling_glm import GLMPreTrainedModel
from ..tokenization import GLMTokenizer, PatternVerbalizer
from ..tokenization.patterns.encoding import SOFT_TOKEN
from ..tokenization.token_bytes import list_special_ids


def add_soft_tokens(
    model: GLMPreTrainedModel, tokenizer: GLMTokenizer, task: PatternVerbalizer, seed: int = 0
) -> list[int]:
    """
    Add the prompt tokens that the patterns of a task need to a vocabulary.

    Tokens that exist keep their embeddings. New ones start as the embeddings of words, drawn from the vocabulary (Lester et
    al. 2021, section 3.2). The embedding grows if it has no spare rows.

    Args:
        model: Any GLM model; it changes in place.
        tokenizer: Its tokenizer; it changes in place, so save it with the model.
        task: A task with `{soft:n}` in its patterns.
        seed: Seed for drawing words.

    Returns:
        The ids of all prompt tokens of the task, in order.

    Raises:
        ValueError: If no pattern has `{soft:n}`.
    """
    count = task.soft_tokens
    if count == 0:
        raise ValueError(
            "No pattern of the task has prompt tokens: write {soft:3} in the place of three of them, or use "
            "PatternVerbalizer.from_task(name, p_tuning=True)."
        )
    names = [SOFT_TOKEN.format(number) for number in range(count)]
    known = tokenizer.get_vocab()
    special = set(list_special_ids(tokenizer))
    # Sorted, so that the same seed draws the same words in every process.
    words = sorted(token_id for token_id in known.values() if token_id not in special)
    new = [name for name in names if name not in known]
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in new], special_tokens=True)

    if len(tokenizer) > model.config.vocab_size:
        # The new rows are set below, so the library need not draw them around the mean.
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(words), (len(new),), generator=generator).tolist()
    with torch.no_grad():
        for name, index in zip(new, drawn, strict=True):
            weight[tokenizer.convert_tokens_to_ids(name)] = weight[words[index]]
    return [tokenizer.convert_tokens_to_ids(name) for name in names]


__all__ = ["add_soft_tokens"]
