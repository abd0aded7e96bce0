"""Convert checkpoints: find and read the files of others, check that they fit, and write folders of the hub or shards."""
