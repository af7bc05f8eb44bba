"""Scores of nucleotides: against differences of the likelihood that a second way computes."""

import numpy as np
import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_question, make_rna

from rnagpt.inference.attribution import explain_answer, rnas_of
from rnagpt.inference.chat import RnaChat

ANSWER = {"role": "assistant", "content": "A transfer RNA."}


@pytest.fixture(scope="module", params=["chatml", "llama-3", "mistral"])
def tiny(request):
    """Merged neighbours and a summary, so that a nucleotide has several ways to the answer."""
    processor = make_processor(request.param, merge_size=3, summary_size=2)
    return make_model(processor), processor


def log_likelihoods(model, processor, messages, batch):
    """Of the last message under each of a batch's vectors (batch, rnas, longest, rna hidden).

    The prompt is what a question is asked with; the answer's tokens are those of its text.
    """
    prompt = processor.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=True)
    told = processor.apply_chat_template(messages, tokenize=True)["input_ids"]
    start = prompt["input_ids"].shape[1]
    stop = start + told[0, start:].tolist().index(processor.tokenizer.eos_token_id) + 1
    with torch.no_grad():
        logits = model(
            input_ids=told.expand(len(batch), -1),
            rna_hidden_states=batch.flatten(0, 1),
            rna_attention_mask=prompt["rna_attention_mask"].repeat(len(batch), 1),
        ).logits
    steps = logits.double().log_softmax(-1)
    return sum(steps[:, place - 1, told[0, place]] for place in range(start, stop))


def differences(model, processor, messages, step):
    """For each nucleotide, what moving its vector to the RNA's mean does to the likelihood."""
    inputs = processor.apply_chat_template(messages, tokenize=True)
    mask = inputs["rna_attention_mask"]
    with torch.no_grad():
        vectors = model.encode_rna(inputs["rna_input_ids"], mask)
    moved = []
    for rna, length in enumerate(mask.sum(1).tolist()):
        mean = vectors[rna, :length].mean(0)
        for place in range(length):
            for sign in (1, -1):
                moved.append(vectors.clone())
                moved[-1][rna, place] += sign * step * (vectors[rna, place] - mean)
    sides = log_likelihoods(model, processor, messages, torch.stack(moved)).numpy()
    return (sides[::2] - sides[1::2]) / (2 * step)


def test_scores_are_the_slopes_of_the_likelihood(tiny):
    model, processor = tiny
    messages = [make_question([make_rna(7), make_rna(10, 1)]), ANSWER]
    scored = explain_answer(model, processor, messages)
    assert [rna.sequence for rna in scored] == rnas_of(messages) == [make_rna(7), make_rna(10, 1)]
    assert [rna.scores.shape for rna in scored] == [(7,), (10,)]
    slopes = differences(model, processor, messages, step=0.02)
    scores = np.concatenate([rna.scores for rna in scored])
    assert np.abs(scores).max() > 1e-3  # else the comparison would prove nothing
    np.testing.assert_allclose(scores, slopes, atol=0.02 * np.abs(slopes).max())


def test_earlier_turns_are_read_and_the_last_answer_alone_is_explained(tiny):
    model, processor = tiny
    first = [make_question([make_rna(8)]), {"role": "assistant", "content": "In bacteria."}]
    messages = [*first, make_question([make_rna(5, 1)], "And this?"), ANSWER]
    scores = np.concatenate([r.scores for r in explain_answer(model, processor, messages)])
    slopes = differences(model, processor, messages, step=0.02)
    np.testing.assert_allclose(scores, slopes, atol=0.02 * np.abs(slopes).max())


def test_long_rnas_and_codes_that_are_ambiguous(tiny):
    model, processor = tiny
    rna = make_rna(70) + "NNRY"  # several windows of 32 nt
    (scored,) = explain_answer(model, processor, [make_question([rna]), ANSWER])
    assert scored.scores.shape == (74,)
    assert np.isfinite(scored.scores).all()


def test_scores_of_kmers_are_shared_among_their_nucleotides():
    processor = make_processor(kmer_size=3)
    model = make_model(processor, rna={"vocab_size": 89, "kmer_size": 3})
    messages = [make_question([make_rna(6)]), ANSWER]
    (scored,) = explain_answer(model, processor, messages)
    own = differences(model, processor, messages, step=0.02)
    # Tokens 0 to 3 read three nucleotides, 4 reads two, 5 reads one.
    shared = np.array(
        [
            own[0] / 3,
            (own[0] + own[1]) / 3,
            (own[0] + own[1] + own[2]) / 3,
            (own[1] + own[2] + own[3]) / 3,
            (own[2] + own[3]) / 3 + own[4] / 2,
            own[3] / 3 + own[4] / 2 + own[5],
        ]
    )
    np.testing.assert_allclose(scored.scores, shared, atol=0.02 * np.abs(shared).max())


def test_a_frozen_model_is_explained_and_keeps_no_gradients(tiny):
    model, processor = tiny
    messages = [make_question([make_rna(9)]), ANSWER]
    with torch.inference_mode(False), torch.no_grad():
        (before,) = explain_answer(model, processor, messages)
    model.requires_grad_(False)
    try:
        (after,) = explain_answer(model, processor, messages)
    finally:
        model.requires_grad_(True)
    np.testing.assert_allclose(before.scores, after.scores, rtol=1e-5)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_conversation_explains_its_last_answer_or_other_words(tiny):
    chat = RnaChat(*tiny)
    chat.add_rna(make_rna(12))
    answer = "".join(chat.ask("What is this RNA?", max_new_tokens=6))
    (scored,) = chat.explain()
    (again,) = chat.explain(answer)
    (other,) = chat.explain("a riboswitch")
    np.testing.assert_array_equal(scored.scores, again.scores)
    assert not np.allclose(scored.scores, other.scores)
    assert chat.messages[-1]["content"] == answer
    follow_up = "".join(chat.ask("Where is it found?", max_new_tokens=6))  # the cache still serves
    fresh = RnaChat(*tiny)
    fresh.messages = chat.messages[:2]
    assert "".join(fresh.ask("Where is it found?", max_new_tokens=6)) == follow_up


def test_what_cannot_be_explained(tiny):
    model, processor = tiny
    chat = RnaChat(model, processor)
    with pytest.raises(ValueError, match="Ask a question about an RNA first"):
        chat.explain()
    "".join(chat.ask("What is RNA?", max_new_tokens=3))
    with pytest.raises(ValueError, match="no RNA in the conversation"):
        chat.explain()
    with pytest.raises(ValueError, match="the last message must be the assistant's"):
        explain_answer(model, processor, [make_question([make_rna(5)])])
    with pytest.raises(ValueError, match="the language model reads 512"):
        explain_answer(
            model,
            processor,
            [make_question([make_rna(5)]), {"role": "assistant", "content": "A" * 600}],
        )
