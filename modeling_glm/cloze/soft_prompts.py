"""
P-tuning: prompt tokens inside a pattern that are learned (Liu et al. 2021, "GPT Understands, Too").

`{soft:3}` in a pattern stands for three tokens of the vocabulary that mean nothing yet. [`add_soft_tokens`] makes them;
training them is then PEFT's `TrainableTokensConfig`, which leaves all else as it is and saves nothing but their
embeddings, or its `LoraConfig(trainable_token_indices=...)`, or the whole model as usual:

```python
ids = add_soft_tokens(model, tokenizer, task)
model = get_peft_model(model, TrainableTokensConfig(token_indices=ids, target_modules=["word_embeddings"]))
```

PEFT's prompt tuning itself cannot do this: it puts its tokens before a text, as embeddings, and GLM must see the ids to
know where the blank is.
"""

import torch
from tokenizers import AddedToken

from ..modeling_glm import GLMPreTrainedModel
from ..tokenization import GLMTokenizer, PatternVerbalizer
from ..tokenization.cloze.encoding import SOFT_TOKEN


def add_soft_tokens(
    model: GLMPreTrainedModel, tokenizer: GLMTokenizer, task: PatternVerbalizer, seed: int = 0
) -> list[int]:
    """
    Gives the vocabulary the prompt tokens that the patterns of a task need. Tokens that it has already stay as they are;
    new ones start as the embeddings of words, drawn from the vocabulary (Lester et al. 2021, section 3.2). The embedding
    grows if it has no rows to spare.

    Args:
        model: Any GLM model; changed in place.
        tokenizer: Its tokenizer; changed in place, so save it with the model.
        task: A task whose patterns have `{soft:n}`.
        seed: For the words.

    Returns:
        The ids of all prompt tokens of the task, in order.

    Raises:
        ValueError: if no pattern has `{soft:n}`.
    """
    count = task.soft_tokens
    if count == 0:
        raise ValueError(
            "No pattern of the task has prompt tokens: write {soft:3} where three of them are to stand, or take "
            "PatternVerbalizer.from_task(name, p_tuning=True)."
        )
    names = [SOFT_TOKEN.format(number) for number in range(count)]
    known = tokenizer.get_vocab()
    special = set(tokenizer.all_special_ids)
    words = sorted(token_id for token_id in known.values() if token_id not in special)
    new = [name for name in names if name not in known]
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in new], special_tokens=True)

    if len(tokenizer) > model.config.vocab_size:
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
