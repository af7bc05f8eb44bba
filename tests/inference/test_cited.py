"""Answers from the bundled reference: whose records, whose words, and when no model is asked."""

import json
import sys
import threading
import time

import pytest
import torch
from helpers.fresh_process import run_fresh
from helpers.paths import FIVE_RNAS
from helpers.scripted_model import ScriptedModel
from helpers.tiny_models import make_model, make_processor, make_rna

from rnagpt import read_fasta
from rnagpt.cleaning_rnagpt import RnaSequenceError, RnaTooLongError, clean_rna
from rnagpt.conversion import WeightsError
from rnagpt.inference import cited as cited_module
from rnagpt.inference import token_writer
from rnagpt.inference.batch import answer_questions
from rnagpt.inference.chat import RnaChat
from rnagpt.inference.cited import TYPE_QUESTION, Words, may_read, name_rnas
from rnagpt.inference.local_model import LocalModel
from rnagpt.reference.library import Reference, SearchStoppedError

TRNA, RRNA, RIBOSWITCH = [record.sequence for record in read_fasta(FIVE_RNAS)][:3]
# A tRNA that is found in a long transcript too, where E-values are larger.
STRONG = "GGCUACGUAGCUCAGUUGGUUAGAGCACAUCACUCAUAAUGAUGGGGUCACAGGUUCGAAUCCCGUCGUAGCCACCA"
WHAT, FAMILY, LENGTH = "What is this RNA?", "Which family is this?", "How long is it?"


@pytest.fixture(scope="module")
def reference():
    return Reference.open()


@pytest.fixture(scope="module")
def tiny():
    """A model that reads evidence, with room for it, and its processor."""
    processor = make_processor(merge_size=3, summary_size=2, max_context=4096)
    return (
        make_model(processor, text={"max_position_embeddings": 4096}, reads_evidence=True),
        processor,
    )


def never(request):
    raise AssertionError(f"the model was asked {request.text!r}")


def unread(**options):
    """A model that must not be asked."""
    return ScriptedModel(never, **options)


def ask(chat, question, **options):
    return "".join(chat.ask(question, **options))


def chat_about(model, reference, *rnas):
    chat = RnaChat(model, reference=reference)
    for rna in rnas:
        chat.add_rna(rna)
    return chat


def test_records_answer_and_the_model_is_not_run(reference):
    chat = chat_about(unread(reads_evidence=False), reference, f">mine\n{TRNA}")
    assert ask(chat, FAMILY) == "It belongs to the tRNA family (tRNA) [1]."
    assert chat.answer.basis == "records"
    assert chat.answer.about == ("mine",)
    assert chat.confidence == chat.answer.confidence > 0.9
    assert ask(chat, LENGTH) == "It is 74 nucleotides long."
    assert (chat.answer.basis, chat.confidence) == ("sequence", None)
    assert ask(chat, "What if nucleotide 35 is mutated?").startswith("That cannot be read from")
    assert (chat.answer.basis, chat.answer.abstains) == ("none", True)
    assert [message["role"] for message in chat.messages] == 3 * ["user", "assistant"]
    assert chat.messages[1]["content"] == "It belongs to the tRNA family (tRNA) [1]."
    assert [part["type"] for part in chat.messages[0]["content"]] == ["rna", "text"]
    assert [part["type"] for part in chat.messages[2]["content"]] == ["text"]


def test_each_question_is_about_its_own_rna_and_numbers_are_the_conversations(reference):
    chat = chat_about(
        unread(reads_evidence=False), reference, f">alpha\n{TRNA}", RRNA, f">gamma\n{RIBOSWITCH}"
    )
    assert chat.evidence == []
    assert ask(chat, "Which family is alpha?") == "It belongs to the tRNA family (tRNA) [1]."
    assert [item.number for evidence in chat.evidence for item in evidence.items] == [1, 2, 3]
    assert ask(chat, "And which family is RNA 2?").endswith(
        "5S ribosomal RNA family (5S_rRNA) [2]."
    )
    assert chat.answer.about == ("RNA 2",)
    last = ask(chat, FAMILY)
    assert last.startswith("(about gamma, the last RNA given) It belongs to the SAM")
    assert last.endswith("[3].")
    both = ask(chat, "Do RNA 1 and gamma belong to the same family?")
    assert chat.answer.about == ("alpha", "gamma")
    assert "different families" in both
    chat.add_rna(RRNA)
    assert ask(chat, FAMILY).endswith("(5S_rRNA) [4].")


def test_a_question_that_names_no_rna_is_about_those_that_are_chosen(reference):
    chat = chat_about(unread(reads_evidence=False), reference, f">alpha\n{TRNA}", f">beta\n{RRNA}")
    assert ask(chat, FAMILY, about=[0]) == "It belongs to the tRNA family (tRNA) [1]."
    assert chat.answer.about == ("alpha",)
    ask(chat, FAMILY, about=[1, 0])
    assert chat.answer.about == ("beta", "alpha")
    ask(chat, "Which family is beta?", about=[0])
    assert chat.answer.about == ("beta",)
    assert chat.plan(FAMILY, about=[0]).look.about.places == (0,)
    with pytest.raises(ValueError, match="about RNA 3, and 2 RNAs were given: alpha, beta"):
        chat.ask(FAMILY, about=[2])
    assert len(chat.messages) == 6


@pytest.mark.parametrize("question", [WHAT, FAMILY, "What does it do?", "Is it a riboswitch?"])
def test_a_second_turn_is_as_good_as_a_first(reference, tiny, question):
    model, processor = tiny
    for one in (unread(reads_evidence=False), LocalModel.loaded(model, processor)):
        first = chat_about(one, reference, TRNA)
        expected = ask(first, question, max_new_tokens=8)
        second = chat_about(one, reference, TRNA)
        ask(second, LENGTH, max_new_tokens=8)
        assert ask(second, question, max_new_tokens=8) == expected


def test_the_model_is_shown_one_rna_with_its_evidence_and_no_earlier_rna(reference):
    model = ScriptedModel(lambda request: "It is a tRNA [1].")
    chat = chat_about(model, reference, f">alpha\n{TRNA}", f">beta\n{RRNA}")
    ask(chat, WHAT)
    ask(chat, "What is alpha?")
    ask(chat, "And what type is alpha?")
    for request, rna in zip(model.asked, (RRNA, TRNA, TRNA), strict=True):
        assert request.rna.sequence == rna
        evidence, question = request.text.rsplit("\n\n", 1)
        assert evidence.startswith(f"Sequence: {len(rna)} nt")
        assert question in (WHAT, "What is alpha?", "And what type is alpha?")
        assert ("RF00005" in evidence, "RF00001" in evidence) == (rna == TRNA, rna == RRNA)
    # Turns about another RNA are not among those before.
    assert [request.earlier for request in model.asked] == [
        (),
        (),
        (("What is alpha?", "It is a tRNA [1]."),),
    ]


def test_made_up_words_are_replaced_and_right_ones_kept(reference):
    words = iter(
        [
            "It is a riboswitch called FMN (RF00050) [1].",
            "It is a tRNA. Their secondary structure includes four short double-helical elements.",
        ]
    )
    chat = chat_about(ScriptedModel(lambda request: next(words)), reference, TRNA)
    assert ask(chat, FAMILY) == "It belongs to the tRNA family (tRNA) [1]."
    kept = ask(chat, "Describe it.")
    assert kept == (
        "It is a tRNA [1]. Their secondary structure includes four short double-helical elements "
        "[1]."
    )
    assert [sentence.cites for sentence in chat.answer.sentences] == [(1,), (1,)]


def test_what_a_tiny_random_model_writes_is_never_shown(reference, tiny):
    model, processor = tiny
    chat = RnaChat(model, processor, reference)
    chat.add_rna(TRNA)
    assert ask(chat, FAMILY, max_new_tokens=12) == "It belongs to the tRNA family (tRNA) [1]."


def test_questions_about_one_rna_share_the_keys_and_values_of_its_evidence(
    reference, tiny, monkeypatch
):
    model, processor = tiny
    read, prompts = [], []
    forward = model.model.language_model.forward
    encode = token_writer.encode_prompts

    def counted(*args, **kwargs):
        output = forward(*args, **kwargs)
        read.append(output.last_hidden_state.shape[1])
        return output

    def noted(*args, **kwargs):
        prompts.append(encode(*args, **kwargs))
        return prompts[-1]

    monkeypatch.setattr(model.model.language_model, "forward", counted)
    monkeypatch.setattr(token_writer, "encode_prompts", noted)
    chat = RnaChat(model, processor, reference)
    chat.add_rna(TRNA)
    for question in (FAMILY, WHAT):
        ask(chat, question, max_new_tokens=1)
    first, second = (prompt["input_ids"][0].tolist() for prompt in prompts)
    shared = next(
        i for i, pair in enumerate(zip(first, second, strict=False)) if len(set(pair)) > 1
    )
    assert shared > 200
    assert read == [len(first), len(second) - shared]


@pytest.mark.parametrize(
    ("words", "reading"),
    [
        (Words("It is a riboswitch.", -0.1, True, 0.99), "a riboswitch"),
        (Words("It is an H/ACA box snoRNA.", -0.1, True, 0.97), "an H/ACA box snoRNA"),
        (Words("It is a riboswitch.", -0.1, True, 0.96), None),
        (Words("It is a riboswitch.", -0.1, False, 0.99), None),
        (Words("It is a riboswitch.", -0.1, True, None), None),
        (Words("It is a zebra.", -0.1, True, 0.99), None),
        (Words("I do not recognise this RNA.", -0.1, True, None), None),
        (Words("It is a riboswitch called FMN.", -0.1, True, 0.99), None),
    ],
)
def test_the_models_own_reading_is_called_that(reference, words, reading):
    model = ScriptedModel(lambda request: words)
    chat = chat_about(model, reference, make_rna(80, 1))
    answer = ask(chat, WHAT)
    assert [(request.text, request.earlier) for request in model.asked] == [(TYPE_QUESTION, ())]
    declined = "No record of Rfam 14.2 matches this RNA."
    if reading is None:
        assert (answer, chat.answer.basis, chat.confidence) == (declined, "none", None)
        return
    assert answer == (
        f"{declined} By the model's own reading of the sequence, it may be {reading}."
    )
    # The confidence of the words was not calibrated on RNAs that nothing matches.
    assert (chat.answer.basis, chat.confidence) == ("model", None)
    assert [sentence.supported for sentence in chat.answer.sentences] == [True, False]


@pytest.mark.parametrize(
    ("length", "question", "is_asked"),
    [
        (15, WHAT, False),
        (16, WHAT, True),
        (1022, WHAT, True),
        (1023, WHAT, False),
        (80, FAMILY, False),
        (80, "What does it do?", False),
        (80, LENGTH, False),
    ],
)
def test_when_the_model_may_read(reference, length, question, is_asked):
    model = ScriptedModel(lambda request: "I do not recognise this RNA.")
    chat = chat_about(model, reference, make_rna(length, 1))
    ask(chat, question)
    assert chat.evidence[0].items == ()
    assert bool(model.asked) == is_asked


def test_twelve_nucleotides(reference):
    chat = chat_about(unread(), reference, make_rna(12))
    assert ask(chat, WHAT) == (
        "Nothing is known of this RNA here: 12 nt are too short to search, at least 16 are needed."
    )
    assert ask(chat, LENGTH) == "It is 12 nucleotides long."


def test_a_trna_in_a_long_transcript(reference, tiny):
    """Longer than the model reads: it is found, and the records' words stand."""
    model, processor = tiny
    long = make_rna(9_000, 1) + STRONG + make_rna(11_000, 2)
    assert len(long) > processor.max_rna_length
    chat = RnaChat(model, processor, reference)
    chat.add_rna(long)
    answer = ask(chat, FAMILY)
    assert answer.endswith(" belongs to the tRNA family (tRNA) [1].")
    (found,) = chat.evidence[0].items
    assert 9_001 <= found.hit.start < 9_010
    assert f"nucleotides {found.hit.start:,}–{found.hit.end:,}" in answer
    (row,) = answer_questions(model, processor, [long], [FAMILY], reference=reference)
    assert row.answer == answer
    with pytest.raises(RnaTooLongError):
        RnaChat(model, processor).add_rna(long)


def test_a_protein_is_rejected(reference):
    chat = chat_about(unread(), reference)
    with pytest.raises(RnaSequenceError, match="protein"):
        chat.add_rna("MKLVFFAEDVGSNKGAIIGLMVGGVV")
    with pytest.raises(ValueError, match=r"No RNA was given\. Add one"):
        chat.ask(WHAT)


def test_a_question_about_an_rna_that_was_not_given_changes_nothing(reference):
    chat = chat_about(unread(reads_evidence=False), reference, TRNA)
    ask(chat, FAMILY)
    before, answer = list(chat.messages), chat.answer
    with pytest.raises(ValueError, match=r"about RNA 3, and 1 RNA was given"):
        chat.ask("What is RNA 3?")
    assert (chat.messages, chat.answer) == (before, answer)


def test_names_that_are_taken_are_numbers():
    rnas = [clean_rna(text) for text in (">x\nACGU", "ACGU", ">X\nACG", ">y\nA")]
    assert name_rnas(rnas) == ["x", "RNA 2", "RNA 3", "y"]


def test_stop_ends_a_search(reference, monkeypatch):
    chat = chat_about(unread(reads_evidence=False), reference, STRONG + make_rna(30_000))
    begun = threading.Event()
    scan = Reference.scan

    def slowly(self, *args, **kwargs):
        begun.set()
        time.sleep(0.01)
        return []

    monkeypatch.setattr(Reference, "scan", slowly)
    pieces = chat.ask(WHAT)
    heard = []
    reader = threading.Thread(target=lambda: heard.extend(pieces))
    reader.start()
    assert begun.wait(30)
    with pytest.raises(RuntimeError, match="still being written"):
        chat.ask(FAMILY)
    chat.stop()
    reader.join(10)
    assert not reader.is_alive()
    assert (heard, chat.messages, chat.evidence) == ([], [], [])
    with pytest.raises(SearchStoppedError):
        chat.search(lambda: True)
    # The RNA is still there.
    monkeypatch.setattr(Reference, "scan", scan)
    assert "tRNA" in ask(chat, FAMILY)


def test_reset_in_the_middle_of_a_search(reference, monkeypatch):
    chat = chat_about(unread(), reference, TRNA)
    begun, go_on = threading.Event(), threading.Event()

    def waiting(rna, reference, name, **options):
        begun.set()
        assert go_on.wait(30)
        return cited_module.search_rna(rna, reference, name, **options)

    monkeypatch.setattr("rnagpt.inference.chat.search_rna", waiting)
    pieces = chat.ask(WHAT)
    heard = []
    reader = threading.Thread(target=lambda: heard.extend(pieces))
    reader.start()
    assert begun.wait(30)
    chat.reset()  # does not wait for the search
    go_on.set()
    reader.join(30)
    assert (heard, chat.messages, chat.evidence, chat.answer) == ([], [], [], None)
    chat.add_rna(RRNA)
    assert [evidence.items[0].record.id for evidence in chat.search()] == ["RF00001"]


def test_stop_while_the_model_writes_keeps_nothing_that_is_unchecked(reference):
    chat = None

    def write(request):
        raise AssertionError("its words were read, though it was stopped")

    class Stopping(ScriptedModel):
        def begin(self, *args):
            chat.stop()
            return super().begin(*args)

    chat = chat_about(Stopping(write, steps=1000), reference, TRNA)
    chat.language.write = lambda request: "It is a tRNA."
    assert list(chat.ask(WHAT)) == []
    assert chat.messages == []


def test_errors_of_the_model_reach_the_caller_and_change_nothing(reference):
    def fail(request):
        raise FloatingPointError("the second layer broke")

    chat = chat_about(ScriptedModel(fail), reference, TRNA)
    with pytest.raises(FloatingPointError, match="second layer"):
        ask(chat, WHAT)
    assert chat.messages == []
    chat.language.write = lambda request: "It is a tRNA."
    assert ask(chat, WHAT) == "It is a tRNA [1]."


def test_explains_the_answers_words_for_its_rna(reference, tiny):
    model, processor = tiny
    chat = RnaChat(model, processor, reference)
    for rna in (f">alpha\n{TRNA}", f">beta\n{RRNA}"):
        chat.add_rna(rna)
    ask(chat, "Which family is alpha?", max_new_tokens=2)
    (scored,) = chat.explain()
    assert scored.sequence == TRNA
    alone = RnaChat(model, processor)
    alone.add_rna(TRNA)
    ask(alone, "Which family is alpha?", max_new_tokens=2)
    (expected,) = alone.explain("It belongs to the tRNA family (tRNA).")
    assert scored.scores == pytest.approx(expected.scores)
    ask(chat, "Compare alpha and beta.")
    assert [scored.sequence for scored in chat.explain()] == [TRNA, RRNA]


def test_batches_answer_as_conversations_do(reference):
    rnas = [f">a\n{TRNA}", make_rna(80, 1), make_rna(12), RIBOSWITCH]
    questions = [WHAT, FAMILY, LENGTH, "What type is it?"]

    def write(request):
        if request.text == TYPE_QUESTION:
            return Words("It is a tRNA.", -0.5, True, 0.97)
        return Words("Nonsense 17 of ABC.", -3.0, True, 0.9)

    for reads_evidence in (True, False):
        model = ScriptedModel(write, reads_evidence=reads_evidence)
        answers = list(
            answer_questions(model, None, rnas, questions, reference=reference, batch_size=1)
        )
        assert [(one.record, one.question) for one in answers] == [
            (record, question) for record in range(1, 5) for question in questions
        ]
        # The type of the one RNA without records is asked for once, though two questions need it.
        assert [request.text for request in model.asked].count(TYPE_QUESTION) == 1
        for answer in answers:
            chat = chat_about(
                ScriptedModel(write, reads_evidence=reads_evidence),
                reference,
                clean_rna(rnas[answer.record - 1], name=answer.name),
            )
            assert answer.answer == ask(chat, answer.question)
            assert answer.confidence == chat.confidence
            assert answer.basis == chat.answer.basis
            assert answer.about == chat.answer.about == (answer.name,)
        assert [one.basis for one in answers[4:8]] == ["model", "none", "sequence", "model"]
        asked = [one.log_probability is not None for one in answers]
        assert asked == [*4 * [reads_evidence], True, False, False, True, *4 * [False]] + (
            4 * [reads_evidence]
        )


def test_a_batch_of_the_tiny_model_is_checked_and_in_order(reference, tiny):
    model, processor = tiny
    answers = list(
        answer_questions(
            model,
            processor,
            [TRNA, make_rna(80, 1), RRNA],
            [FAMILY, LENGTH],
            reference=reference,
            max_new_tokens=4,
        )
    )
    assert [answer.answer for answer in answers] == [
        "It belongs to the tRNA family (tRNA) [1].",
        "It is 74 nucleotides long.",
        "No record of Rfam 14.2 matches this RNA.",
        "It is 80 nucleotides long.",
        "It belongs to the 5S ribosomal RNA family (5S_rRNA) [1].",
        f"It is {len(RRNA)} nucleotides long.",
    ]
    assert all(answer.complete for answer in answers)


def test_a_question_about_another_rna_is_rejected_before_any_answer(reference):
    with pytest.raises(ValueError, match="about RNA 3"):
        answer_questions(unread(), None, [TRNA], [WHAT, "What is RNA 3?"], reference=reference)


def test_rows_are_json(reference):
    (answer,) = answer_questions(
        unread(reads_evidence=False), None, [TRNA], ["Which family?"], reference=reference
    )
    row = json.loads(json.dumps(answer.as_row()))
    (record,) = row.pop("evidence")
    confidence = row.pop("confidence")
    assert 0.9 < confidence < 1
    assert row == {
        "record": 1,
        "name": "RNA 1",
        "length": 74,
        "changes": [],
        "question": "Which family?",
        "answer": "It belongs to the tRNA family (tRNA) [1].",
        "complete": True,
        "log_probability": None,
        "abstains": False,
        "basis": "records",
        "about": ["RNA 1"],
        "sentences": [
            {
                "text": "It belongs to the tRNA family (tRNA).",
                "records": [1],
                "supported": True,
            }
        ],
    }
    (hit,) = reference.search(TRNA)
    told = json.loads(json.dumps({"number": 1, "rna": "RNA 1", **hit.to_dict()}))
    assert record.items() >= told.items()


def test_without_a_reference_the_model_alone_answers(tiny):
    model, processor = tiny
    chat = RnaChat(model, processor)
    chat.add_rna(TRNA)
    answer = ask(chat, WHAT, max_new_tokens=8)
    assert chat.answer is None
    assert chat.evidence == []
    (row,) = answer_questions(model, processor, [TRNA], [WHAT], max_new_tokens=8)
    assert (row.answer, row.basis, row.evidence, row.sentences) == (answer.strip(), "model", (), ())
    with pytest.raises(ValueError, match="has no reference"):
        chat.search()
    with pytest.raises(ValueError, match="about all RNAs given"):
        chat.ask(WHAT, about=[0])
    with pytest.raises(ValueError, match="give a reference"):
        RnaChat(unread())
    with pytest.raises(TypeError, match="needs its processor"):
        RnaChat(model)


def test_a_model_that_is_not_needed_is_not_loaded(tmp_path):
    code = f"""
import sys
from rnagpt import RnaChat, answer_questions
from rnagpt.inference.local_model import LocalModel
chat = RnaChat.from_pretrained()
chat.add_rna({TRNA!r})
print("".join(chat.ask("Which family is this?")))
mini, questions = LocalModel.open(), ["How long is it?"]
rows = answer_questions(mini, None, [{TRNA!r}], questions, reference=chat.reference)
print([row.answer for row in rows])
print([name for name in ("torch", "transformers") if name in sys.modules])
"""
    assert run_fresh(code, folder=tmp_path).splitlines() == [
        "It belongs to the tRNA family (tRNA) [1].",
        "['It is 74 nucleotides long.']",
        "[]",
    ]


def test_a_model_that_cannot_be_loaded_says_so(reference):
    def fail():
        raise WeightsError("its weights are not what was released")

    model = LocalModel(fail, fail, reads_evidence=False, reads_rnas=True)
    chat = chat_about(model, reference, TRNA)
    assert "tRNA" in ask(chat, FAMILY)
    chat.add_rna(make_rna(80, 1))
    with pytest.raises(WeightsError, match="not what was released"):
        ask(chat, WHAT)
    answers = answer_questions(model, None, [TRNA, make_rna(80, 1)], [WHAT], reference=reference)
    assert "tRNA" in next(answers).answer
    with pytest.raises(WeightsError, match="not what was released"):
        next(answers)


def test_a_model_is_loaded_when_its_reading_is_wanted(reference, tiny, tmp_path):
    model, processor = tiny
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    language = LocalModel.open(str(tmp_path))
    assert language.reads_evidence is True
    chat = RnaChat(language, reference=reference)
    chat.add_rna(make_rna(80, 1))
    assert ask(chat, WHAT, max_new_tokens=4) == "No record of Rfam 14.2 matches this RNA."
    assert torch.equal(chat.model.lm_head.weight, model.lm_head.weight)
    assert "torch" in sys.modules
    with pytest.raises(OSError, match="no-such-folder"):
        LocalModel.open(str(tmp_path / "no-such-folder"))


@pytest.mark.parametrize(
    ("bias", "asked"), [(None, False), (3.43, False), (3.48, True), (9.0, True)]
)
def test_a_model_that_can_never_be_sure_enough_is_not_asked(bias, asked):
    """The logistic function of 3.476 is 0.97."""
    assert may_read(bias) is asked


def test_the_mini_is_not_loaded_to_decline(reference):
    language = LocalModel.open()
    assert not language.reads_rnas
    chat = RnaChat(language, reference=reference)
    chat.add_rna(make_rna(80, 1))
    assert "".join(chat.ask(WHAT)) == "No record of Rfam 14.2 matches this RNA."
    assert "_loaded_model" not in vars(language)
