"""Export models to ONNX and torch.export, and run an exported language model without torch."""
