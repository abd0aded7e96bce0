"""Small documents about English words, made from WordNet 3.1: what a word means, what it is a kind of, its opposite."""

from .database import Synset, WordNet, read_wordnet
from .documents import wordnet_documents

__all__ = ["Synset", "WordNet", "read_wordnet", "wordnet_documents"]
