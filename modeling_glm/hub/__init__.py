"""Publish models and tokenizers on the hub, with code and model card."""
