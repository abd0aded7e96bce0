"""Train on sources and targets, generate the targets and measure them."""
