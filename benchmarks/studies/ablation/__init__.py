"""The parts of the ablation: texts, variants, training, blanks to measure, and tables with intervals."""
