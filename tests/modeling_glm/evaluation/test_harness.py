"""The model of lm-evaluation-harness: as computed token by token, in any batches, and with the harness' own helpers."""

import copy
import logging
from types import SimpleNamespace

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CachingLM
from lm_eval.models.huggingface import HFLM
from peft import LoraConfig, PromptTuningConfig, get_peft_model

from modeling_glm import GLMForConditionalGeneration, GLMModel
from modeling_glm.evaluation import harness
from modeling_glm.evaluation.harness import GLMHarnessModel
from tests.support.models import TEXTS, ending_model, make_text_model
from tests.support.naive_scoring import naive_log_probs

PAIRS = [
    ("The quick brown fox", " jumps"),
    ("The quick brown fox", " jumps over the lazy dog"),
    ("The quick brown fox ", "runs"),
    ("In the year", " 1987"),
    ("", "Paris is the capital"),
    ("Paris is the [MASK] of France.", " capital"),
    ("the un", "happy cat"),
    ("The quick brown fox", " jumps"),
]


def requests(pairs, request_type: str = "loglikelihood") -> list[Instance]:
    return [Instance(request_type, {}, args, number) for number, args in enumerate(pairs)]


@pytest.fixture
def lm(model, tokenizer):
    return GLMHarnessModel(model, tokenizer, batch_size=3)


def naive_loglikelihood(model, tokenizer, context: str, continuation: str) -> tuple[float, bool]:
    """Score one continuation token by token behind `[CLS] context [gMASK] <eos>`, for byte-level vocabularies."""
    if "[MASK]" in context:
        ids = tokenizer(context)["input_ids"]
    else:
        begun = context.rstrip()
        continuation = context[len(begun) :] + continuation
        words = tokenizer(begun, add_special_tokens=False)["input_ids"]
        ids = [tokenizer.cls_token_id, *words, tokenizer.gmask_token_id, tokenizer.eos_token_id]
    piece = tokenizer(continuation, add_special_tokens=False)["input_ids"]
    greedy = []
    for place, token in enumerate(piece):
        logits = model(torch.tensor([[*ids, tokenizer.sop_token_id, *piece[:place]]])).logits[0, -1]
        greedy.append(logits.argmax().item() == token)
    return sum(naive_log_probs(model, ids, [0], [piece])[0][:-1]), all(greedy)


def assert_same(found: list[tuple[float, bool]], expected: list[tuple[float, bool]]):
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_loglikelihood_is_that_of_token_by_token(model, tokenizer, batch_size):
    lm = GLMHarnessModel(model, tokenizer, batch_size=batch_size, max_batch_size=2)
    found = lm.loglikelihood(requests(PAIRS), disable_tqdm=True)
    with torch.no_grad():
        expected = [naive_loglikelihood(model, tokenizer, *pair) for pair in PAIRS]
    assert_same(found, expected)


def test_all_continuations_of_a_context_share_a_pass(lm, model, monkeypatch):
    """Three of the continuations have the same context, and two spell it with white space at its end."""
    rows = []
    forward = GLMModel.forward
    monkeypatch.setattr(
        GLMModel,
        "forward",
        lambda self, ids, *args, **kwargs: (rows.append(len(ids)), forward(self, ids, *args, **kwargs))[1],
    )
    lm.loglikelihood(requests(PAIRS), disable_tqdm=True)
    assert sum(rows) == len({context.strip() for context, _ in PAIRS}) == 5


def test_what_is_generated_is_greedy(tokenizer):
    """With the same layout for both, the continuation that is written is the one that is greedy."""
    lm = GLMHarnessModel(make_text_model(tokenizer), tokenizer, close_context=True, max_gen_toks=5)
    contexts = ["The quick", "In the year 1987 "]
    written = lm.generate_until(requests([(text, {"until": []}) for text in contexts], "generate_until"), True)
    assert all(written)
    pairs = [(text, lead + answer) for text, answer in zip(contexts, written, strict=True) for lead in ("", " the")]
    assert [greedy for _, greedy in lm.loglikelihood(requests(pairs), True)] == [True, False] * 2


def test_a_long_context_is_cut_at_its_start(model, tokenizer, caplog):
    lm = GLMHarnessModel(model, tokenizer, max_length=24)
    long = " ".join(TEXTS[:3])
    tokens = tokenizer(long, add_special_tokens=False)["input_ids"]
    piece = tokenizer(" Italy", add_special_tokens=False)["input_ids"]
    kept = tokens[-(24 - 3 - len(piece)) :]
    context = [tokenizer.cls_token_id, *kept, tokenizer.gmask_token_id, tokenizer.eos_token_id]
    with caplog.at_level(logging.WARNING):
        ((found, _),) = lm.loglikelihood(requests([(long, " Italy")]), disable_tqdm=True)
    assert found == pytest.approx(sum(naive_log_probs(model, context, [0], [piece])[0][:-1]), abs=1e-4)
    assert "1 of 1 contexts lost their start, to fit into max_length=24" in caplog.text


def test_token_requests_of_the_template(lm):
    """Subclasses of the harness' template may score ids."""
    text, continuation = "The quick brown fox ", "jumps"
    context, ids = lm._encode_pair(text, continuation)
    assert context == lm.tok_encode("The quick brown fox")
    assert lm.tok_decode(ids) == " jumps"
    (found,) = lm._loglikelihood_tokens([((text, continuation), context, ids)], disable_tqdm=True)
    assert found == lm.loglikelihood(requests([(text, continuation)]), disable_tqdm=True)[0]


def naive_rolling(model, tokenizer, text: str, window: int, stride: int, unidirectional: bool) -> float:
    """Score every token behind what its window shows before it. The first token stands behind [CLS] alone."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    total, done, start = 0.0, 0, 0
    while done < len(ids):
        stop = min(start + window, len(ids))
        read = min(start + 1, done) if unidirectional else done
        context = [tokenizer.cls_token_id, *ids[start:read], tokenizer.gmask_token_id]
        total += sum(naive_log_probs(model, context, [0], [ids[read:stop]])[0][done - read : stop - read])
        done, start = stop, start + stride
    return total


@pytest.mark.parametrize("unidirectional", [False, True])
def test_rolling_is_that_of_window_by_window(model, tokenizer, unidirectional):
    texts = [" ".join(TEXTS[:2]), "The", "", TEXTS[2]]
    lm = GLMHarnessModel(model, tokenizer, batch_size=2, window=9, stride=4, unidirectional=unidirectional)
    found = lm.loglikelihood_rolling(requests([(text,) for text in texts], "loglikelihood_rolling"), True)
    expected = [naive_rolling(model, tokenizer, text, 9, 4, unidirectional) for text in texts]
    assert found == pytest.approx(expected, abs=2e-4)
    assert found[2] == 0


@pytest.fixture(scope="module")
def writer(tokenizer):
    """Make a model that ends its pieces after a few tokens."""
    return ending_model(vocab_size=len(tokenizer), max_position_embeddings=64, **tokenizer.special_token_ids)


def generate(model, tokenizer, pairs, **options) -> list[str]:
    lm = GLMHarnessModel(model, tokenizer, batch_size=2, **options)
    return lm.generate_until(requests(pairs, "generate_until"), disable_tqdm=True)


def test_generated_texts_are_those_of_generate(writer, tokenizer):
    contexts = ["The quick brown", "In the year [MASK] the number", "", "Paris is the capital of France, and Rome is"]
    found = generate(writer, tokenizer, [(text, {"until": [], "max_gen_toks": 6}) for text in contexts])
    for context, text in zip(contexts, found, strict=True):
        prompt = context if "[MASK]" in context else f"{context} [gMASK]"
        inputs = tokenizer(prompt, return_tensors="pt")
        ((answer,),) = tokenizer.decode_blanks(writer.generate(**inputs, max_new_tokens=6, do_sample=False))
        assert text == answer.literal


def test_a_closed_context_is_generated_from(writer, tokenizer):
    (found,) = generate(writer, tokenizer, [("The quick", {"max_gen_toks": 4})], close_context=True)
    ids = tokenizer("The quick", add_special_tokens=False)["input_ids"]
    prompt = [tokenizer.cls_token_id, *ids, tokenizer.gmask_token_id, tokenizer.eos_token_id]
    output = writer.generate(torch.tensor([prompt]), max_new_tokens=4, do_sample=False)
    assert found == tokenizer.decode_blanks(output)[0][0].literal


def test_white_space_of_the_context_is_not_written_again(model, tokenizer):
    (glued, spaced) = generate(
        model, tokenizer, [("The quick", {"max_gen_toks": 4}), ("The quick ", {"max_gen_toks": 4})]
    )
    assert spaced == glued.removeprefix(" ")


def test_stop_strings_end_a_text(model, tokenizer):
    (whole,) = generate(model, tokenizer, [("The quick", {"until": [], "max_gen_toks": 8})])
    stop = whole[len(whole) // 2 : len(whole) // 2 + 2]
    settings = [{"until": [stop, "never"], "max_gen_toks": 8}, {"until": stop, "max_gen_toks": 8}]
    assert len(stop) == 2
    assert generate(model, tokenizer, [("The quick", one) for one in settings]) == [whole.partition(stop)[0]] * 2


def test_stop_strings_that_the_vocabulary_cannot_write(of_family):
    """BERT has no new line. The harness' tasks stop there all the same."""
    bert = of_family("bert")
    model = make_text_model(bert)
    (whole,) = generate(model, bert, [("The quick", {"until": ["\n\n"], "max_gen_toks": 6})])
    stop = whole.split()[2]
    assert generate(model, bert, [("The quick", {"until": ["\n\n", stop], "max_gen_toks": 6})]) == [
        whole.partition(stop)[0]
    ]


def test_every_request_has_its_own_settings(model, tokenizer):
    lengths = [1, 5, 2, 1]
    found = generate(model, tokenizer, [("The quick", {"max_gen_toks": length}) for length in lengths], max_gen_toks=5)
    assert found == [generate(model, tokenizer, [("The quick", {"max_new_tokens": one})])[0] for one in lengths]
    assert found[1] == generate(model, tokenizer, [("The quick", {})], max_gen_toks=5)[0]
    beams = generate(model, tokenizer, [("The quick", {"num_beams": 3, "max_gen_toks": 5, "temperature": 0.0})])
    output = model.generate(**tokenizer("The quick [gMASK]", return_tensors="pt"), num_beams=3, max_new_tokens=5)
    assert beams == [tokenizer.decode_blanks(output)[0][0].literal]


def test_samples_depend_on_the_seed(model, tokenizer):
    def draw(seed):
        torch.manual_seed(seed)
        return generate(model, tokenizer, [("The quick", {"do_sample": True, "temperature": 1.5, "max_gen_toks": 12})])

    assert draw(1) == draw(1) != draw(2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 20}, "max_length=20 counts the prompt as well: set max_gen_toks"),
        ({"max_gen_toks": 0}, "max_gen_toks=0"),
        ({"wrong": 1}, "wrong"),
    ],
)
def test_settings_that_generate_does_not_know(model, tokenizer, settings, message):
    with pytest.raises(ValueError, match=message):
        generate(model, tokenizer, [("The quick", settings)])


def test_answers_are_cached_as_the_harness_expects(model, tokenizer, tmp_path):
    """What was answered is not computed again, and a run that broke off has kept what it had."""
    lm = GLMHarnessModel(model, tokenizer, batch_size=1)
    cached = CachingLM(lm, str(tmp_path / "answers.db"))
    asked = {
        "loglikelihood": PAIRS[:3],
        "loglikelihood_rolling": [(TEXTS[0],), (TEXTS[1],)],
        "generate_until": [("The quick", {"max_gen_toks": 3}), ("In the", {"max_gen_toks": 3})],
    }
    first = {name: getattr(cached, name)(requests(pairs, name)) for name, pairs in asked.items()}
    for name, pairs in asked.items():
        for pair, answer in zip(pairs, first[name], strict=True):
            lm.cache_hook.add_partial(name, pair, answer)  # the same entries
    assert len(cached.dbdict) == 7
    lm.model = None
    assert {name: getattr(cached, name)(requests(pairs, name)) for name, pairs in asked.items()} == first
    cached.dbdict.close()


def test_a_broken_run_keeps_its_answers(lm, monkeypatch):
    kept = []
    lm.set_cache_hook(SimpleNamespace(add_partial=lambda name, pair, answer: kept.append((name, pair))))
    monkeypatch.setattr(harness, "BATCHES_AT_ONCE", 1)
    score, calls = harness.score_continuations, []

    def break_off(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score(*args, **kwargs)

    monkeypatch.setattr(harness, "score_continuations", break_off)
    with pytest.raises(KeyboardInterrupt):
        lm.loglikelihood(requests([(f"{number} dogs", " run") for number in range(6)]), disable_tqdm=True)
    assert [name for name, _ in kept] == ["loglikelihood"] * 3


def test_auto_halves_the_batch_while_memory_is_short(model, tokenizer, monkeypatch):
    score, sizes = harness.score_continuations, []

    def score_few(model, rows, batch_size):
        sizes.append(batch_size)
        if batch_size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return score(model, rows, batch_size=batch_size)

    monkeypatch.setattr(harness, "score_continuations", score_few)
    lm = GLMHarnessModel(model, tokenizer, batch_size="auto", max_batch_size=8)
    lm.loglikelihood(requests(PAIRS), disable_tqdm=True)
    lm.loglikelihood(requests(PAIRS), disable_tqdm=True)
    assert sizes == [8, 4, 2, 2]
    assert lm.batch_sizes == {"auto": 2}


def test_adapters_and_soft_prompts(model, tokenizer):
    """A fresh LoRA changes nothing, a soft prompt does."""
    plain = GLMHarnessModel(model, tokenizer).loglikelihood(requests(PAIRS), disable_tqdm=True)
    lora = get_peft_model(copy.deepcopy(model), LoraConfig(task_type="CAUSAL_LM", target_modules=["query_key_value"]))
    soft = get_peft_model(copy.deepcopy(model), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    assert_same(GLMHarnessModel(lora, tokenizer).loglikelihood(requests(PAIRS), True), plain)
    other = GLMHarnessModel(soft, tokenizer)
    assert abs(other.loglikelihood(requests(PAIRS), True)[0][0] - plain[0][0]) > 0.01
    assert other.generate_until(requests([("The quick", {"max_gen_toks": 3})], "generate_until"), True)[0]


def test_models_are_loaded(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    lora = LoraConfig(task_type="CAUSAL_LM", target_modules=["query_key_value"], init_lora_weights=False)
    torch.manual_seed(0)
    adapted = get_peft_model(copy.deepcopy(model), lora)
    adapted.save_pretrained(tmp_path / "adapter")
    expected = GLMHarnessModel(model, tokenizer).loglikelihood(requests(PAIRS), disable_tqdm=True)
    lm = GLMHarnessModel(str(tmp_path), device="cpu", batch_size="4", trust_remote_code=True)
    assert_same(lm.loglikelihood(requests(PAIRS), disable_tqdm=True), expected)
    info = lm.get_model_info()
    assert info["model_num_parameters"] == model.num_parameters()
    assert (info["model_dtype"], info["glm_mask_token"], info["glm_window"]) == ("torch.float32", "[gMASK]", 63)
    assert lm.tokenizer_name == str(tmp_path).replace("/", "__")
    lm = GLMHarnessModel(str(tmp_path), peft=str(tmp_path / "adapter"), device="cpu", dtype="bfloat16")
    assert lm.get_model_info()["model_dtype"] == "torch.bfloat16"
    lm = GLMHarnessModel(tmp_path, tmp_path, peft=str(tmp_path / "adapter"), device="cpu")
    found = lm.loglikelihood(requests(PAIRS), disable_tqdm=True)
    assert_same(found, GLMHarnessModel(adapted, tokenizer).loglikelihood(requests(PAIRS), True))
    assert abs(found[0][0] - expected[0][0]) > 0.01


def test_a_model_given_by_arguments_of_the_command(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    lm = GLMHarnessModel.create_from_arg_string(
        f"pretrained={tmp_path},max_length=32,unidirectional=True,mask_token=[MASK],read_blanks=False",
        {"batch_size": 2, "max_batch_size": None, "device": "cpu"},
    )
    assert (lm.max_length, lm.unidirectional, lm.batch_size, lm.device.type) == (32, True, 2, "cpu")
    assert lm.mask_token_id == tokenizer.mask_token_id
    assert lm.max_gen_toks == 256
    assert lm.eot_token_id == tokenizer.eos_token_id


WRONG = {
    "batch size": ({"batch_size": "many"}, "batch_size='many': expected a whole number of at least 1, or \"auto\""),
    "no batch": ({"batch_size": 0}, "batch_size=0"),
    "longer than the table": ({"max_length": 65}, "max_length=65.*config.max_position_embeddings=64"),
    "window": ({"window": 65}, "window=65.*config.max_position_embeddings=64"),
    "stride": ({"window": 8, "stride": 9}, "stride=9"),
    "mask": ({"mask_token": "[mask]"}, r"mask_token='\[mask\]': expected a mask of the vocabulary, \[MASK\]"),
    "truth": ({"read_blanks": "maybe"}, "read_blanks"),
    "closed": ({"close_context": "maybe"}, "close_context"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(model, tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        GLMHarnessModel(model, tokenizer, **options)


def test_a_vocabulary_without_gmask_takes_its_mask(of_family):
    bert = of_family("bert")
    lm = GLMHarnessModel(make_text_model(bert), bert)
    assert lm.mask_token_id == bert.mask_token_id
    ((found, _),) = lm.loglikelihood(requests([("the dog", " runs")]), disable_tqdm=True)
    ids = bert("the dog [MASK]")["input_ids"]
    piece = bert("runs", add_special_tokens=False)["input_ids"]
    assert found == pytest.approx(sum(naive_log_probs(lm.model, ids, [0], [piece])[0][:-1]), abs=1e-4)


def test_a_process_of_several(model, tokenizer, monkeypatch):
    """Ranks and sizes are those of accelerate; `test_distributed` of the example trains with real processes."""
    accelerator = SimpleNamespace(
        process_index=1,
        num_processes=2,
        gather=lambda tensor: torch.stack([tensor, tensor + 1]),
        wait_for_everyone=lambda: 7,
    )
    monkeypatch.setattr(harness, "join_processes", lambda: accelerator)
    gathered = []
    monkeypatch.setattr(torch.distributed, "gather_object", lambda obj, into, dst: gathered.append((obj, into, dst)))
    lm = GLMHarnessModel(model, tokenizer)
    assert (lm.rank, lm.world_size) == (1, 2)
    assert lm.all_gather(torch.tensor(3)).tolist() == [3, 4]
    assert lm.gather_object("a") is None
    assert lm.gather_object("b", dst=1) == [None, None]
    assert gathered == [("a", None, 0), ("b", [None, None], 1)]
    lm.barrier()


def test_alone_a_process_gathers_its_own(lm):
    assert (lm.rank, lm.world_size, lm.accelerator) == (0, 1, None)
    assert lm.all_gather(torch.tensor(3)).item() == 3
    assert lm.gather_object("a") == ["a"]
    lm.barrier()


def test_a_chat_needs_a_template(lm, tokenizer):
    with pytest.raises(ValueError, match="chat_template"):
        lm.apply_chat_template([{"role": "user", "content": "Hi"}])
    lm.tokenizer = copy.deepcopy(tokenizer)
    lm.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    assert lm.apply_chat_template([{"role": "user", "content": "Hi"}]) == "Hi\n[gMASK]"


def test_a_causal_reading_gives_other_numbers_and_a_warning(tokenizer):
    """The harness' own class for causal models reads the same model from left to right."""
    model = make_text_model(tokenizer)
    assert isinstance(model, GLMForConditionalGeneration)
    pairs = [pair for pair in PAIRS if "[MASK]" not in pair[0]]
    right = GLMHarnessModel(model, tokenizer).loglikelihood(requests(pairs), disable_tqdm=True)
    causal = HFLM(pretrained=model, tokenizer=copy.deepcopy(tokenizer), batch_size=2)
    with pytest.warns(UserWarning, match="not those of a causal model.*python -m modeling_glm.evaluation.lm_eval"):
        wrong = causal.loglikelihood(requests(pairs), disable_tqdm=True)
    assert all(abs(one - other) > 0.01 for (one, _), (other, _) in zip(right, wrong, strict=True))
