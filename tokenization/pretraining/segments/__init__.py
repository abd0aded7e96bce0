"""Find the runs, sentences and words of texts in their ids."""
