"""The page of `examples/app.py`: fill blanks, choose among answers, and see what the model sees."""
