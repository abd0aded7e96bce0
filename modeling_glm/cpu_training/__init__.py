"""Train faster on CPUs: quickly drawn dropout masks, and attention and MLP that keep less memory or take less time."""
