"""Examples that bring their own choices, for tests of classifiers."""

QUESTIONS = [  # as many choices as it pleases
    {"text": "What jumps?", "options": ["the fox", "Rome"], "label": 0},
    {"text": "Where?", "options": ["over", "the lazy dog", "in Paris", "capital"], "label": "in Paris"},
    {"text": "The number 404", "options": ["was", "was not found", "the"], "label": 1},
]
CHOICES = ["{text} [MASK]!", None, "{options}"]
