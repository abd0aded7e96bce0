"""From token ids to pretraining batches: corrupt spans, lay out samples, pack rows."""
