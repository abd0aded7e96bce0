"""Merged cards keep the text of people, and repeat nothing."""

import re
import time

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm import GLMModel
from modeling_glm.hub.card import create_model_card, write_model_card
from modeling_glm.hub.merge import find_sections, merge_metadata, merge_model_cards
from modeling_glm.hub.push import push_model
from tests.support.models import make_model, tiny_config

NEW = """---
library_name: transformers
tags: [glm, cloze]
---

# generated

<!-- modeling-glm: usage -->
new usage
<!-- /modeling-glm: usage -->

<!-- modeling-glm: training -->
new training
<!-- /modeling-glm: training -->

<!-- modeling-glm: citation -->
new citation
<!-- /modeling-glm: citation -->
"""


def metadata(card: str) -> dict:
    return yaml.safe_load(card.split("---")[1])


def results(value: float, **overrides) -> list[dict]:
    """Return a model-index with one result."""
    settings = {
        "task_type": "multiple-choice",
        "dataset_type": "super_glue",
        "dataset_name": "SuperGLUE",
        "dataset_config": "copa",
        "dataset_split": "test",
        "metric_type": "accuracy",
        "metric_name": "Accuracy",
        "metric_value": value,
        **overrides,
    }
    return ModelCardData(model_name="m", eval_results=[EvalResult(**settings)]).to_dict()["model-index"]


def figures(index: list[dict]) -> list[float]:
    return [metric["value"] for entry in index for result in entry["results"] for metric in result["metrics"]]


class TestText:
    def test_generated_sections_are_renewed_where_they_stand(self):
        existing = (
            "---\ntags: [glm]\n---\n# Mine\n\n<!-- modeling-glm: citation -->\nold\n<!-- /modeling-glm: citation -->\n"
            "between <!-- a comment -->\n\n<!-- modeling-glm: usage -->\nold\nold\n<!-- /modeling-glm: usage -->\n\nlast\n"
        )
        text = merge_model_cards(existing, NEW).split("---\n", 2)[2]
        assert text == (
            "# Mine\n\n<!-- modeling-glm: citation -->\nnew citation\n<!-- /modeling-glm: citation -->\n"
            "between <!-- a comment -->\n\n<!-- modeling-glm: usage -->\nnew usage\n<!-- /modeling-glm: usage -->\n\n"
            "<!-- modeling-glm: training -->\nnew training\n<!-- /modeling-glm: training -->\n\nlast\n"
        )

    def test_missing_sections_follow_the_text(self):
        merged = merge_model_cards("---\nlicense: mit\n---\n# Mine\n\nwords", NEW)
        assert merged.split("---\n", 2)[2].startswith("# Mine\n\nwords\n\n<!-- modeling-glm: usage -->\nnew usage\n")
        assert merged.endswith("<!-- /modeling-glm: citation -->\n")

    @pytest.mark.parametrize("line_break", ["\n", "\r\n"])
    def test_merging_twice_is_merging_once(self, line_break):
        existing = "---\nlicense: mit\n---\n\n# Mine\n\nwords\n".replace("\n", line_break)
        once = merge_model_cards(existing, NEW)
        assert merge_model_cards(once, NEW) == once
        assert once.count("new usage") == 1
        assert once.count(line_break) == once.count("\n")

    def test_text_without_metadata_gets_them(self):
        merged = merge_model_cards("# Mine\n", NEW)
        assert merged.startswith("---\nlibrary_name: transformers\ntags:\n- glm\n- cloze\n---\n# Mine\n\n<!--")

    def test_nothing_at_all_becomes_the_new_card(self):
        assert metadata(merge_model_cards("", NEW)) == metadata(NEW)
        assert merge_model_cards("", NEW).split("---\n", 2)[2] == NEW.split("---\n", 2)[2]

    def test_backslashes_and_groups_in_sections_are_text(self):
        new = NEW.replace("new usage", r"\1 \g<0> C:\new")
        once = merge_model_cards("# Mine", new)
        assert r"\1 \g<0> C:\new" in merge_model_cards(once, new)


class TestTemplate:
    @pytest.fixture
    def template(self) -> str:
        """The template that Transformers pushes for a new repository is replaced."""
        sentence = (
            "This is the model card of a 🤗 transformers model that has been pushed on the Hub. This model card has been "
            "automatically generated."
        )
        return str(ModelCard.from_template(ModelCardData(tags=["mine"]), model_description=sentence))

    def test_makes_room(self, template):
        merged = merge_model_cards(template, NEW)
        assert metadata(merged)["tags"] == ["mine", "glm", "cloze"]
        assert merged.split("---\n", 2)[2] == NEW.split("---\n", 2)[2]

    def test_stays_where_somebody_wrote_into_it(self, template):
        merged = merge_model_cards(template.replace("## Uses", "## Uses\n\nFor everything."), NEW)
        assert "For everything." in merged
        assert "new usage" in merged


class TestMetadata:
    def test_only_what_changes_is_written_anew(self):
        block = "license: mit  # chosen by us\nlanguage: no\nmine: {a: [1, 2]}\ntags:\n  - old  # tag\nwidget:\n- text: 'a: b'\n# last"
        merged = merge_model_cards(f"---\n{block}\n---\ntext\n", NEW)
        assert merged.split("---")[1] == (
            "\nlicense: mit  # chosen by us\nlanguage: no\nmine: {a: [1, 2]}\ntags:\n- old\n- glm\n- cloze  # tag\nwidget:\n"
            "- text: 'a: b'\n# last\nlibrary_name: transformers\n"
        )

    def test_what_is_there_is_left_character_by_character(self):
        card = "---\nlibrary_name:   'transformers'\ntags: [ cloze,glm ]\n---\ntext\n"
        assert merge_model_cards(card, "---\nlibrary_name: transformers\ntags: [glm]\n---\n") == card

    @pytest.mark.parametrize(
        "block", ["{license: mit, tags: [old]}", "a: &x [1]\nlicense: mit\ntags: &t [old]\nb: *t"]
    )
    def test_unusual_spellings_lose_nothing(self, block):
        merged = metadata(merge_model_cards(f"---\n{block}\n---\ntext\n", NEW))
        assert merged == {**yaml.safe_load(block), "library_name": "transformers", "tags": ["old", "glm", "cloze"]}

    def test_lists_grow_and_values_stay(self):
        existing = {
            "license": "mit",
            "language": "de",
            "datasets": None,
            "base_model": "a/b",
            "pipeline_tag": "fill-mask",
        }
        new = {
            "license": "mit",
            "language": ["en", "de"],
            "datasets": ["x"],
            "base_model": ["c/d"],
            "pipeline_tag": "x",
        }
        assert merge_metadata(existing, new) == {
            "license": "mit",
            "language": ["de", "en"],
            "datasets": ["x"],
            "base_model": ["a/b", "c/d"],
            "pipeline_tag": "fill-mask",
        }

    def test_a_value_that_is_kept_gives_a_warning(self, monkeypatch):
        warnings: list[str] = []
        monkeypatch.setattr("modeling_glm.hub.merge.logger.warning", warnings.append)
        assert merge_metadata({"license": "mit"}, {"license": "apache-2.0"}) == {"license": "mit"}
        assert warnings == ["The model card keeps its license: 'mit'. Edit the card to change it to 'apache-2.0'."]
        merge_metadata({"license": "mit", "pipeline_tag": "x"}, {"license": "mit", "pipeline_tag": "y"})
        assert len(warnings) == 1

    @pytest.mark.parametrize(
        ("block", "message"),
        [("tags: [glm", "are not YAML"), ("- a\n- b", "are a list, expected a mapping"), ("word", "are a str")],
    )
    def test_broken_metadata_are_refused_and_stay(self, block, message, tmp_path):
        card = f"---\n{block}\n---\nwords\n"
        (tmp_path / "README.md").write_text(card)
        with pytest.raises(ValueError, match=rf"README.md cannot be merged.*{message}"):
            write_model_card(tmp_path, tiny_config())
        assert (tmp_path / "README.md").read_text() == card
        assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


class TestFigures:
    def test_the_same_metric_on_the_same_data_is_replaced(self):
        merged = merge_metadata({"model-index": results(0.5)}, {"model-index": results(0.6)})["model-index"]
        assert merged == results(0.6)

    @pytest.mark.parametrize(
        "other",
        [
            {"metric_type": "f1"},
            {"metric_name": "Another accuracy"},
            {"dataset_split": "train"},
            {"dataset_config": "boolq"},
            {"dataset_type": "glue"},
            {"task_type": "text-classification"},
        ],
    )
    def test_all_others_stay(self, other):
        existing = results(0.5, **other)
        merged = merge_metadata({"model-index": existing}, {"model-index": results(0.6)})["model-index"]
        assert figures(merged) == [0.5, 0.6]
        assert figures(existing) == [0.5]  # not changed on the way

    def test_what_huggingface_hub_does_not_know_stays(self):
        existing = results(0.5)
        existing[0]["results"][0]["notes"] = "by hand"
        existing[0]["results"][0]["metrics"].append({"type": "speed", "value": 3, "unit": "s"})
        existing.append({"name": "other", "results": []})
        merged = merge_metadata({"model-index": existing}, {"model-index": results(0.6)})["model-index"]
        assert merged[0]["results"][0]["notes"] == "by hand"
        assert merged[0]["results"][0]["metrics"][0] == {"type": "speed", "value": 3, "unit": "s"}
        assert figures(merged) == [3, 0.6]
        assert merged[1] == {"name": "other", "results": []}

    MALFORMED = "model-index:\n- name: m\n  results:\n  - task: {type: x}\n    metrics: []  # no dataset"

    def test_a_malformed_index_stays_where_nothing_is_added(self):
        card = f"---\n{self.MALFORMED}\n---\nwords\n"
        with pytest.raises(ValueError, match="model_index"):
            ModelCard(card)  # huggingface_hub would have to lose it
        merged = merge_model_cards(card, NEW)
        assert f"---\n{self.MALFORMED}\n" in merged
        assert "new usage" in merged

    def test_and_is_refused_where_figures_are_to_be_added(self):
        new = str(create_model_card(tiny_config(), model_name="m", eval_results=[EvalResult("a", "b", "c", "d", 1)]))
        with pytest.raises(ValueError, match="model-index is not a list of names with results"):
            merge_model_cards(f"---\n{self.MALFORMED}\n---\nwords\n", new)

    def test_an_empty_index_is_filled(self):
        new = {"model-index": results(0.6)}
        assert merge_metadata({"model-index": []}, new) == new
        merged = merge_metadata({"model-index": [{"name": "m", "results": []}]}, new)
        assert merged == new


class TestHostileCards:
    @pytest.mark.parametrize(
        ("block", "message"),
        [
            ("a: &a [*a]", "the metadata are not YAML: the value of the anchor 'a' holds itself"),
            ("tags: &t {x: {y: [*t]}}", "holds itself"),
            ("a: " + "[" * 100_000, "nested more than 100 deep"),
            (
                "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]" for i in range(1, 20))]),
                "its aliases stand",
            ),
            ("a: !!int ''", "the metadata are not YAML"),
        ],
    )
    def test_metadata_that_refer_to_themselves(self, block, message, tmp_path):
        (tmp_path / "README.md").write_text(f"---\n{block}\n---\nwords\n")
        with pytest.raises(ValueError, match=rf"README.md cannot be merged with the new one: .*{message}"):
            write_model_card(tmp_path, tiny_config())

    def test_a_folder(self, tmp_path):
        (tmp_path / "README.md").mkdir()
        with pytest.raises(ValueError, match=r"README.md is a folder, expected the file of a model card"):
            write_model_card(tmp_path, tiny_config())
        with pytest.raises(ValueError, match=r"README.md is a folder, expected the file of a model card"):
            push_model(make_model(GLMModel), "me/glm", save_directory=tmp_path)  # before the hub is asked
        assert [path.name for path in tmp_path.rglob("*")] == ["README.md"]

    def test_other_encodings(self, tmp_path):
        (tmp_path / "README.md").write_bytes("---\nlicense: mit\n---\nwörter".encode("utf-16"))
        with pytest.raises(ValueError, match=r"README.md cannot be merged with the new one: 'utf-8' codec"):
            write_model_card(tmp_path, tiny_config())

    @pytest.mark.parametrize("block", ["1: 2\nnull: 3\n2024-01-01: 4\nno: x", "<<: {a: 1}\nb: 2", "? a\n: 1"])
    def test_keys_of_other_types(self, block):
        expected = yaml.safe_load(block)
        found = metadata(merge_model_cards(f"---\n{block}\n---\ntext\n", NEW))
        assert {key: found[key] for key in expected} == expected

    @pytest.mark.parametrize("block", ["? [a, b]\n: 1", "? {a: b}\n: 1"])
    def test_keys_that_no_dict_has(self, block):
        with pytest.raises(ValueError, match="are not YAML"):
            merge_model_cards(f"---\n{block}\n---\ntext\n", NEW)

    def test_sections_without_an_end_take_linear_time(self):
        start = time.process_time()
        text = "<!-- modeling-glm: usage -->\n" * 30_000 + "\n<!-- /modeling-glm: other -->" * 30_000
        merged = merge_model_cards(f"---\nlicense: mit\n---\n{text}", NEW)
        assert time.process_time() - start < 5
        assert merged.count("<!-- modeling-glm: usage -->") == 30_001


SECTION = re.compile(r"<!-- modeling-glm: (\w+) -->\r?\n(.*?)\r?\n<!-- /modeling-glm: \1 -->", re.DOTALL)


@given(
    st.lists(
        st.sampled_from(
            [
                "<!-- modeling-glm: a -->",
                "<!-- /modeling-glm: a -->",
                "<!-- modeling-glm: b -->",
                "<!-- /modeling-glm: b -->",
                "\n",
                "\r\n",
                "x",
            ]
        ),
        max_size=30,
    )
)
def test_sections_are_those_of_one_expression(parts):
    """The expression takes quadratic time for sections without an end."""
    text = "".join(parts)
    assert [*find_sections(text)] == [(match[1], *match.span()) for match in SECTION.finditer(text)]
