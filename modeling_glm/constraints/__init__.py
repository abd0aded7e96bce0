"""Say what the answers of blanks may be: constraints, and the automata that apply them token by token."""
