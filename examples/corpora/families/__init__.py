"""
The families of the corpus, one module each.

A family is a function that yields documents, the same ones in the same order every time.
"""

from collections.abc import Callable, Iterator

from ..documents import Document
from .calendar.calendar_order import calendar_order
from .calendar.clock import clock
from .calendar.dates import dates
from .calendar.years import years
from .characters.alphabet import alphabet
from .characters.html_entities import html_entities
from .characters.unicode_case import unicode_case
from .characters.unicode_decomposition import unicode_decomposition
from .characters.unicode_digits import unicode_digits
from .characters.unicode_letters import unicode_letters
from .characters.unicode_style import unicode_style
from .characters.unicode_symbols import unicode_symbols
from .numbers.decimals import decimals
from .numbers.fractions import fractions
from .numbers.money import money
from .numbers.number_neighbours import number_neighbours
from .numbers.number_words import number_words
from .numbers.ordinals import ordinals
from .numbers.roman_numerals import roman_numerals
from .numbers.sums import sums
from .prose import prose
from .python.exceptions import exceptions
from .python.python_classes import python_classes
from .python.python_functions import python_functions
from .python.python_words import python_words
from .systems.codecs import codecs
from .systems.errors import errors
from .systems.http_status import http_status
from .systems.locales import locales
from .systems.mime_types import mime_types
from .systems.signals import signals
from .systems.time_zones import time_zones

FAMILIES: dict[str, Callable[[], Iterator[Document]]] = {
    "number_words": number_words,
    "ordinals": ordinals,
    "number_neighbours": number_neighbours,
    "roman_numerals": roman_numerals,
    "sums": sums,
    "money": money,
    "decimals": decimals,
    "fractions": fractions,
    "calendar_order": calendar_order,
    "dates": dates,
    "years": years,
    "clock": clock,
    "unicode_letters": unicode_letters,
    "unicode_case": unicode_case,
    "unicode_decomposition": unicode_decomposition,
    "unicode_style": unicode_style,
    "unicode_digits": unicode_digits,
    "unicode_symbols": unicode_symbols,
    "html_entities": html_entities,
    "alphabet": alphabet,
    "http_status": http_status,
    "mime_types": mime_types,
    "errors": errors,
    "signals": signals,
    "time_zones": time_zones,
    "locales": locales,
    "codecs": codecs,
    "python_words": python_words,
    "exceptions": exceptions,
    "python_functions": python_functions,
    "python_classes": python_classes,
    "prose": prose,
}
