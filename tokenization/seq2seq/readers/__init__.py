"""Read the files of the originals' seq2seq tasks."""
