"""The command `modeling-glm`."""
