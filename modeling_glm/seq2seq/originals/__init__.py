"""Follow the code of the authors behind a seq2seq model: its searches, and how it reads and scores answers."""
