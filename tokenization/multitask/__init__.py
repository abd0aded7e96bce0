"""Multi-task training: examples of cloze and seq2seq tasks as samples of blank infilling, and their draws."""
