"""Questions about WordNet whose answers a reader can check: what something is a kind of, and opposites."""

import random
from collections import defaultdict
from collections.abc import Collection, Iterable

from ..documents import is_held_out
from ..measuring.blanks import MASK, HeldOutBlank
from .database import Synset, WordNet
from .documents import key_of, opposites_key
from .english import everyday_kind, is_presentable, named, sentence


def kinds_in_definitions(wordnet: WordNet, *, count: int, seed: int) -> list[HeldOutBlank]:
    """
    Return questions whose definition, in the same text, names what the thing is a kind of.

    The synsets are held out. Every word on the way from what they are a kind of up to the everyday kind is right.
    """
    found = []
    for synset, accepted in _nouns_with_kinds(wordnet, held_out=True):
        words = f" {' '.join(synset.definition.lower().replace(',', ' ').replace(';', ' ').split())} "
        if any(f" {answer.lower()} " in words for answer in accepted):
            name = named(synset, synset.words[0])
            text = f"{sentence(f'{name} is {synset.definition}')} {sentence(f'{name} is a kind of {MASK}')}"
            found.append(
                HeldOutBlank(
                    family="kind of, from its definition", text=text, answer=accepted[0], others=tuple(accepted[1:])
                )
            )
    return _choose(found, count, seed)


def kinds_from_memory(
    wordnet: WordNet, *, count: int, seed: int, trained: Collection[str] | None = None
) -> list[HeldOutBlank]:
    """
    Return questions about common words that the training texts answer: `A spaniel is a kind of [MASK].`

    Args:
        wordnet: The database.
        count: The most questions to return.
        seed: The same seed chooses the same questions.
        trained: The training texts, without those that were left out because they share something with a held-out text.
            None means all that are not held out.
    """
    found = [
        HeldOutBlank(
            family="kind of, from memory",
            text=sentence(f"{named(synset, synset.words[0])} is a kind of {MASK}"),
            answer=accepted[0],
            others=tuple(accepted[1:]),
        )
        for synset, accepted in _nouns_with_kinds(wordnet, held_out=False)
        if synset.count and wordnet.senses(synset)[0] is synset
    ]
    return _choose(found, count, seed, trained)


def opposites_from_memory(
    wordnet: WordNet, *, count: int, seed: int, trained: Collection[str] | None = None
) -> list[HeldOutBlank]:
    """Return questions about the opposites of common words that the training texts answer; see `kinds_from_memory`."""
    opposites: dict[str, list[str]] = defaultdict(list)
    asked = []
    for synset in wordnet:
        for own, other in synset.opposites:
            if own not in opposites[other]:
                opposites[other].append(own)
            if synset.count and not is_held_out(opposites_key(own, other)):
                asked.append(other)
    found = [
        HeldOutBlank(
            family="opposites, from memory",
            text=f"The opposite of {MASK} is {word}.",
            answer=opposites[word][0],
            others=tuple(opposites[word][1:]),
        )
        for word in dict.fromkeys(asked)
    ]
    return _choose(found, count, seed, trained)


def _nouns_with_kinds(wordnet: WordNet, *, held_out: bool) -> Iterable[tuple[Synset, list[str]]]:
    for synset in wordnet:
        if synset.pos != "n" or not synset.related("@") or not is_presentable(synset):
            continue
        kind = everyday_kind(wordnet, synset)
        if is_held_out(key_of(synset)) == held_out and kind is not None:
            chain = wordnet.ancestors(synset, 4)
            yield synset, [word for parent in chain[: chain.index(kind) + 1] for word in parent.words]


def _choose(
    questions: list[HeldOutBlank], count: int, seed: int, trained: Collection[str] | None = None
) -> list[HeldOutBlank]:
    """Choose questions at random, with others in the places of those that no training text answers."""
    generator = random.Random(seed)
    chosen = generator.sample(questions, min(count, len(questions)))
    if trained is None:
        return chosen
    known = [question for question in chosen if _is_answered(question, trained)]
    # Drawn behind the others, so that a few questions without an answer do not change all of the sample.
    for question in generator.sample(questions, len(questions)) if len(known) < count else ():
        if len(known) < count and question not in chosen and _is_answered(question, trained):
            known.append(question)
    return known


def _is_answered(question: HeldOutBlank, trained: Collection[str]) -> bool:
    return any(
        sentence(question.text.replace(MASK, answer)) in trained for answer in (question.answer, *question.others)
    )
