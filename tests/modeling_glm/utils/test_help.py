"""The `--help` of scripts."""

import argparse

from modeling_glm.utils.help import HelpFormatter, short_formatter


def test_lines_stay_and_defaults_are_shown():
    parser = argparse.ArgumentParser(description="First line.\nSecond line.", formatter_class=HelpFormatter)
    parser.add_argument("--steps", default=5, help="How many.")
    parser.add_argument("--folder", help="Where to.")
    text = parser.format_help()
    assert "First line.\nSecond line." in text
    assert "How many. (default: 5)" in text
    assert "Where to.\n" in text


def test_others_are_left_out():
    parser = argparse.ArgumentParser(
        description="First line.\nSecond line.", formatter_class=short_formatter({"steps"})
    )
    parser.add_argument("--steps", help="How many.")
    parser.add_argument("--folder", help="Where to.")
    text = parser.format_help()
    assert "First line.\nSecond line." in text
    assert "How many." in text
    assert "Where to." not in text
