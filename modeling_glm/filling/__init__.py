"""Fill the blanks of texts, score given fillings, and choose among answers."""
