"""What the code of the authors does behind a seq2seq model: its searches, and how it reads and scores answers."""
