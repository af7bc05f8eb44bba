"""Conversations: the kept cache against a full run, stopping, batches against single questions."""

import math
import threading
import time

import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_question, make_rna
from transformers import DynamicCache, MistralConfig

from rnagpt.cleaning_rnagpt import RnaSequenceError, clean_rna
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.inference import token_writer as writer_module
from rnagpt.inference.batch import answer_questions
from rnagpt.inference.chat import RnaChat
from rnagpt.inference.generation import confidence_of
from rnagpt.inference.loading import load_model, load_processor

NEVER_ENDS = {"eos_token_id": -1}


@pytest.fixture(scope="module")
def tiny():
    """Model and processor by chat template; merged neighbours and a summary in one of them."""
    made = {}
    for style, options in (("chatml", {}), ("llama-3", {"merge_size": 3, "summary_size": 2})):
        processor = make_processor(style, **options)
        made[style] = (make_model(processor), processor)
    return made


@pytest.fixture
def chat(tiny):
    return RnaChat(*tiny["chatml"])


def ask(chat, question, **options):
    return "".join(chat.ask(question, **{"max_new_tokens": 12, **options}))


def ids_from_scratch(chat, messages, **options):
    """Prompt and answer as one run without any cache makes them."""
    inputs = chat.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
    return chat.model.generate(
        **inputs,
        **{"max_new_tokens": 12, "do_sample": False, "use_cache": False, **options},
    )[0].tolist()


def record(monkeypatch, owner, name):
    """Replace a method by one that notes its results."""
    method, results = getattr(owner, name), []

    def noted(*args, **kwargs):
        results.append(method(*args, **kwargs))
        return results[-1]

    monkeypatch.setattr(owner, name, noted)
    return results


@pytest.mark.parametrize("style", ["chatml", "llama-3"])
def test_turns_on_the_kept_cache_equal_full_runs(tiny, style, monkeypatch):
    chat = RnaChat(*tiny[style])
    outputs = record(monkeypatch, writer_module, "TokenStream")
    chat.add_rna(make_rna(20))
    first = ask(chat, "What is this RNA?")
    chat.add_rna(make_rna(45, seed=1))  # more than one window
    ask(chat, "Where is it found?")
    ask(chat, "And so on?")
    turns = [output.ids[0].tolist() for output in outputs]
    monkeypatch.undo()
    assert [message["role"] for message in chat.messages] == 3 * ["user", "assistant"]
    assert chat.messages[1]["content"] == first
    for turn, ids in enumerate(turns):
        assert ids == ids_from_scratch(chat, chat.messages[: 2 * turn + 1])


def test_answers_depend_on_the_rna(tiny):
    answers = set()
    for seed in range(4):
        chat = RnaChat(*tiny["chatml"])
        chat.add_rna(make_rna(20, seed))
        answers.add(ask(chat, "What is this RNA?"))
    assert len(answers) > 1  # else the comparison of turns above would prove nothing


def test_only_new_tokens_are_read_and_each_rna_is_encoded_once(chat, monkeypatch):
    encoded = record(monkeypatch, chat.model.model, "encode_rna")
    hidden = record(monkeypatch, chat.model.model.language_model, "forward")
    prompts = record(monkeypatch, chat.processor, "apply_chat_template")
    chat.add_rna(make_rna(20))
    # An answer of one token is in no cache, so all that is cached are the prompts.
    for question in ("What is this RNA?", "What is it?"):
        ask(chat, question, max_new_tokens=1)
    chat.add_rna(make_rna(30, seed=1))
    ask(chat, "And this?", max_new_tokens=1)
    lengths = [prompt["input_ids"].shape[1] for prompt in prompts]
    read = [output.last_hidden_state.shape[1] for output in hidden]
    assert read == [lengths[0], lengths[1] - lengths[0], lengths[2] - lengths[1]]
    assert [tuple(output.shape[:2]) for output in encoded] == [(1, 20), (1, 30)]


def test_an_answer_that_tokenises_in_another_way_shortens_the_cache(chat, monkeypatch):
    # Random bytes make few valid characters, so the text of the answer has other tokens.
    crops = []
    crop = DynamicCache.crop
    monkeypatch.setattr(DynamicCache, "crop", lambda cache, n: (crops.append(n), crop(cache, n))[1])
    outputs = record(monkeypatch, writer_module, "TokenStream")
    ask(chat, "What is this RNA?", max_new_tokens=30, **NEVER_ENDS)
    ask(chat, "Where?", **NEVER_ENDS)
    second = outputs[1].ids[0].tolist()
    monkeypatch.undo()
    assert crops
    assert all(number < 0 for number in crops)
    assert second == ids_from_scratch(chat, chat.messages[:3], **NEVER_ENDS)


def test_a_sliding_window_that_cannot_be_taken_back():
    processor = make_processor()
    model = make_model(processor)
    sliding = MistralConfig(**{**model.config.text_config.to_dict(), "sliding_window": 16})
    config = type(model.config)(**{**model.config.to_dict(), "text_config": sliding})
    torch.manual_seed(0)
    chat = RnaChat(type(model)(config).eval(), processor)
    chat.add_rna(make_rna(20))
    for question in ("What is this RNA?", "Where is it found?"):
        ask(chat, question, **NEVER_ENDS)
    ids = ids_from_scratch(chat, chat.messages[:3], **NEVER_ENDS)
    start = chat.processor.apply_chat_template(
        chat.messages[:3], add_generation_prompt=True, tokenize=True
    )["input_ids"].shape[1]
    assert chat.messages[3]["content"] == processor.tokenizer.decode(
        ids[start:], skip_special_tokens=True
    )


def test_messages_edited_from_outside_do_not_meet_a_stale_cache(chat):
    chat.add_rna(make_rna(20))
    ask(chat, "What is this RNA?")
    chat.messages[0]["content"][0]["rna"] = make_rna(20, seed=5)
    answer = ask(chat, "Which?")
    edited = chat.messages[:2]
    chat.reset()
    chat.messages = edited
    assert ask(chat, "Which?") == answer


def test_stop_from_another_thread(chat):
    chat.add_rna(make_rna(20))
    pieces = chat.ask("What is this RNA?", max_new_tokens=400, **NEVER_ENDS)
    begun = next(pieces)
    threading.Thread(target=chat.stop).start()
    start = time.monotonic()
    text = begun + "".join(pieces)
    assert time.monotonic() - start < 1
    assert chat.messages[1] == {"role": "assistant", "content": text}
    num_tokens = len(chat.processor.tokenizer(text)["input_ids"])
    assert num_tokens < 400
    following = ask(chat, "Where is it found?")
    messages = chat.messages[:2]
    chat.reset()
    chat.messages = messages
    assert ask(chat, "Where is it found?") == following


def test_a_reader_that_goes_away_stops_the_answer(chat):
    pieces = chat.ask("What is an RNA?", max_new_tokens=400, **NEVER_ENDS)
    begun = next(pieces)
    pieces.close()
    assert len(chat.messages) == 2
    assert chat.messages[1]["content"].startswith(begun)
    ask(chat, "Where is it found?")
    assert len(chat.messages) == 4


def test_an_answer_that_was_stopped_and_not_read_on_is_kept_as_far_as_it_came(chat):
    pieces = chat.ask("What is an RNA?", max_new_tokens=400, **NEVER_ENDS)
    begun = next(pieces)
    chat.stop()
    ask(chat, "Where is it found?")
    assert len(chat.messages) == 4
    assert chat.messages[1]["content"].startswith(begun)
    assert list(pieces) == []  # of the earlier question
    assert len(chat.messages) == 4


def test_an_answer_that_nobody_begins_to_read_changes_nothing(chat):
    unread = chat.ask("What is an RNA?")
    with pytest.raises(RuntimeError, match="still being written"):
        chat.ask("Where is it found?")
    del unread
    answer = ask(chat, "Where is it found?")
    assert [message["role"] for message in chat.messages] == ["user", "assistant"]
    stopped = chat.ask("What is an RNA?")
    chat.stop()
    assert list(stopped) == []
    assert len(chat.messages) == 2
    chat.reset()
    assert ask(chat, "Where is it found?") == answer


def test_another_thread_resets_while_an_answer_is_read(chat):
    chat.add_rna(make_rna(20))
    pieces = chat.ask("What is this RNA?", max_new_tokens=400, **NEVER_ENDS)
    next(pieces)
    resetting = threading.Thread(target=chat.reset)
    resetting.start()
    list(pieces)
    resetting.join()
    assert chat.messages == []
    ask(chat, "What is an RNA?")
    assert len(chat.messages[0]["content"]) == 1  # the RNA is gone


def test_an_answer_is_written_by_the_thread_that_reads_it(chat, monkeypatch):
    threads = set()
    forward = chat.model.lm_head.forward

    def noted(hidden_states):
        threads.add(threading.current_thread())
        return forward(hidden_states)

    monkeypatch.setattr(chat.model.lm_head, "forward", noted)
    ask(chat, "What is an RNA?")
    assert threads == {threading.current_thread()}


def test_each_token_is_handed_out_before_the_next_is_computed(chat, monkeypatch):
    steps = record(monkeypatch, chat.model.lm_head, "forward")
    pieces = chat.ask("What is an RNA?", max_new_tokens=40, **NEVER_ENDS)
    first = next(pieces)
    decode = chat.processor.tokenizer.decode
    told = [int(logits[0, -1].argmax()) for logits in steps]
    assert first == decode(told, skip_special_tokens=True)
    for number in range(len(told)):  # all before it made no character that is certain
        assert decode(told[:number], skip_special_tokens=True).strip("\ufffd") == ""
    assert torch.is_grad_enabled()  # nothing of `generate` is left open between two tokens


def test_one_answer_at_a_time_and_reset_in_the_middle(chat):
    chat.add_rna(make_rna(20))
    pieces = chat.ask("What is this RNA?", max_new_tokens=400, **NEVER_ENDS)
    next(pieces)
    with pytest.raises(RuntimeError, match="still being written"):
        chat.ask("Where is it found?")
    chat.reset()
    assert chat.messages == []
    list(pieces)
    ask(chat, "What is an RNA?")
    assert len(chat.messages[0]["content"]) == 1  # the RNA is gone


def test_an_rna_added_while_an_answer_is_written_waits_for_the_next(chat):
    pieces = chat.ask("What is an RNA?", max_new_tokens=50, **NEVER_ENDS)
    next(pieces)
    chat.add_rna(make_rna(20))
    list(pieces)
    ask(chat, "And this?")
    assert [part["type"] for part in chat.messages[2]["content"]] == ["rna", "text"]


def test_errors_while_generating_reach_the_caller(chat, monkeypatch):
    ask(chat, "What is an RNA?")
    before = list(chat.messages)
    chat.add_rna(make_rna(20))
    with monkeypatch.context() as broken:
        forward = chat.model.model.language_model.layers[1].forward

        def fail(*args, **kwargs):
            raise FloatingPointError("the second layer broke")

        broken.setattr(chat.model.model.language_model.layers[1], "forward", fail)
        with pytest.raises(FloatingPointError, match="second layer"):
            ask(chat, "And this?")
    assert chat.model.model.language_model.layers[1].forward == forward
    assert chat.messages == before
    # The first layer's cache was already longer than the second's; the RNA still waits.
    answer = ask(chat, "And this?")
    assert chat.messages[2]["content"][0]["rna"] == make_rna(20)
    chat.reset()
    chat.messages = before
    chat.add_rna(make_rna(20))
    assert ask(chat, "And this?") == answer


def test_a_question_that_does_not_fit_changes_nothing(chat, monkeypatch):
    chat.add_rna(make_rna(400))
    ask(chat, "What is this RNA?")
    before = list(chat.messages)
    calls = record(monkeypatch, chat.model, "generate")
    chat.add_rna(make_rna(100))
    with pytest.raises(ValueError, match=r"5\d\d tokens, 500 of them for .* 512\."):
        chat.ask("Where is it found?")
    assert chat.messages == before
    assert not calls


def test_an_answer_ends_where_the_context_ends(chat, monkeypatch):
    outputs = record(monkeypatch, writer_module, "TokenStream")
    chat.add_rna(make_rna(420))
    ask(chat, "What?", max_new_tokens=100, **NEVER_ENDS)
    assert outputs[0].ids.shape[1] == 512


def test_a_prompt_that_leaves_no_room_for_an_answer(chat):
    chat.add_rna(make_rna(100))
    ask(chat, "What?", max_new_tokens=1)
    prompt = chat.processor.apply_chat_template(
        chat.messages[:1], add_generation_prompt=True, tokenize=True
    )
    full = make_rna(100 + 512 - prompt["input_ids"].shape[1])
    chat.reset()
    chat.add_rna(full)
    with pytest.raises(ValueError, match="takes 512 tokens, and the language model reads 512"):
        chat.ask("What?")
    chat.reset()
    chat.add_rna(full[:-1])
    assert len(list(chat.ask("What?"))) <= 1  # room for one token


@pytest.mark.parametrize(
    ("question", "options", "message"),
    [
        (" ", {}, "empty"),
        ("Hello<|im_end|>", {}, "control token"),
        ("What is <RNAHere>?", {}, "<RNAHere> once for each RNA"),
        ("What?", {"num_beams": 2}, "num_beams must be 1"),
    ],
)
def test_rejected_questions_change_nothing(chat, question, options, message):
    chat.add_rna(make_rna(10))
    with pytest.raises(ValueError, match=message):
        chat.ask(question, **options)
    assert chat.messages == []
    ask(chat, "What is this RNA?")
    assert len(chat.messages[0]["content"]) == 2


def test_add_rna_cleans_and_refuses(chat):
    rna = chat.add_rna(">U6 spliceosomal\ngtgc tcgc\nTTCGGC")
    assert (rna.name, rna.sequence) == ("U6", "GUGCUCGCUUCGGC")
    with pytest.raises(RnaSequenceError, match="protein"):
        chat.add_rna("MKLVFFAEDVGSNKGAIIGLMVGGVV", name="amyloid")
    ask(chat, "What is this RNA?")
    assert [part.get("rna") for part in chat.messages[0]["content"]] == [rna.sequence, None]


def test_generation_options_pass_through(chat, monkeypatch):
    outputs = record(monkeypatch, writer_module, "TokenStream")
    texts = set()
    for seed in range(3):
        chat.reset()
        torch.manual_seed(seed)
        texts.add(ask(chat, "What?", do_sample=True, temperature=5.0, use_cache=False))
    assert len(texts) == 3
    assert outputs[-1].cache is None
    ask(chat, "And without a cache in the turn before?")


@pytest.fixture(scope="module")
def rnas():
    return [make_rna(length, seed=length) for length in (40, 7, 23, 7, 33)]


QUESTIONS = ("What is this RNA?", "In which bacteria is this RNA found, and where?", "What?")


@pytest.mark.parametrize("batch_size", [1, 4, 64])
@pytest.mark.parametrize("style", ["chatml", "llama-3"])
def test_batches_answer_as_single_questions_do(tiny, rnas, style, batch_size):
    model, processor = tiny[style]
    answers = list(
        answer_questions(model, processor, rnas, QUESTIONS, batch_size=batch_size, max_new_tokens=8)
    )
    assert [(answer.record, answer.question) for answer in answers] == [
        (record, question) for record in range(1, 6) for question in QUESTIONS
    ]
    for answer in answers:
        chat = RnaChat(model, processor)
        chat.add_rna(rnas[answer.record - 1])
        assert answer.answer == ask(chat, answer.question, max_new_tokens=8).strip()
        assert answer.length == len(rnas[answer.record - 1])
    assert len({answer.answer for answer in answers}) > 5


def test_each_rna_is_encoded_once_and_answers_stream(tiny, rnas, monkeypatch):
    model, processor = tiny["chatml"]
    encoded = record(monkeypatch, model, "encode_rna")
    inner = record(monkeypatch, model.model, "encode_rna")
    runs = record(monkeypatch, model, "generate")
    answers = answer_questions(
        model, processor, rnas * 4, QUESTIONS, batch_size=2, max_new_tokens=2
    )
    next(answers)
    assert len(runs) <= 4  # of 30
    list(answers)
    assert sum(len(output) for output in encoded) == len(rnas) * 4
    assert len(inner) == len(encoded)  # none besides, from within `generate`


def test_names_changes_and_completeness(tiny):
    model, processor = tiny["chatml"]
    records = [">tRNA yeast\nGCGGAT", make_rna(12), clean_rna("A-CG", name="given")]
    answers = list(answer_questions(model, processor, records, ["What?"], max_new_tokens=3))
    assert [answer.name for answer in answers] == ["tRNA", "RNA 2", "given"]
    assert [answer.changes for answer in answers] == [
        ("1 T read as U",),
        (),
        ("1 gap dropped",),
    ]
    assert not any(answer.complete for answer in answers)
    with torch.no_grad():
        first = next(answer_questions(model, processor, records, ["What?"], max_new_tokens=1))
    # Make the first token that the model writes its end token.
    inputs = processor.apply_chat_template(
        [make_question(["GCGGAU"], "What?")], add_generation_prompt=True, tokenize=True
    )
    token = model(**inputs).logits[0, -1].argmax().item()
    assert first.answer == processor.tokenizer.decode([token], skip_special_tokens=True).strip()
    end = model.generation_config.eos_token_id
    try:
        model.generation_config.eos_token_id = [token]
        (answer,) = answer_questions(model, processor, records[:1], ["What?"], max_new_tokens=3)
    finally:
        model.generation_config.eos_token_id = end
    assert answer.complete


def test_everything_is_checked_before_the_first_answer(tiny, monkeypatch):
    model, processor = tiny["chatml"]
    calls = record(monkeypatch, model, "generate")
    good = make_rna(20)
    with pytest.raises(RnaSequenceError, match="'bad'"):
        answer_questions(model, processor, [good, ">bad\nACGX"], ["What?"])
    with pytest.raises(ValueError, match=r"^long: .* 480 of them for .* 512\."):
        answer_questions(model, processor, [good, ">long\n" + make_rna(480)], ["What?"])
    with pytest.raises(ValueError, match="empty"):
        answer_questions(model, processor, [good], ["What?", ""])
    with pytest.raises(ValueError, match="batch_size"):
        answer_questions(model, processor, [good], ["What?"], batch_size=0)
    with pytest.raises(ValueError, match="num_return_sequences"):
        answer_questions(model, processor, [good], ["What?"], num_return_sequences=2)
    assert not calls


def test_loads_a_folder_and_refuses_another_kind_of_model(tiny, tmp_path):
    model, processor = tiny["llama-3"]
    model.save_pretrained(tmp_path / "rna-gpt")
    processor.save_pretrained(tmp_path / "rna-gpt")
    chat = RnaChat(model, processor)
    loaded = RnaChat.from_pretrained(str(tmp_path / "rna-gpt"), reference=None)
    for one in (chat, loaded):
        one.add_rna(make_rna(20))
    assert ask(loaded, "What is this RNA?") == ask(chat, "What is this RNA?")
    model.config.text_config.save_pretrained(tmp_path / "llama")
    for load in (load_model, load_processor):
        with pytest.raises(ValueError, match=r"type 'llama', not 'rna-gpt'"):
            load(str(tmp_path / "llama"))
        with pytest.raises(OSError, match="no-such-folder"):
            load(str(tmp_path / "no-such-folder"))


CALIBRATION = {"confidence_scale": 0.01, "confidence_bias": 0.5}


@pytest.fixture
def calibrated(tiny):
    """The tiny model, whose configuration is put back afterwards."""
    model, processor = tiny["llama-3"]
    for name, value in CALIBRATION.items():
        setattr(model.config, name, value)
    yield model, processor
    for name in CALIBRATION:
        setattr(model.config, name, None)


def log_probability(model, processor, rna, question, end=None, **options):
    """Of an answer's tokens up to its end, by one teacher-forced run; and whether the end came."""
    inputs = processor.apply_chat_template(
        [make_question([rna], question)], add_generation_prompt=True, tokenize=True
    )
    start = inputs["input_ids"].shape[1]
    inputs["input_ids"] = model.generate(
        **inputs, do_sample=False, eos_token_id=end, max_new_tokens=24, **options
    )
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with torch.no_grad():
        steps = model(**inputs).logits[0].log_softmax(-1)
    ids = inputs["input_ids"][0].tolist()
    total = sum(float(steps[place - 1, ids[place]]) for place in range(start, len(ids)))
    return total, ids[-1] == end


def an_end(model, processor):
    """A token that ends some of the answers below early, so that others are padded."""
    prompt = processor.apply_chat_template(
        [make_question([make_rna(20)], "What is this RNA?")],
        add_generation_prompt=True,
        tokenize=True,
    )
    return int(model.generate(**prompt, do_sample=False, max_new_tokens=6, eos_token_id=-1)[0, -1])


def test_log_probability_and_confidence_of_a_batch_equal_single_full_runs(calibrated):
    model, processor = calibrated
    rnas = [make_rna(length, seed) for seed, length in enumerate([20, 45, 9])]
    end = an_end(model, processor)
    answers = list(
        answer_questions(
            model,
            processor,
            rnas,
            ["What is this RNA?", "Where?"],
            batch_size=3,
            max_new_tokens=24,
            eos_token_id=end,
        )
    )
    wanted = [
        log_probability(model, processor, rna, question, end)
        for rna in rnas
        for question in ("What is this RNA?", "Where?")
    ]
    assert [answer.complete for answer in answers] == [complete for _, complete in wanted]
    assert {complete for _, complete in wanted} == {True, False}
    for answer, (expected, complete) in zip(answers, wanted, strict=True):
        assert answer.log_probability == pytest.approx(expected, abs=1e-3)
        sigmoid = 1 / (1 + math.exp(-(0.01 * expected + 0.5)))
        assert answer.confidence == (pytest.approx(sigmoid, abs=1e-5) if complete else None)


def test_confidence_of_a_conversation_is_of_its_last_answer(calibrated):
    model, processor = calibrated
    end = an_end(model, processor)
    chat = RnaChat(model, processor)
    assert chat.confidence is None
    chat.add_rna(make_rna(20))
    ask(chat, "What is this RNA?", max_new_tokens=24, eos_token_id=end)
    expected, complete = log_probability(model, processor, make_rna(20), "What is this RNA?", end)
    assert complete
    assert chat.confidence == pytest.approx(1 / (1 + math.exp(-(0.01 * expected + 0.5))), abs=1e-5)
    ask(chat, "Where?", max_new_tokens=2, **NEVER_ENDS)
    assert chat.confidence is None  # cut short
    chat.reset()
    assert chat.confidence is None


def test_temperature_changes_what_is_drawn_and_not_how_it_is_weighed(tiny):
    model, processor = tiny["chatml"]
    options = {"max_new_tokens": 1, "do_sample": True, "top_k": 1, "temperature": 0.01}
    drawn, greedy = (
        next(answer_questions(model, processor, [make_rna(20)], ["What?"], **given))
        for given in (options, {"max_new_tokens": 1})
    )
    assert drawn.log_probability == greedy.log_probability < -0.01


def test_a_logits_processor_that_is_given_still_works(tiny):
    model, processor = tiny["chatml"]

    def only_token_five(input_ids, scores):
        return torch.full_like(scores, -torch.inf).index_fill(1, torch.tensor([5]), 0.0)

    answer = next(
        answer_questions(
            model,
            processor,
            [make_rna(20)],
            ["What?"],
            max_new_tokens=3,
            logits_processor=[only_token_five],
        )
    )
    assert answer.answer == processor.tokenizer.decode([5, 5, 5]).strip()
    assert answer.log_probability == 0


@pytest.mark.parametrize(
    ("answer", "log_probability", "complete", "expected"),
    [
        ("a tRNA", 0.0, True, 1 / (1 + math.exp(-0.5))),
        ("a tRNA", -50.0, True, 0.5),
        ("a tRNA", -1e9, True, 0),
        ("a tRNA", 0.0, False, None),
        ("I do not recognise this RNA.", 0.0, True, None),
    ],
)
def test_confidence_of_an_answer(answer, log_probability, complete, expected):
    assert confidence_of(RnaGptConfig(), answer, log_probability, complete) is None
    given = confidence_of(RnaGptConfig(**CALIBRATION), answer, log_probability, complete)
    assert given == (None if expected is None else pytest.approx(expected))
