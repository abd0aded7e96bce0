"""
Classification tasks from real labelled data: film reviews, questions, messages, posts and news.

Each task is a JSON file here: its archive, the form of its files, its pattern and the words of its labels. `make data`
fetches the files.
"""

from .loading import REAL_TASKS, load_real_task, read_description

__all__ = ["REAL_TASKS", "load_real_task", "read_description"]
